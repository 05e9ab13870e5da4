"""Training in pictures: the same prompts and noise in the course of an experiment's runs."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from pcpo.figures import style
from pcpo.records.strips import Strip

MOST_PROMPTS = 8  # that are shown


@style.draws()
def training_in_pictures(runs: Mapping[str, Mapping[int, Strip]]) -> Figure:
    """A row for each prompt and arm, a column for each epoch; rows of a prompt are neighbours.

    runs: arm -> epoch -> strip. Prompts are those of `prompts_of`, numbered in their order. A strip
    that an arm lacks stays empty.
    """
    epochs = sorted({epoch for strips in runs.values() for epoch in strips})
    if not epochs:
        figure, axes = style.panels(1, 1)
        style.no_data(axes[0, 0])
        return figure
    prompts = prompts_of(runs)
    figure, axes = style.panels(len(prompts) * len(runs), len(epochs), width=1.1, height=1.14)
    for n, prompt in enumerate(prompts):
        for m, (arm, strips) in enumerate(runs.items()):
            row = axes[n * len(runs) + m]
            row[0].set_ylabel(f"{n + 1}\n{style.LABELS.get(arm, arm)}")
            for panel, epoch in zip(row, epochs, strict=True):
                strip = strips.get(epoch)
                if strip is not None and prompt in strip.prompts:
                    panel.imshow(strip.images[strip.prompts.index(prompt)])
    for panel, epoch in zip(axes[0], epochs, strict=True):
        panel.set_title(f"epoch {epoch}")
    for panel in axes.flat:
        panel.set(xticks=[], yticks=[])
        panel.grid(False)
        panel.spines[:].set_visible(False)
    return figure


def prompts_of(runs: Mapping[str, Mapping[int, Strip]]) -> list[str]:
    """The prompts that are shown: of all strips the first MOST_PROMPTS, each one once."""
    every = (p for strips in runs.values() for strip in strips.values() for p in strip.prompts)
    return list(dict.fromkeys(every))[:MOST_PROMPTS]
