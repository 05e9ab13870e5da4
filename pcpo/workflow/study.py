"""The preference study: the runs whose images people compare."""

from __future__ import annotations

from pcpo.compared import COMPARED
from pcpo.config import Experiment
from pcpo.workflow.choice import Choice


class StudyTargets(Choice):
    """The pairs are of every training seed."""

    def study_files(self, experiment: Experiment) -> list[str]:
        """Manifests and selections of the runs whose images people compare."""
        name, paths = experiment.name, self.paths
        return [
            file
            for seed in self.seeds
            for file in (
                *(paths.manifest.format(experiment=name, arm=arm, seed=seed) for arm in COMPARED),
                paths.selection.format(experiment=name, seed=seed),
            )
        ]

    def study_options(self, experiment: Experiment) -> list[str]:
        """`--run SEED BASELINE PCPO SELECTION` for each training seed."""
        name, paths = experiment.name, self.paths
        return [
            word
            for seed in self.seeds
            for word in (
                *("--run", str(seed)),
                *(paths.run.format(experiment=name, arm=arm, seed=seed) for arm in COMPARED),
                paths.selection.format(experiment=name, seed=seed),
            )
        ]
