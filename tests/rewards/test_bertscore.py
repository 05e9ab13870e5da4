"""BERTScore against plain loops, and what static vectors must give."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

import pcpo.rewards
from pcpo.world import drawing
from tests.rewards.tiny_models import TOKENIZER, noise_images


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
    assert set(captions) <= set(drawing.CAPTIONS)
    references = [f"The image contains {text}" for text in drawing.NOUNS[:4]]
    expected = reward.bert_score(captions, references)[1]
    assert torch.equal(reward(images, drawing.NOUNS[:4]), expected)
    assert reward.captioner_name == "clip_standin"


def test_wrong_options(tiny_reward):
    with pytest.raises(ValueError, match="layer 40"):
        tiny_reward("bertscore", layer=40)
    with pytest.raises(ValueError, match=r"qwen2.5-vl"):
        tiny_reward("bertscore", captioner="blip")
