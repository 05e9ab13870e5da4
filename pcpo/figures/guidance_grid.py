"""Figure 14: two aligned models mixed, over the strengths of both: images, and both rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pcpo.config.reward_guidance import folder_of, strengths_of
from pcpo.figures import style
from pcpo.figures.pictures import Pictures, show
from pcpo.records import frames

TITLE = "Two aligned models mixed by implicit reward guidance"
CAPTION = (
    "Samples between the base model (strengths 0 and 0) and the last checkpoints of PCPO in two "
    "configurations: every step takes the base model's prediction plus, for each aligned model, "
    "its strength times the difference of its prediction. Left: images of one prompt with the same "
    "noise; none was chosen by its looks. Middle and right: the reward of each configuration's "
    "training at the same strengths, mean over all prompts and training seeds."
)
AVERAGED = False  # there are no lines and no bands


@style.draws(frames.REWARD_GUIDANCE)
def guidance_grid(
    reward_guidance: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = ("pcpo",),
    pictures: Sequence[Pictures] = (),
) -> Figure:
    """The grid of images of the first caption, and a heat map of each experiment's reward.

    The first experiment has the frame, the others are mixed in. pictures: of the first experiment,
    or none; labels are those of `folder_of`. Values are means over training seeds.
    """
    count = max(1, len(experiments))
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    both: Any = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.9))
    left, right = both[0]
    panels = right.subplots(1, count, squeeze=False)[0]
    owner = experiments[0].name if experiments else ""
    rows = reward_guidance[reward_guidance["experiment"] == owner]
    if pictures and pictures[0].images:
        _images(left, pictures[0])
    rewards = rows.loc[rows["prompt_id"] >= 0, "measure"].unique().tolist()
    for n, (panel, experiment) in enumerate(zip(panels, experiments, strict=False)):
        panel.set_title(style.title(experiment, style.letters(experiments)[n]))
        if n >= len(rewards):
            style.no_data(panel)
            continue
        own = rows[rows["measure"] == rewards[n]]
        table = own.pivot_table("value", "beside_strength", "strength", aggfunc="mean")
        _heat_map(right, panel, table)
        panel.set_xlabel(f"strength of {experiments[0].number}")
        others = " and ".join(str(e.number) for e in experiments[1:])
        panel.set_ylabel(f"strength of {others}")
    return figure


def _heat_map(figure: Any, panel: Any, table: pd.DataFrame) -> None:
    """Strengths rise to the right and upwards; every cell has its number."""
    values = table.to_numpy()
    picture = panel.imshow(values, origin="lower", cmap="viridis", aspect="equal")
    panel.set_xticks(range(len(table.columns)), [f"{s:g}" for s in table.columns])
    panel.set_yticks(range(len(table.index)), [f"{s:g}" for s in table.index])
    panel.grid(False)
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if value < middle else "black"
        panel.text(column, row, f"{value:.3g}", ha="center", va="center", color=ink, fontsize=6)
    figure.colorbar(picture, ax=panel, shrink=0.8)


def _images(figure: Any, shown: Pictures) -> None:
    """The first caption's images, in the order of the heat maps."""
    points = [strengths_of(label) for label in shown.images]
    across = sorted({point[0] for point in points})
    up = sorted({point[1] for point in points}, reverse=True)
    panels = figure.subplots(len(up), len(across), squeeze=False)
    for point, images in zip(points, shown.images.values(), strict=True):
        show(panels[up.index(point[1]), across.index(point[0])], images[0])
    for panel, strength in zip(panels[-1], across, strict=True):
        panel.set_xlabel(folder_of([strength]), fontsize=6)
    for panel, strength in zip(panels[:, 0], up, strict=True):
        panel.set_ylabel(folder_of([strength]), fontsize=6)
