"""BERTScore against the bert-score package and plain loops, and what static vectors must give."""

import json

import bert_score
import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DebertaConfig,
    DebertaForSequenceClassification,
)

import pcpo.rewards
from pcpo.synthetic import drawing
from pcpo.synthetic.captioner import PARTIAL_CAPTIONS
from tests.rewards.tiny_models import TOKENIZER, noise_images


@pytest.fixture(scope="module")
def deberta(tiny_folder, tmp_path_factory):
    """The reward with a tiny encoder in the files of microsoft/deberta-xlarge-mnli.

    A DeBERTa v1 with its classifier, as a pickle, and a byte-level BPE as vocab.json, merges.txt.
    """
    folder = tmp_path_factory.mktemp("deberta")
    encoder = folder / "encoder"
    encoder.mkdir()
    texts = [*drawing.CAPTIONS, *["The image contains a cat washing the dishes"] * 3]
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=400, special_tokens=special, show_progress=False)
    bpe.save_model(str(encoder))
    (encoder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": False, "vocab_type": "gpt2"})
    )
    config = DebertaConfig(
        vocab_size=400, hidden_size=32, num_hidden_layers=4, num_attention_heads=4,
        intermediate_size=64, relative_attention=True, pos_att_type="c2p|p2c", pad_token_id=0,
        position_biased_input=False, type_vocab_size=0, max_relative_positions=-1,
        layer_norm_eps=1e-7, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = DebertaForSequenceClassification(config)
    model.config.save_pretrained(encoder)
    torch.save(model.state_dict(), encoder / "pytorch_model.bin")
    (folder / "captioner").symlink_to(tiny_folder("bertscore")[0] / "captioner")
    options = {"captioner": "clip_standin", "layer": 3, "batch_size": 3}
    return encoder, pcpo.rewards.load("bertscore", folder, **options)


def test_scores_are_those_of_the_bert_score_package(deberta):
    """As LLaVA-server calls it: fast tokenizer, no idf, no rescaling, one fixed layer."""
    encoder, reward = deberta
    scorer = bert_score.BERTScorer(
        str(encoder), num_layers=3, use_fast_tokenizer=True, device="cpu", batch_size=3
    )
    # Of transformers 4, which the package was written for:
    scorer._tokenizer.model_max_length = 512
    scorer._tokenizer.build_inputs_with_special_tokens = lambda ids: [1, *ids, 2]
    candidates = [
        "A cat is washing the dishes.", "", "a red circle above a line", "moon", " cat ",
        "It shows a blue star under a dot, and to its right a green heart inside a frame.", "  ",
    ]  # fmt: skip
    things = ["a cat washing the dishes", "moon", "a red circle", "a moon", "cat", "heart", "dot"]
    references = [f"The image contains {text}" for text in things]
    expected = scorer.score(candidates, references)
    scores = reward.bert_score(candidates, references)
    for own, package in zip(scores, expected, strict=True):
        torch.testing.assert_close(own, package, rtol=0, atol=1e-6)
    recall = scores[1]
    assert recall[1] == recall[6] == 0
    captioned = recall[[0, 2, 3, 4, 5]]
    assert captioned.min() > 0.1 and captioned.std() > 0.02


def test_longer_texts_than_the_encoder_takes_are_cut(deberta):
    reward = deberta[1]
    assert reward.max_tokens == 512
    long = "The image contains " + "a cat washing the dishes and " * 200
    assert len(reward._token_states([long])[0][0]) == 512


def test_weights_of_another_model_are_refused(deberta, tmp_path):
    encoder, _ = deberta
    state = torch.load(encoder / "pytorch_model.bin", weights_only=True)
    (tmp_path / "encoder").mkdir()
    for file in encoder.iterdir():
        (tmp_path / "encoder" / file.name).symlink_to(file)
    (tmp_path / "encoder" / "pytorch_model.bin").unlink()
    del state["deberta.encoder.layer.1.output.dense.weight"]
    torch.save(state, tmp_path / "encoder" / "pytorch_model.bin")
    (tmp_path / "captioner").symlink_to(encoder.parent / "captioner")
    with pytest.raises(ValueError, match=r"encoder lack 1 tensors.*layer.1.output.dense.weight"):
        pcpo.rewards.load("bertscore", tmp_path, captioner="clip_standin", layer=3)


@pytest.fixture(scope="module")
def contextual(tiny_folder, tmp_path_factory):
    """The reward with a random two-layer BERT, whose states depend on the whole sentence."""
    folder = tmp_path_factory.mktemp("contextual")
    config = BertConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        BertModel(config).save_pretrained(folder / "encoder")
    long_tokenizer = AutoTokenizer.from_pretrained(tiny_folder("bertscore")[0] / "encoder")
    long_tokenizer.save_pretrained(folder / "encoder")
    (folder / "captioner").symlink_to(tiny_folder("bertscore")[0] / "captioner")
    options = {"captioner": "clip_standin", "layer": 1}
    return folder, pcpo.rewards.load("bertscore", folder, **options)


def loops(folder, candidate, reference, layer):
    """Recall as Zhang et al. write it, one sentence and one token at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "encoder")
    model = AutoModel.from_pretrained(folder / "encoder").eval()

    def states(text):
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.no_grad():
            hidden = model(ids, output_hidden_states=True).hidden_states[layer][0]
        return [row / np.linalg.norm(row) for row in hidden.double().numpy()]

    x, y = states(candidate), states(reference)
    best = [max(float(a @ b) for a in x) for b in y[1:-1]]  # without [CLS] and [SEP]
    return sum(best) / len(best)


def test_recall_is_greedy_matching_without_specials_of_the_reference(contextual):
    folder, reward = contextual
    candidates = ["a red circle", "a blue moon under a dot", "green heart"]
    references = [f"The image contains {text}" for text in ("red moon", "a blue star", "heart")]
    recall = reward.bert_score(candidates, references)[1]
    pairs = zip(candidates, references, strict=True)
    expected = [loops(folder, a, b, layer=1) for a, b in pairs]
    torch.testing.assert_close(recall, torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_precision_and_recall_change_places(contextual):
    _, reward = contextual
    a, b = ["a red circle above a line"], ["The image contains a blue star"]
    precision, recall, f1 = reward.bert_score(a, b)
    other_precision, other_recall, _ = reward.bert_score(b, a)
    torch.testing.assert_close(precision, other_recall)
    torch.testing.assert_close(recall, other_precision)
    torch.testing.assert_close(f1, 2 * precision * recall / (precision + recall))


def test_a_sentence_matches_itself_and_an_empty_one_nothing(contextual):
    _, reward = contextual
    text = "The image contains a red circle"
    torch.testing.assert_close(reward.bert_score([text], [text])[1], torch.ones(1))
    assert torch.equal(torch.stack(reward.bert_score([""], [text])), torch.zeros(3, 1))


def test_static_vectors_count_shared_words(tiny_reward):
    reward = tiny_reward("bertscore")
    reference = ["The image contains a red circle above a line"]  # nine words
    for candidate, shared in (
        ("a red circle above a line", 6), ("a blue circle above a line", 5),
        ("red circle", 2), ("green moon", 0),
    ):  # fmt: skip
        recall = reward.bert_score([candidate], reference)[1]
        torch.testing.assert_close(recall, torch.tensor([shared / 9]), rtol=0, atol=1e-5)


def test_reward_describes_the_image_and_compares_with_the_template(tiny_reward):
    reward = tiny_reward("bertscore")
    images = noise_images(4)
    captions = reward.captioner(images)
    assert set(captions) <= set(PARTIAL_CAPTIONS)
    references = [f"The image contains {text}" for text in drawing.NOUNS[:4]]
    expected = reward.bert_score(captions, references)[1]
    assert torch.equal(reward(images, drawing.NOUNS[:4]), expected)
    assert reward.captioner_name == "clip_standin"


def test_wrong_options(tiny_reward):
    with pytest.raises(ValueError, match="layer 40"):
        tiny_reward("bertscore", layer=40)
    with pytest.raises(ValueError, match=r"qwen2.5-vl"):
        tiny_reward("bertscore", captioner="blip")
