import numpy as np
import pytest
import torch

from pcpo.prompts.needs import quoted_text
from pcpo.synthetic import words


def test_words_use_the_letters_and_have_four_of_them():
    assert len(set(words.WORDS)) == len(words.WORDS) == 72
    assert {len(word) for word in words.WORDS} == {4}
    assert set("".join(words.WORDS)) == set(words.LETTERS)


def test_the_reward_reads_the_word_of_a_prompt():
    assert [quoted_text(words.prompt(word)) for word in words.WORDS] == list(words.WORDS)


def test_letters_differ():
    ink = [1, 0, 0, 0]
    bitmaps = {words._bitmap(f"{letter}OOO", ink).tobytes() for letter in words.LETTERS}
    assert len(bitmaps) == len(words.LETTERS)


def test_ink_equals_the_dots_area_times_the_strengths():
    size, shift = np.array([1.6], dtype=np.float32), np.zeros((1, 2), dtype=np.float32)
    for strengths in ([1, 1, 1, 1], [0.5, 0.2, 0, 0.9]):
        expected = sum(
            strength * words._bitmap("TOLE", np.eye(4)[k]).sum()
            for k, strength in enumerate(strengths)
        )
        ink = words._rasterise(words._bitmap("TOLE", strengths)[None], size, shift)
        np.testing.assert_allclose(ink.sum(), expected * 1.6**2, rtol=1e-4)


def test_deterministic_uint8_images():
    first = words.draw_words(["TOLE", "CUZX"], np.random.default_rng(0))
    assert first.dtype == torch.uint8
    assert first.shape == (2, 3, 32, 32)
    assert torch.equal(first, words.draw_words(["TOLE", "CUZX"], np.random.default_rng(0)))


def test_a_letter_without_ink_is_the_background():
    """The ink's strengths are the only difference between these images."""
    empty = words.draw_words(["TOLE"], np.random.default_rng(0), np.zeros((1, 4), np.float32))
    other = words.draw_words(["CUZX"], np.random.default_rng(0), np.zeros((1, 4), np.float32))
    assert torch.equal(empty, other)


@pytest.mark.parametrize("word", ["TOLES", "TOL", "TOLS"])
def test_other_words_are_refused(word):
    with pytest.raises(ValueError, match=words.LETTERS):
        words.draw_words([word], np.random.default_rng(0))
