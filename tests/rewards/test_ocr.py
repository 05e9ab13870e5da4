"""The OCR reward's formula by hand, and its engines."""

import socket
from importlib.metadata import version

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

import pcpo.rewards
from pcpo.rewards._rapid_ocr import RapidOcr
from pcpo.rewards.ocr import similarity
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


def rendered(text, colour=(20, 20, 30), size=80):
    """uint8 (1, 3, 512, 512): a text in the middle of a light image."""
    image = Image.new("RGB", (512, 512), (240, 240, 225))
    font = ImageFont.load_default(size)
    ImageDraw.Draw(image).text((256, 256), text, colour, font, anchor="mm")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def rapidocr():
    """RapidOCR with its real weights, which are in its wheel."""
    return pcpo.rewards.load("ocr", "not used", engine="rapidocr")


def test_rapidocr_reads_rendered_words_exactly(rapidocr):
    words = ["HELLO", "Stop now", "Reward 42"]
    images = torch.cat([rendered(word) for word in words])
    assert rapidocr.reader.read(images) == words
    prompts = [f'a sign that says "{word}"' for word in words]
    assert torch.equal(rapidocr(images, prompts), torch.ones(3))
    assert torch.equal(rapidocr(images, prompts[1:] + prompts[:1]).gt(0.5), torch.zeros(3).bool())


def test_rapidocr_on_a_misspelt_word_and_on_nothing(rapidocr):
    images = torch.cat([rendered("HELLO"), rendered("HELLO"), rendered("")])
    scores = rapidocr(images, ['a "HELO"', 'a "hallo x"', 'a "hello"'])
    expected = [1 - 1 / 4, 1 - 2 / 6, 0.0]  # an insertion; a substitution and a deletion; blank
    torch.testing.assert_close(scores, torch.tensor(expected))


def test_lines_are_joined_from_top_to_bottom(rapidocr):
    images = rendered("Good\nMorning", size=70)
    assert torch.equal(rapidocr(images, ['it says "Good Morning"']), torch.ones(1))
    assert rapidocr(images, ['it says "Morning Good"']) < 0.5


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_order_of_the_channels_is_an_option(channels, monkeypatch):
    """Flow-GRPO hands RGB to an engine that expects BGR; "bgr" is what the engine expects."""
    reader = RapidOcr(channels)
    engine, seen = reader.engine, []

    def spy(array):
        seen.append(array)
        return engine(array)

    monkeypatch.setattr(reader, "engine", spy)
    image = rendered("RED", colour=(200, 30, 10))
    assert reader.read(image) == ["RED"]
    expected = image[0] if channels == "rgb" else image[0].flip(0)
    assert np.array_equal(seen[0], expected.permute(1, 2, 0).numpy())


def test_unknown_order_of_the_channels(tmp_path):
    with pytest.raises(ValueError, match="'rgb' or 'bgr', not 'gbr'"):
        pcpo.rewards.load("ocr", tmp_path, channels="gbr")


def test_engine_is_named_with_its_version_and_models(rapidocr):
    assert rapidocr.engine == f"rapidocr {version('rapidocr')} (PP-OCRv6 small)"


def test_weights_come_with_the_package(rapidocr, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("rapidocr went to the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert RapidOcr().read(rendered("LOCAL")) == ["LOCAL"]


def test_one_thread_to_a_session(rapidocr):
    """Jobs run side by side, one to a core."""
    rapidocr.reader.read(rendered("HELLO"))
    for model in (rapidocr.reader.engine.text_det, rapidocr.reader.engine.text_rec):
        options = model.session.session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
