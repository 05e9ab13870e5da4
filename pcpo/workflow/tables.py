"""Which tables a workflow makes, and from which files.

Arguments named `wildcards` are Snakemake's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import product
from typing import Any

from pcpo.compared import COMPARED
from pcpo.config import Experiment
from pcpo.config.scale_differences import scale_differences
from pcpo.paths import TABLE_SUFFIXES
from pcpo.tables import TABLES
from pcpo.workflow.frames import FrameTargets


class TableTargets(FrameTargets):
    """Tables are over all training seeds that an experiment has."""

    @cached_property
    def tables(self) -> list[str]:
        """The tables whose experiments are all chosen, and have the images that they need."""
        return [
            name
            for name, table in TABLES.items()
            if self._has(table.experiments) and not table.lacks(self.experiments.values())
        ]

    def table_files(
        self, tables: Iterable[str], suffixes: Sequence[str] = TABLE_SUFFIXES
    ) -> list[str]:
        place = self.paths.table_file
        return [place.format(table=t, suffix=s) for t, s in product(tables, suffixes)]

    def table_inputs(self, wildcards: Any) -> dict[str, list[str]]:
        """Files of each frame that a table is made from, by the frame's name."""
        table = TABLES[wildcards.table]
        chosen = self._chosen(table.experiments)

        def arms(experiment: Experiment) -> list[str]:
            return [*COMPARED, *(arm for arm in table.also if arm in experiment.arms)]

        return {
            frame: self.run_frames(frame, chosen, arms)
            if frame == "updates"
            else self.measured_frames(frame, chosen)
            for frame in table.frames
        }

    def published(self, table: str, home: str) -> list[str]:
        """The paper's own table; none for a table that it does not have."""
        return [f"{home}config/paper/{table}.csv"] if TABLES[table].printed else []

    def table_differences(self, table: str) -> dict[str, list[str]]:
        """The line on its experiments' sizes below a table: a change redraws the table."""
        chosen = self._chosen(TABLES[table].experiments)
        return {e.name: scale_differences(e.name, self.scale.name) for e in chosen}

    def table_compared(self, table: str) -> list[str]:
        return self.compared_at(TABLES[table].experiments)
