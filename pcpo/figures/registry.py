"""Which figures there are: of the paper and of our own, their panels and arms, and what they need.

A figure's kind is a module of this folder. The Snakefile reads this file at every start: it imports
nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pcpo.compared import COMPARED

# Kinds of figures that show images.
PICTURED = ("sample_grid", "guidance_scale", "guidance_grid")
# Kinds of figures of selected checkpoints' images, or of what was measured of them.
OF_IMAGES = ("sample_grid", "null_pairs")
# Kinds of figures of what only some experiments have: the experiment's key that is then no null.
NEEDS = {
    "gradients_by_timestep": "gradients",
    "guidance_scale": "reward_guidance",
    "guidance_grid": "reward_guidance",  # of the first panel, which names the other
}


def lacking_images(numbers: Iterable[int], experiments: Iterable[Any]) -> str:
    """Which images a scale lacks for a table or figure of these numbers; "" where none.

    An experiment has none where none of its arms is measured.
    """
    lacking = sorted({*numbers} & {e.number for e in experiments if not e.measured})
    if not lacking:
        return ""
    listed = ", ".join(map(str, lacking))
    return f"images of configuration {listed}, of which this scale has none (compared)"


def unmet(needed: Iterable[int], chosen: Iterable[int], lacks: str) -> str:
    """Why a table or figure cannot be made; "" where it can.

    needed: numbers of its configurations, of which a run has `chosen`. lacks: what these lack.
    """
    if lacking := sorted({*needed} - {*chosen}):
        return (
            f"needs configuration {', '.join(map(str, lacking))}, which this run leaves out "
            "(experiments in config/config.yaml)"
        )
    return f"needs {lacks}" if lacks else ""


class FigureInput(NamedTuple):
    """A figure: its kind (a module of pcpo/figures, which says what it reads), panels and arms.

    `also` are arms that are drawn too where the scale's experiment trains them.
    """

    kind: str
    experiments: tuple[int, ...]
    arms: tuple[str, ...] = COMPARED
    also: tuple[str, ...] = ()

    def lacks(self, experiments: Iterable[Any]) -> str:
        """What it shows and the experiments of its panels lack at their scale; "" where nothing."""
        own = [e for e in experiments if e.number in self.experiments]
        if untrained := [arm for arm in self.arms if not all(arm in e.arms for e in own)]:
            return f"the arm {', '.join(untrained)}, which this scale does not train"
        key = NEEDS.get(self.kind)
        owners = [e for e in own if self.kind != "guidance_grid" or e.number == self.experiments[0]]
        without = [str(e.number) for e in owners if key is not None and getattr(e, key) is None]
        if without:
            return f"{key} of configuration {', '.join(without)}, which this scale does not measure"
        if self.kind in OF_IMAGES:
            return lacking_images(self.experiments, own)
        return ""


# The paper's figures that are drawn from data; `NOT_DRAWN` has the others.
FIGURES = {
    "figure1a": FigureInput("sample_grid", (2,)),
    "figure1b": FigureInput("sample_grid", (6,)),
    # Of the paper's own samplers, whatever is run.
    "figure2": FigureInput("credit_weights", (), also=("pcpo_exact", "inverse_square")),
    "figure3": FigureInput("training_curves", (2, 4, 5, 6)),
    "figure4": FigureInput("preference", (6,)),
    "figure5": FigureInput("validation_and_kl", (8, 9)),
    "figure6": FigureInput(
        "ablation",
        (1,),
        arms=("baseline", "log_hinge", "matching", "pcpo"),
        also=("pcpo_exact", "reweight"),
    ),
    "figure7a": FigureInput("heuristics", (1,), also=("half_timesteps",)),
    "figure7b": FigureInput("sample_grid", (1,), also=("half_timesteps",)),
    "figure7d": FigureInput("heuristics", (10,), also=("uniform",)),
    "figure9": FigureInput("training_curves", (1, 3)),
    "figure10": FigureInput("ratio_distribution", (2, 6)),
    "figure11": FigureInput("gradient_statistics", (2, 6)),
    "figure12": FigureInput("timestep_credit", (2, 6)),
    "figure13": FigureInput("guidance_scale", (5, 6), arms=("pcpo",)),
    "figure14": FigureInput("guidance_grid", (2, 4), arms=("pcpo",)),
    "figure15": FigureInput("sample_grid", (2,)),
    "figure16": FigureInput("sample_grid", (2,)),
    "figure17": FigureInput("sample_grid", (4, 2)),
    "figure18": FigureInput("sample_grid", (5,)),
    "figure19": FigureInput("sample_grid", (6,)),
    "figure20": FigureInput("sample_grid", (6,)),
    # Not in the paper: the other configurations' training, so that each is shown.
    "curves_7_to_10": FigureInput("training_curves", (7, 8, 9, 10)),
    "ablation_of_credit": FigureInput(
        "credit_ablation",
        (1,),
        also=(
            *("matching", "pcpo_exact", "reweight", "variance_only", "lambda", "drop_largest"),
            "inverse_square",
        ),
    ),
    "two_trainings_of_one_arm": FigureInput("null_pairs", (1, 2, 5, 6)),
    # The second study: every arm that takes PCPO apart.
    "gains_of_arms": FigureInput(
        "arm_gains",
        (1, 6, 8),
        arms=("baseline", "credit_only"),
        also=(
            *("log_hinge", "log_hinge_fp32", "matching", "drop_largest"),
            *("reweight", "pcpo", "region_only", "reweight_matched"),
            *("reweight_per_step", "native_unclipped", "reweight_unclipped", "tempflow"),
            *("grpo_guard", "fair_clip", "matching_tenfold", "matching_tenth"),
            *("reweight_higher", "matching_balanced", "reweight_balanced"),
            *("matching_window", "reweight_window", "solved_sampler", "baseline_kl0"),
            *("baseline_kl4", "pcpo_kl0", "pcpo_kl4"),
        ),
    ),
    "gains_early_late": FigureInput(
        "arm_gains",
        (11, 12),
        also=("matching", "reweight", "drop_largest", "tempflow"),
    ),
    "parts_of_gain": FigureInput(
        "parts_of_gain",
        (1,),
        arms=(
            *("baseline", "log_hinge", "log_hinge_fp32", "matching", "drop_largest", "reweight"),
            "pcpo",
        ),
    ),
    "taylor_error": FigureInput(
        "taylor_error",
        (1, 6, 8),
        arms=("baseline", "matching", "pcpo"),
    ),
    # The cells of config/grid.yaml.
    "robustness_grid": FigureInput("response_surface", tuple(range(101, 118))),
    # Where a scale measures gradients (`NEEDS`).
    "gradients_by_timestep": FigureInput("gradients_by_timestep", (6, 8), also=("matching",)),
    "samples_bertscore": FigureInput("sample_grid", (4,)),
    "samples_ocr": FigureInput("sample_grid", (8,)),
}
# Of experiments and arms that the second study alone has (docs/study-2.md).
OF_SECOND_STUDY = (
    "gains_of_arms", "gains_early_late", "parts_of_gain", "taylor_error", "robustness_grid",
)  # fmt: skip
# Figures and panels of the paper that are not drawn, and why: the report lists them.
_UNKNOWN = (
    "no sentence of the paper refers to it and its Table 6 names no configuration for it, so that "
    "no run is known to hold its data"
)
NOT_DRAWN = {
    "figure7c": _UNKNOWN,
    "figure8": _UNKNOWN,
}

# Figures that are drawn only once people have answered (`Paths.answered`), and why they are not.
OF_PEOPLE = tuple(name for name, figure in FIGURES.items() if figure.kind == "preference")
COMPARED_BY_PEOPLE = FIGURES[
    OF_PEOPLE[0]
].experiments  # the configurations whose images people compare
NO_ANSWERS = (
    "no answers of people yet: `snakemake --cores all study_pairs` makes the pairs of images, "
    "`python -m pcpo.cli.preference serve` asks people (docs/preference.md)"
)
