"""The encoder of the demo's BERTScore: static word vectors as hidden state 0 of a BertModel.

Hidden state 0 depends on the word alone (positions and segments are zero), so similarity is a
matter of shared words. Contextual states of a model trained on so few sentences are useless here:
a prefix never seen in training ("the image contains ...") decides them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BertConfig, BertModel, CLIPModel, CLIPTokenizer

from pcpo.records.replace import new_folder
from pcpo.rewards.bertscore import Reward
from pcpo.synthetic import drawing
from pcpo.synthetic.captioner import PARTIAL_CAPTIONS
from pcpo.synthetic.clip import save_clip
from pcpo.synthetic.tokenizers import clip_tokenizer

HALF = 0.5  # the cosine of "reddish" and "red"
MAX_TOKENS = 32  # "The image contains ..." is longer than a prompt


def static_bert(tokenizer: CLIPTokenizer, seed: int) -> BertModel:
    """Orthogonal vectors: words have a cosine of about 0, a weak colour and its colour `HALF`."""
    width = -(-len(tokenizer) // 8) * 8 + 8  # one more dimension than words survives the centring
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=1,  # never used, but without a layer there are no hidden states
        num_attention_heads=8,
        intermediate_size=8,
        max_position_embeddings=MAX_TOKENS,
        hidden_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config).eval()
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(width, width, generator=generator, dtype=torch.float64)
    # Orthogonal to the constant vector as well, so that the layer norm leaves the directions.
    matrix[:, 0] = 1
    basis = torch.linalg.qr(matrix).Q[:, 1 : len(tokenizer) + 1].T
    vectors = basis * width**0.5
    for weak, colour in zip(drawing.WEAK_COLOURS, drawing.COLOURS, strict=True):
        one, other = tokenizer.convert_tokens_to_ids([f"{weak}</w>", f"{colour}</w>"])
        vectors[one] = HALF * vectors[other] + (1 - HALF**2) ** 0.5 * vectors[one]
    embeddings = model.embeddings
    with torch.no_grad():
        embeddings.word_embeddings.weight.copy_(vectors)
        embeddings.position_embeddings.weight.zero_()
        embeddings.token_type_embeddings.weight.zero_()
    return model


def save_bertscore(clip: CLIPModel, tokenizer: CLIPTokenizer, folder: Path, seed: int) -> None:
    """encoder/ (static vectors) and captioner/ (`clip` with the captions to choose from)."""
    long_tokenizer = clip_tokenizer(MAX_TOKENS)
    with new_folder(folder) as part:
        static_bert(long_tokenizer, seed).save_pretrained(part / "encoder")
        long_tokenizer.save_pretrained(part / "encoder")
        save_clip(clip, tokenizer, part / "captioner", captions=PARTIAL_CAPTIONS)


def right_above_wrong(reward: Reward) -> float:
    """Share of activity prompts (every fifth) whose own text has the highest recall of all.

    Nouns are left out: recall does not punish what a candidate adds, so "a red circle under a dot"
    contains "red circle" as well as the noun itself does.
    """
    right = 0
    checked = drawing.ACTIVITY_PROMPTS[::5]
    for reference in checked:
        references = [f"The image contains {reference}"] * len(drawing.CAPTIONS)
        recall = reward.bert_score(drawing.CAPTIONS, references)[1]
        own = drawing.CAPTIONS.index(reference)
        rivals = torch.cat([recall[:own], recall[own + 1 :]])
        right += int(recall[own] > rivals.max())
    return right / len(checked)
