import numpy as np
import pytest
import torch

from pcpo.prompts.needs import quoted_text
from pcpo.synthetic import words


def test_words_use_the_letters_and_have_two_or_three_of_them():
    assert len(set(words.WORDS)) == len(words.WORDS) == 72
    assert {len(word) for word in words.WORDS} == {2, 3}
    assert set("".join(words.WORDS)) == set(words.LETTERS)


def test_the_reward_reads_the_word_of_a_prompt():
    assert [quoted_text(words.prompt(word)) for word in words.WORDS] == list(words.WORDS)


def test_letters_differ():
    assert len({words._bitmap(f"{letter}A").tobytes() for letter in words.LETTERS}) == 12


def test_ink_equals_the_dots_area():
    for word in ("HO", "TAX"):
        size = np.array([1.6], dtype=np.float32)
        bitmap = words._bitmap(word)[None]
        ink = words._rasterise(bitmap, size, np.zeros((1, 2), dtype=np.float32))
        np.testing.assert_allclose(ink.sum(), bitmap.sum() * 1.6**2, rtol=1e-4)


def test_deterministic_uint8_images():
    first = words.draw_words(["HO", "TAX"], np.random.default_rng(0))
    assert first.dtype == torch.uint8
    assert first.shape == (2, 3, 32, 32)
    assert torch.equal(first, words.draw_words(["HO", "TAX"], np.random.default_rng(0)))


def test_other_words_are_refused():
    with pytest.raises(ValueError, match="AOXTLHEUCNZK"):
        words.draw_words(["HOUSE"], np.random.default_rng(0))
