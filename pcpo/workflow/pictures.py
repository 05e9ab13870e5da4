"""Training in pictures: which experiments have a figure of their runs' preview images.

Arguments named `wildcards` are Snakemake's.
"""

from __future__ import annotations

from typing import Any

from pcpo.workflow.choice import Choice


class PictureTargets(Choice):
    """A figure shows all runs of an experiment in the first training seed."""

    def pictures(self) -> list[str]:
        """The figures of previews, of the first training seed; none where they are not drawn."""
        (seed,), place = self._first_seed, f"{self.paths.pictures}.png"
        chosen = self.experiments if self.scale.previews is not None else ()
        return [place.format(experiment=name, seed=seed) for name in chosen]

    def picture_options(self, wildcards: Any) -> list[str]:
        """`--arm ARM FOLDER` of all runs of an experiment and a training seed."""
        arms = self.of(wildcards).arms
        return [w for a in arms for w in ("--arm", a, self.paths.run.format(arm=a, **wildcards))]
