"""All files that a workflow makes, and from which others each of them is made.

They depend only on what is chosen (`choice`). Each part is a module: `frames`, `jobs`, `tables`,
`figures`, `pictures`, `study`, `guidance`, `gradients`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from pcpo.config import Experiment
from pcpo.figures.registry import FIGURES, NO_ANSWERS, NOT_DRAWN, unmet
from pcpo.tables import TABLES
from pcpo.workflow.figures import FigureTargets
from pcpo.workflow.jobs import JobTargets
from pcpo.workflow.pictures import PictureTargets
from pcpo.workflow.study import StudyTargets
from pcpo.workflow.tables import TableTargets


class Targets(JobTargets, TableTargets, FigureTargets, PictureTargets, StudyTargets):
    """The files of a workflow."""

    def runs(self) -> dict[Path, tuple[Experiment, str, int]]:
        """Folder of each training run -> its experiment, arm and seed."""
        return {
            Path(self.paths.run.format(experiment=e.name, arm=arm, seed=seed)): (e, arm, seed)
            for e in self.experiments.values()
            for arm in e.arms
            for seed in e.training_seeds(self.seeds)
        }

    @cached_property
    def in_parts(self) -> dict[str, list[str]]:
        """Name of each table or figure that has parts -> the files of all parts."""
        tables, figures = _parts(TABLES), _parts(FIGURES)
        return {
            **{n: self.table_files(p) for n, p in tables.items() if {*p} <= {*self.tables}},
            **{n: self.figure_files(p) for n, p in figures.items() if {*p} <= {*self.figures}},
        }

    @cached_property
    def not_made(self) -> dict[str, str]:
        """Name of each table and figure that is not made of these experiments -> why."""
        own, made = self.experiments.values(), {*self.tables, *self.figures}
        numbers, whys = [e.number for e in own], dict(NOT_DRAWN)
        for name, table in TABLES.items():
            whys[name] = unmet(table.experiments, numbers, table.lacks(own))
        for name, figure in FIGURES.items():
            whys[name] = unmet(figure.experiments, numbers, figure.lacks(own)) or NO_ANSWERS
        found = {name: why for name, why in whys.items() if name not in made}
        for name, parts in (_parts(TABLES) | _parts(FIGURES)).items():
            if lacking := [part for part in parts if part in found]:
                found[name] = f"{lacking[0]} {found[lacking[0]]}"
        return found

    @property
    def synthetic_report(self) -> list[str]:
        """What was measured of models that the workflow trains itself; nothing at other scales."""
        names = ("accuracy.csv", "rewards.csv") if self.scale.synthetic else ()
        return [self.paths.synthetic(name) for name in names]

    @property
    def headroom(self) -> list[str]:
        """The table of how far the small rewards can be pushed beyond the base models' images.

        Nothing at other scales, and where no experiment has images.
        """
        made = self.scale.synthetic and self.base_images
        return [self.paths.synthetic("headroom.csv")] if made else []


def _parts(names: Iterable[str]) -> dict[str, list[str]]:
    """figure7 -> [figure7a, figure7b, ...]: what one word of the command line makes together."""
    found: dict[str, list[str]] = {}
    for name in names:
        if part := re.fullmatch(r"((?:table|figure)\d+)[a-z]", name):
            found.setdefault(part[1], []).append(name)
    return found
