"""Captioned drawings: the synthetic images.

A drawing is 32 x 32 RGB and shows one coloured shape, with or without a mark around it (the
"activity"). 9 shapes x 5 colours give 45 nouns, 3 activities give 135 activity prompts; together
180 captions, the counterparts of the 45 animals and 135 animal-activity prompts of DDPO.

Everything that a caption leaves open (place, size, rotation, colour jitter, saturation, shading,
background) is a *layout*, drawn from a generator, so that images of one caption differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

IMAGE_SIZE = 32
COLOURS = ("red", "green", "blue", "yellow", "purple")
WEAK_COLOURS = (
    "reddish",
    "greenish",
    "bluish",
    "yellowish",
    "purplish",
)  # not full
SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "heart", "moon")
ACTIVITIES = ("above a line", "inside a frame", "under a dot")
NO_ACTIVITY = len(ACTIVITIES)  # the class index of "no activity" wherever a class is needed

NOUNS = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
ACTIVITY_PROMPTS = tuple(f"a {noun} {activity}" for noun in NOUNS for activity in ACTIVITIES)
CAPTIONS = NOUNS + ACTIVITY_PROMPTS

_COLOUR_RGB = np.array(
    [[0.88, 0.12, 0.12], [0.10, 0.68, 0.20], [0.15, 0.28, 0.92], [0.95, 0.82, 0.08],
     [0.60, 0.15, 0.72]],
    dtype=np.float32,
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """What a caption says: indices into COLOURS, SHAPES and ACTIVITIES (None: no activity)."""

    colour: int
    shape: int
    activity: int | None = None


def caption(scene: Scene) -> str:
    """The prompt that describes `scene`; the inverse of `parse_caption`."""
    noun = f"{COLOURS[scene.colour]} {SHAPES[scene.shape]}"
    return noun if scene.activity is None else f"a {noun} {ACTIVITIES[scene.activity]}"


def parse_caption(text: str) -> Scene:
    """The scene that a noun ("red circle") or activity prompt ("a red circle under a dot") names.

    Raises:
        ValueError: if `text` is not one of the 180 captions.
    """
    words = text.split()
    activity_text: str | None
    scene: Scene | None
    if words[:1] == ["a"]:
        words, activity_text = words[1:3], " ".join(words[3:])
    else:
        words, activity_text = words[:2], " ".join(words[2:]) or None
    is_noun = len(words) == 2 and words[0] in COLOURS and words[1] in SHAPES
    if is_noun and activity_text is None:
        scene = Scene(COLOURS.index(words[0]), SHAPES.index(words[1]))
    elif is_noun and activity_text in ACTIVITIES:
        activity = ACTIVITIES.index(activity_text)
        scene = Scene(COLOURS.index(words[0]), SHAPES.index(words[1]), activity)
    else:
        scene = None
    if scene is None or caption(scene) != text:
        raise ValueError(
            f"'{text}' is not a synthetic caption; these are nouns such as '{NOUNS[0]}' "
            f"and activity prompts such as '{ACTIVITY_PROMPTS[0]}'."
        )
    return scene


@dataclass(frozen=True)
class Layout:
    """What a caption leaves open, one entry per image; lengths in units of half the image width.

    Attributes:
        centre: (N, 2) x to the right and y downwards, image centre at 0.
        size: (N,) radius of the shape.
        rotation: (N,) radians.
        saturation: (N,) 1 is the full colour, 0 is grey.
        brightness: (N,) factor on the shape's colour.
        tint: (N, 3) additive jitter of the shape's colour.
        shading: (N, 2) change of the shape's brightness per unit of x and y.
        background: (N, 3) RGB in [0, 1].
        gradient: (N, 2) change of the background's brightness per unit of x and y.
        mark: (N,) grey level of the activity's line, frame or dot.
        mark_shift: (N,) displacement of the mark.
    """

    centre: np.ndarray
    size: np.ndarray
    rotation: np.ndarray
    saturation: np.ndarray
    brightness: np.ndarray
    tint: np.ndarray
    shading: np.ndarray
    background: np.ndarray
    gradient: np.ndarray
    mark: np.ndarray
    mark_shift: np.ndarray


def sample_layout(count: int, rng: np.random.Generator) -> Layout:
    """`count` random layouts; image k depends on the generator's state and `count` only."""

    def uniform(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, (count, *shape)).astype(np.float32)

    return Layout(
        centre=uniform(-0.12, 0.12, 2),
        size=uniform(0.44, 0.58),
        rotation=uniform(-0.16, 0.16),
        saturation=uniform(0.3, 1.0),
        brightness=uniform(0.85, 1.05),
        tint=uniform(-0.05, 0.05, 3),
        shading=uniform(-0.18, 0.18, 2),
        background=uniform(0.72, 0.92, 1) + uniform(-0.06, 0.06, 3),
        gradient=uniform(-0.08, 0.08, 2),
        mark=uniform(0.05, 0.45),
        mark_shift=uniform(-0.04, 0.04),
    )


def draw(scenes: Sequence[Scene], rng: np.random.Generator) -> torch.Tensor:
    """Random drawings of `scenes`.

    Returns:
        uint8 (N, 3, 32, 32) RGB; the same generator state gives the same bytes.
    """
    return render(scenes, sample_layout(len(scenes), rng))


def render(scenes: Sequence[Scene], layout: Layout) -> torch.Tensor:
    """Draw `scenes` with given layouts (see `draw`)."""
    if len(scenes) != len(layout.size):
        raise ValueError(f"{len(scenes)} scenes need as many layouts, not {len(layout.size)}.")
    colour = np.array([s.colour for s in scenes], dtype=np.int64)
    shape = np.array([s.shape for s in scenes], dtype=np.int64)
    activity = np.array(
        [NO_ACTIVITY if s.activity is None else s.activity for s in scenes], dtype=np.int64
    )
    x, y = pixel_grid()

    image = lit_background(layout.background, layout.gradient)
    mark = _mark_coverage(activity, layout.mark_shift, x, y)
    image = image * (1 - mark) + layout.mark[:, None, None, None] * mark

    rgb = shape_colour(colour, layout)
    dx = x - layout.centre[:, 0, None, None]
    dy = y - layout.centre[:, 1, None, None]
    light = 1 + layout.shading[:, 0, None, None] * dx + layout.shading[:, 1, None, None] * dy
    inside = _shape_coverage(shape, layout, dx, dy)[:, None]
    image = image * (1 - inside) + rgb[:, :, None, None] * light[:, None] * inside
    return to_uint8(image)


def pixel_grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixel centres, float32 (32, 32), image edges at -1 and 1, y downwards."""
    axis = (np.arange(IMAGE_SIZE, dtype=np.float32) + 0.5) / (IMAGE_SIZE / 2) - 1
    return np.broadcast_to(axis[None, :], (IMAGE_SIZE,) * 2), np.broadcast_to(
        axis[:, None], (IMAGE_SIZE,) * 2
    )


def shape_colour(colour: np.ndarray, layout: Layout) -> np.ndarray:
    """(N,) indices into COLOURS -> float32 (N, 3) RGB with the layout's jitter and saturation."""
    rgb = _COLOUR_RGB[colour] * layout.brightness[:, None] + layout.tint
    grey = rgb.mean(axis=1, keepdims=True)
    return grey + (rgb - grey) * layout.saturation[:, None]


def lit_background(background: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """(N, 3) colours and (N, 2) slopes -> float32 (N, 3, 32, 32)."""
    x, y = pixel_grid()
    slope = gradient[:, 0, None, None] * x + gradient[:, 1, None, None] * y
    return background[:, :, None, None] + slope[:, None]


def to_uint8(image: np.ndarray) -> torch.Tensor:
    """[0, 1] floats, rounded once."""
    return torch.from_numpy(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8))


def from_uint8(images: torch.Tensor) -> torch.Tensor:
    """uint8 [0, 255] -> float32 [-1, 1]."""
    return images.float() / 127.5 - 1


def _antialias(distance: np.ndarray) -> np.ndarray:
    """Signed distance (negative inside) -> coverage of the pixel, about one pixel soft."""
    return np.clip(0.5 - distance * (IMAGE_SIZE / 2), 0, 1).astype(np.float32)


def _mark_coverage(
    activity: np.ndarray, shift: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    shift = shift[:, None, None]
    line = np.abs(y - 0.84 - shift) - 0.07
    frame = np.abs(np.maximum(np.abs(x), np.abs(y)) - 0.86 - shift) - 0.06
    dot = np.hypot(x, y + 0.82 - shift) - 0.13
    nothing = np.ones_like(line)
    distance = np.choose(activity[:, None, None], [line, frame, dot, nothing])
    return _antialias(distance)[:, None]


def _shape_coverage(
    shape: np.ndarray, layout: Layout, dx: np.ndarray, dy: np.ndarray
) -> np.ndarray:
    cos, sin = np.cos(layout.rotation), np.sin(layout.rotation)
    coverage = np.empty_like(dx)
    for index, distance in enumerate(_DISTANCES):
        rows = np.flatnonzero(shape == index)
        if len(rows) == 0:
            continue
        size = layout.size[rows, None, None]
        c, s = cos[rows, None, None], sin[rows, None, None]
        u = (c * dx[rows] + s * dy[rows]) / size
        v = (-s * dx[rows] + c * dy[rows]) / size
        coverage[rows] = _antialias(distance(u, v) * size)
    return coverage


# Signed distances (some only bounds of them, which is enough for anti-aliasing) of shapes of
# radius about 1, u to the right and v downwards.


def _circle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.hypot(u, v) - 0.95


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) - 0.84


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    slope = np.hypot(2.0, 1.1)
    return np.maximum(v - 0.85, (2.0 * np.abs(u) - 1.1 * (v + 1.05)) / slope)


def _diamond(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (np.abs(u) / 0.72 + np.abs(v) / 1.15 - 1) / np.hypot(1 / 0.72, 1 / 1.15)


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five points upwards: fold into one tenth of a turn, then one straight edge."""
    radius, sector = np.hypot(u, v), 2 * np.pi / 5
    angle = np.abs((np.arctan2(u, -v) + sector / 2) % sector - sector / 2)
    px, py = radius * np.cos(angle), radius * np.sin(angle)
    outer, inner = 1.15, 0.48
    ex, ey = inner * np.cos(sector / 2) - outer, inner * np.sin(sector / 2)
    return ((px - outer) * ey - py * ex) / np.hypot(ex, ey)


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    u, v = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(u - 1.0, v - 0.3), np.maximum(u - 0.3, v - 1.0))


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(u, v) - 0.72) - 0.25


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Two lobes and the wedge below them."""
    u = np.abs(u)
    lobe = np.hypot(u - 0.47, v + 0.38) - 0.54
    side = (u * 0.76 + v * 0.65 - 0.66) / 1.0
    return np.minimum(lobe, np.maximum(side, -(v + 0.38)))


def _moon(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.hypot(u, v) - 1.0, 0.80 - np.hypot(u - 0.52, v))


_DISTANCES = (_circle, _square, _triangle, _diamond, _star, _cross, _ring, _heart, _moon)
