"""Figure 13: images, reward and distance to the base model over the strength of guidance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pcpo.config.reward_guidance import folder_of
from pcpo.figures import style
from pcpo.figures.lettering import lettering
from pcpo.figures.pictures import Pictures, show
from pcpo.records import frames

TITLE = "Implicit reward guidance over its strength"
CAPTION = (
    "Samples that take (1 - s) times the base model's prediction and s times that of the last "
    "checkpoint of PCPO in every step: s = 0 is the base model, s = 1 the aligned model. The "
    "images of a row have the same prompt and the same noise; none was chosen by its looks. Right: "
    "the training's reward, mean over all prompts, and the Fréchet distance to the images of "
    "s = 0, of the same prompts and noise. Of few images this distance is no FID."
)
_MEASURES = ("reward", "distance to s = 0")


@style.draws(frames.REWARD_GUIDANCE)
def guidance_scale(
    reward_guidance: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = ("pcpo",),
    pictures: Sequence[Pictures] = (),
) -> Figure:
    """One block per experiment: images of each strength in columns, two curves beside them.

    pictures: of each experiment, or none; their rows have the labels of `folder_of`. Images are
    of one training seed. Curves are means over seeds, with a band from the lowest to the highest.
    """
    count = max(1, len(experiments))
    figure = Figure(figsize=(7.2, 2.5 * count), layout="constrained")
    blocks = figure.subfigures(count, 1, squeeze=False)[:, 0]
    arm = next(iter(arms), "pcpo")
    for n, (block, experiment) in enumerate(zip(blocks, experiments, strict=False)):
        rows = reward_guidance[reward_guidance["experiment"] == experiment.name]
        shown = pictures[n] if n < len(pictures) else Pictures({}, ())
        left, right = block.subfigures(1, 2, width_ratios=(2.6, 1))
        reward, distance = right.subplots(2, 1, sharex=True)
        if shown.images:
            _images(left, shown)
        measured = [_of(rows, of_prompts=True), _of(rows, of_prompts=False)]
        for panel, values, label in zip((reward, distance), measured, _MEASURES, strict=True):
            if values.empty:
                style.no_data(panel)
                continue
            _curve(panel, values, arm)
            panel.set_ylabel(label)
        reward.set_title(style.title(experiment, style.letters(experiments)[n]))
        distance.set_xlabel("strength s")
    return figure


def _images(figure: Any, shown: Pictures) -> None:
    """Rows are prompts, columns are strengths."""
    panels = figure.subplots(len(shown.captions), len(shown.images), squeeze=False)
    letters = lettering(shown.captions)
    for column, (label, images) in zip(panels.T, shown.images.items(), strict=True):
        for panel, image in zip(column, images, strict=True):
            show(panel, image)
        column[0].set_title(f"s = {label}", fontsize=6)
    for row, caption in zip(panels, shown.captions, strict=True):
        row[0].set_ylabel(
            _short(letters.drawn(caption)), fontsize=5, parse_math=False,
            family=list(letters.families),
        )  # fmt: skip


def _short(text: str, width: int = 18, most: int = 3) -> str:
    """A caption in a few short lines; the text below the figure has it in full."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()[:width]
    return "\n".join(lines[:most]) + (" ..." if len(lines) > most else "")


def _of(rows: pd.DataFrame, of_prompts: bool) -> pd.DataFrame:
    """One row per seed and strength: a reward's mean over prompts, or the distance."""
    own = rows[(rows["prompt_id"] >= 0) == of_prompts]
    return own.groupby(["measure", "seed", "strength"], as_index=False)[["value"]].mean()


def _curve(panel: Any, values: pd.DataFrame, arm: str) -> None:
    of_seeds = values.groupby("strength")["value"].agg(["mean", "min", "max"])
    x = of_seeds.index.to_numpy()
    panel.plot(x, of_seeds["mean"], color=style.colour(arm), marker=style.MARKERS.get(arm, "."))
    if values["seed"].nunique() > 1:
        colour = style.colour(arm)
        panel.fill_between(x, of_seeds["min"], of_seeds["max"], color=colour, alpha=0.15)
    for strength in (0.0, 1.0):  # the base model and the aligned one
        panel.axvline(strength, color="0.6", linewidth=0.7, linestyle=":")
    panel.set_xticks([*x], [folder_of([s]) for s in x], fontsize=6)
