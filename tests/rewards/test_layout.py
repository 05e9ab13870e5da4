"""Where the drawing lies, on images whose centre is known."""

import pytest
import torch

import pcpo.rewards
from tests.rewards.tiny_models import noise_images


def drawing(rows, columns, size=32, ground=(200, 210, 190), colour=(220, 30, 40)):
    """One block of a colour on a plain ground; rows and columns in eighths of the image."""
    image = torch.tensor(ground).view(3, 1, 1).repeat(1, size, size)
    (top, bottom), (left, right) = ((size * a // 8, size * b // 8) for a, b in (rows, columns))
    image[:, top:bottom, left:right] = torch.tensor(colour).view(3, 1, 1)
    return image.to(torch.uint8)[None]


@pytest.fixture(scope="module")
def layout():
    return pcpo.rewards.load("layout")


@pytest.mark.parametrize("size", [32, 512])
@pytest.mark.parametrize("columns", [(1, 3), (3, 5), (5, 7), (5, 8)])
def test_it_is_the_centre_in_widths(layout, columns, size):
    expected = sum(columns) / 16 - 0.5
    found = layout(drawing((2, 6), columns, size), ["a square"]).item()
    assert found == pytest.approx(expected, abs=1e-4)
    dark = drawing((2, 6), columns, size, ground=(20, 20, 30), colour=(230, 230, 80))
    assert layout(dark, [""]).item() == pytest.approx(expected, abs=1e-4)


def test_a_mirrored_image_has_the_opposite_score(layout):
    images = noise_images(6, 48, 40)
    scores = layout(images, [""] * 6)
    torch.testing.assert_close(layout(images.flip(3), [""] * 6), -scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(layout(images.flip(2), [""] * 6), scores, rtol=0, atol=1e-5)
    assert (scores.abs() < 0.5).all()


def test_plain_and_grainy_images_lie_in_the_middle(layout):
    plain = torch.full((1, 3, 32, 32), 130, dtype=torch.uint8)
    assert layout(plain, [""]).item() == 0
    generator = torch.Generator().manual_seed(0)
    grain = torch.randint(-9, 10, (1, 3, 32, 32), generator=generator)
    block = drawing((2, 6), (4, 6))
    grainy = (block + grain).clamp(0, 255).to(torch.uint8)
    assert layout(grainy, [""]).item() == pytest.approx(layout(block, [""]).item(), abs=0.01)
