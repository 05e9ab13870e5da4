"""Images through JPEG against the originals' own calls of PIL."""

from io import BytesIO

import numpy as np
import torch
from PIL import Image

from pcpo.rewards._jpeg import through_jpeg
from tests.rewards.tiny_models import noise_images


def test_quality_75_is_a_file_saved_by_pil_with_its_defaults(tmp_path):
    """DanceGRPO's SD trainer: resize to 512 x 512 (nothing to do at 512 px), save, read again."""
    images = noise_images(1, 512, 512)
    image = Image.fromarray(images[0].permute(1, 2, 0).numpy()).resize((512, 512))
    image.save(tmp_path / "image.jpg")
    again = np.array(Image.open(tmp_path / "image.jpg").convert("RGB"))
    result = through_jpeg(images, 75)
    assert torch.equal(result[0], torch.from_numpy(again).permute(2, 0, 1))
    assert not torch.equal(result, images)


def test_quality_80_is_what_ddpo_sends_to_its_captioner():
    images = noise_images(2, 64, 48)
    for image, result in zip(images, through_jpeg(images, 80), strict=True):
        buffer = BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, format="JPEG", quality=80)
        again = np.array(Image.open(buffer))
        assert torch.equal(result, torch.from_numpy(again).permute(2, 0, 1))
    assert not torch.equal(through_jpeg(images, 80), through_jpeg(images, 75))
