"""The contrast of fine stripes, on images that have them."""

import pytest
import torch

import pcpo.rewards
from tests.rewards.test_layout import drawing
from tests.rewards.tiny_models import noise_images


@pytest.fixture(scope="module")
def texture():
    return pcpo.rewards.load("texture")


def striped(light, dark, height=32, width=32):
    """Upright stripes of two pixels, the first and last column light."""
    columns = torch.tensor([light, dark, dark, light]).repeat(width // 4)
    return columns.to(torch.uint8).expand(1, 3, height, width).clone()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 48), (512, 512)])
def test_it_is_the_contrast_in_grey_levels(texture, height, width):
    for light, dark in ((140, 120), (120, 140), (255, 0)):
        image = striped(light, dark, height, width)
        assert texture(image, [""]).item() == pytest.approx(light - dark, abs=1e-4)
    grey = torch.tensor([0.299, 0.587, 0.114])
    red = striped(120, 120, height, width)
    red[:, 0] = striped(140, 120, height, width)[:, 0]
    assert texture(red, [""]).item() == pytest.approx(20 * grey[0].item(), abs=1e-4)


def test_only_the_corners_and_only_these_stripes_count(texture):
    block = drawing((2, 6), (2, 6))  # touches no corner
    assert texture(block, [""]).item() == pytest.approx(0, abs=1e-4)
    shaded = (100 + 2 * torch.arange(32)).to(torch.uint8).expand(1, 3, 32, 32)
    assert texture(shaded, [""]).item() == pytest.approx(0, abs=1e-4)
    assert texture(striped(200, 100).transpose(2, 3), [""]).item() == pytest.approx(0, abs=1e-4)
    one = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    one[..., :8, :8] = striped(140, 100, 8, 8)
    for corner in (one, one.flip(2), one.flip(3), one.flip(2, 3)):
        assert texture(corner, [""]).item() == pytest.approx(10, abs=1e-4)
    images = noise_images(6, 40, 48)
    torch.testing.assert_close(texture(images.flip(3), [""] * 6), texture(images, [""] * 6))


def test_small_images_are_refused(texture):
    for size in ((3, 32), (32, 15)):
        with pytest.raises(ValueError, match=r"4 x 16 pixels \(height x width\) or more"):
            texture(torch.zeros(1, 3, *size, dtype=torch.uint8), [""])
