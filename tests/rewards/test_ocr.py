"""The OCR reward's formula by hand, and its engines."""

import importlib.util

import pytest
import torch

import pcpo.rewards
from pcpo.rewards.ocr import quoted_text, similarity
from tests.rewards.tiny_models import noise_images


@pytest.mark.parametrize(
    ("read", "target", "expected"),
    [
        ("HELLO", "hello", 1.0),  # case does not count
        ("say he llo now", "Hello", 1.0),  # nor spaces, nor text around it
        ("helo", "hello", 0.8),  # one deletion
        ("jello", "hello", 0.8),  # one substitution
        ("xhexllo", "hello", 0.6),  # two insertions, and not contained
        ("", "hello", 0.0),
        ("completely different text", "abc", 0.0),  # distance capped at the target's length
        ("a-b", "a b", 0.5),  # only spaces are removed: "a-b" against "ab"
    ],
)
def test_similarity_by_hand(read, target, expected):
    assert similarity(read, target) == pytest.approx(expected)


def test_target_is_between_the_first_pair_of_quotes():
    assert quoted_text('a sign that says "Stop now" next to "Go"') == "Stop now"
    for prompt in ("a sign", 'a sign "', 'an empty "" sign', 'a blank " " sign'):
        with pytest.raises(ValueError, match="double quotes"):
            quoted_text(prompt)


def test_prompt_without_quotes_is_refused_by_the_reward(tiny_reward):
    with pytest.raises(ValueError, match="double quotes"):
        tiny_reward("ocr")(noise_images(1), ["red circle"])


def test_reward_is_one_for_what_was_read(tiny_reward):
    reward = tiny_reward("ocr")
    images = noise_images(6)
    read = reward.reader.read(images)
    prompts = [f'the word "{text or "A"}"' for text in read]
    expected = torch.tensor([1.0 if text else 0.0 for text in read])
    assert torch.equal(reward(images, prompts), expected)
    assert reward.engine == "recogniser"


def test_unknown_engine(tmp_path):
    with pytest.raises(ValueError, match="rapidocr"):
        pcpo.rewards.load("ocr", tmp_path, engine="tesseract")


@pytest.mark.skipif(importlib.util.find_spec("rapidocr") is not None, reason="it is installed")
def test_missing_rapidocr_says_what_to_install(tmp_path):
    with pytest.raises(ImportError, match="pip install rapidocr"):
        pcpo.rewards.load("ocr", tmp_path, engine="rapidocr")
