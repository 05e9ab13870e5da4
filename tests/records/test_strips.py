"""Preview strips that others made: what is no strip is refused by its name."""

import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pcpo.records import strips

IMAGES = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
PROMPTS = ["ein roter Kreis", "红色圆"]


@pytest.fixture
def path(tmp_path):
    return strips.write(tmp_path, 8, PROMPTS, IMAGES)


def test_prompts_and_images_are_read_as_they_were_written(path):
    found = strips.read(path.parents[1])
    assert list(found) == [8] and found[8].prompts == tuple(PROMPTS)
    np.testing.assert_array_equal(found[8].images, IMAGES.transpose(0, 2, 3, 1))


def replaced(path, prompts, mode="RGB", kind="png"):
    """Another image in the strip's place."""
    text = PngImagePlugin.PngInfo()
    text.add_itxt("prompts", prompts)
    options = {"pnginfo": text} if kind == "png" else {}
    Image.new(mode, (10, 4)).save(path, format=kind, **options)


BOTH = json.dumps(PROMPTS)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:60]), ""),
        (lambda path: replaced(path, BOTH, kind="eps"), "cannot identify image file"),
        (lambda path: replaced(path, BOTH, kind="jpeg"), "cannot identify image file"),
        (lambda path: replaced(path, BOTH, mode="L"), "it is L, not RGB"),
        (lambda path: replaced(path, json.dumps(["a", "b", "c"])), "equal division"),
        (lambda path: replaced(path, "[]"), "no list of texts"),
        (lambda path: replaced(path, '"ab"'), "no list of texts"),
        (lambda path: replaced(path, "[1, 2]"), "no list of texts"),
        (lambda path: replaced(path, '["\\ud800", "b"]'), "surrogates not allowed"),
        (lambda path: replaced(path, "[" * 100_000), "recursion"),
        (lambda path: Image.new("RGB", (10, 4)).save(path), "prompts"),
    ],
)
def test_what_is_no_strip_is_refused(path, damage, why):
    damage(path)
    with pytest.raises(ValueError, match=rf"epoch_00008\.png: a damaged preview .*{why}.*; delete"):
        strips.read(path.parents[1])


def test_an_image_of_very_many_pixels_is_not_unpacked(path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"epoch_00008\.png: a damaged preview .*pixels"):
        strips.read(path.parents[1])
