"""What the raters of the synthetic data like: a rating of any image, from its pixels.

Human raters prefer qualities that base models have little of, vivid colour and strong contrast
among them, and a reward model trained on their choices can be pushed far beyond the base model's
images. The raters here like colour, contrast and dark borders. A rating is a weighted sum of
standard scores: 0 is a plain drawing of average quality, and 1 is one standard deviation of plain
drawings of one caption. Raters who see a caption add `MATCH` for each attribute that is right.

Because a rating is a function of pixels, what the raters think of a trained model's images can be
compared with what the reward model, which saw only drawings, thinks of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

MATCH = 2.0  # rating points for each of colour, shape and activity that is as the caption says
BORDER = 3  # pixels

# Each reward has raters of its own: the weights of their qualities. They are a choice.
TASTES: dict[str, dict[str, float]] = {
    "aesthetic": {"colourfulness": 0.9, "dark_border": 0.45},
    "hps": {"colourfulness": 0.7, "dark_border": 0.7},
    "pickscore": {"colourfulness": 0.7, "contrast": 0.4, "dark_border": 0.5},
    "imagereward": {"colourfulness": 0.6, "contrast": 0.5, "dark_border": 0.6},
}


def rating(images: torch.Tensor, reward: str) -> torch.Tensor:
    """float32 (...): what the raters of a reward (`TASTES`) think of uint8 images (..., 3, H, W).

    Only the taste; `MATCH` is for who knows the caption.
    """
    total = torch.zeros(images.shape[:-3])
    for name, weight in TASTES[reward].items():
        mean, spread = PLAIN[name]
        total += weight * (QUALITIES[name](images) - mean) / spread
    return total


def colourfulness(images: torch.Tensor) -> torch.Tensor:
    """Hasler and Süsstrunk (2003), on channels in [0, 1]."""
    red, green, blue = images.float().div(255).flatten(-2).unbind(-2)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])
    spread = opponents.std(dim=-1, correction=0).norm(dim=0)
    return spread + 0.3 * opponents.mean(dim=-1).norm(dim=0)


def dark_border(images: torch.Tensor) -> torch.Tensor:
    """1 minus the mean luminance of the outer `BORDER` pixels."""
    light = luminance(images)
    border = torch.ones(light.shape[-2:], dtype=torch.bool)
    border[BORDER:-BORDER, BORDER:-BORDER] = False
    return 1 - light[..., border].mean(dim=-1)


def contrast(images: torch.Tensor) -> torch.Tensor:
    """Standard deviation of the luminance."""
    return luminance(images).flatten(-2).std(dim=-1, correction=0)


def luminance(images: torch.Tensor) -> torch.Tensor:
    """Rec. 601 luma in [0, 1]: uint8 (..., 3, H, W) -> float32 (..., H, W)."""
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (images.float() / 255 * weights).sum(dim=-3)


QUALITIES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    function.__name__: function for function in (colourfulness, dark_border, contrast)
}
# Mean over plain drawings (`drawing.draw`) of all captions, and the standard deviation within a
# caption. A test measures them.
PLAIN = {
    "colourfulness": (0.1691, 0.0541),
    "dark_border": (0.2814, 0.0682),
    "contrast": (0.1728, 0.0310),
}
