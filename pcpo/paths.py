"""Every artefact's path, once. Patterns keep Snakemake's wildcards: `{experiment}`, `{arm}`, ..."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

TABLE_SUFFIXES = ("csv", "md", "tex", "json")  # the last for the report, which prints it
FIGURE_SUFFIXES = ("pdf", "png", "svg")
CAPTION_SUFFIXES = ("md", "json")  # beside a figure; the last for the report
PICTURE_SUFFIXES = ("png", *CAPTION_SUFFIXES)  # of a training in pictures
PACKAGE = Path(__file__).resolve().parent

# Frames by what a file of them belongs to: a training run, an experiment and a training seed, the
# whole workflow. `Paths` has a place of the same name for each.
RUN_FRAMES = ("updates", "timesteps", "validation")
EXPERIMENT_FRAMES = ("overall", "per_prompt", "selection", "alignment")
SINGLE_FRAMES = ("credit", "readings")
# Of people's answers: there only once they were collected (docs/preference.md).
STUDY_FRAMES = ("preference",)
# Of an experiment too, but only of those that have `reward_guidance` (`pcpo.config`).
GUIDED_FRAMES = ("reward_guidance",)
# Of a run too, but only of those that `gradients` of an experiment names.
GRADIENT_FRAMES = ("gradients",)
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


class FigureInput(NamedTuple):
    """A figure: its kind (a module of pcpo/figures, which says what it reads), panels and arms.

    `also` are arms that are drawn too where the scale's experiment trains them.
    """

    kind: str
    experiments: tuple[int, ...]
    arms: tuple[str, ...] = ("baseline", "pcpo")
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
            *("log_hinge", "log_hinge_fp32", "baseline_fp32", "matching", "drop_largest"),
            *("reweight", "pcpo", "variance_only", "region_only", "reweight_matched"),
            *("reweight_per_step", "native_unclipped", "reweight_unclipped", "tempflow"),
            *("grpo_guard", "fair_clip", "fair_clip_2", "matching_tenfold", "matching_tenth"),
            *("matching_higher", "reweight_higher", "matching_balanced", "reweight_balanced"),
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
NO_ANSWERS = (
    "no answers of people yet: `snakemake --cores all study_pairs` makes the pairs of images, "
    "`python -m pcpo.cli.preference serve` asks people (docs/preference.md)"
)

# Rules whose outputs depend on the sampler of the evaluation images; the figures besides.
_EVALUATED = (
    *("select", "generate", "evaluate", "align"),
    *("table", "compare_tables", "claims", "questions", "report", "archive"),
)


@dataclass(frozen=True)
class Paths:
    """Paths below results/<scale>/; `home` is the folder of an unpacked archive, with its slash.

    `sampler` is that of the evaluation images: what depends on them is in a folder of its own where
    it is `own`, beside what is shared: synthetic data, runs, credit weights, the base
    model's images.
    """

    scale: str
    home: str = ""
    sampler: str = "native"

    @property
    def root(self) -> str:
        return f"{self.home}results/{self.scale}"

    @property
    def evaluated(self) -> str:
        """Root of all that depends on the sampler of the evaluation images."""
        return self.root if self.sampler == "native" else f"{self.root}/{self.sampler}_sampler"

    # synthetic data and models
    def synthetic(self, part: str) -> str:
        return f"{self.root}/synthetic/{part}"

    @property
    def embeddings(self) -> str:
        """Of prompts, below it one folder per set of text encoders; not declared by any rule."""
        return f"{self.root}/embeddings"

    # training
    @property
    def run(self) -> str:
        return self.root + "/runs/{experiment}/{arm}/seed{seed}"

    @property
    def manifest(self) -> str:
        return self.run + "/checkpoints.csv"

    @property
    def updates(self) -> str:
        return self.run + "/updates.parquet"

    @property
    def timesteps(self) -> str:
        return self.run + "/timesteps.parquet"

    @property
    def validation(self) -> str:
        return self.run + "/validation.parquet"

    @property
    def gradients(self) -> str:
        return self.root + "/tidy/gradients/{experiment}/{arm}_seed{seed}.parquet"

    @property
    def credit(self) -> str:
        return self.root + "/tidy/credit.parquet"

    @property
    def readings(self) -> str:
        return self.root + "/tidy/readings.parquet"

    # the preference study
    @property
    def study(self) -> str:
        return self.root + "/study"

    @property
    def study_pairs(self) -> str:
        """The pool of pairs; the images lie beside it."""
        return self.study + "/pairs/pairs.json"

    @property
    def study_keys(self) -> str:
        """Folder of the pools' keys, one file each."""
        return self.study + "/keys"

    @property
    def study_answers(self) -> str:
        """The answers of people, which no rule makes."""
        return self.study + "/answers.sqlite"

    @property
    def study_analysis(self) -> str:
        return self.study + "/analysis.md"

    @property
    def preference(self) -> str:
        return self.root + "/tidy/preference.parquet"

    def answered(self) -> bool:
        """Whether people have answered: their answers are here, or an archive has their frame."""
        return Path(self.preference if self.home else self.study_answers).exists()

    # samples between the base model and aligned ones: by the native sampler, of which both are
    @property
    def reward_guidance(self) -> str:
        return self.root + "/tidy/reward_guidance/{experiment}_seed{seed}.parquet"

    @property
    def guided_images(self) -> str:
        """`point`: `pcpo.config.reward_guidance.folder_of`."""
        return self.root + "/images/reward_guidance/{experiment}/seed{seed}/{point}"

    @property
    def guided_index(self) -> str:
        return f"{self.guided_images}/index.csv"

    # selection
    @property
    def selection(self) -> str:
        return self.evaluated + "/selection/{experiment}/seed{seed}.csv"

    # images: of a selected checkpoint, and of the base model
    @property
    def images(self) -> str:
        return self.evaluated + "/images/{experiment}/{arm}/seed{seed}"

    @property
    def base_images(self) -> str:
        return self.root + "/images/base/{base}"

    @property
    def image_index(self) -> str:
        return f"{self.images}/index.csv"

    @property
    def base_index(self) -> str:
        return f"{self.base_images}/index.csv"

    # measurements: every arm of an experiment, and its base model, in one frame
    @property
    def overall(self) -> str:
        return self.evaluated + "/tidy/overall/{experiment}_seed{seed}.parquet"

    @property
    def per_prompt(self) -> str:
        return self.evaluated + "/tidy/per_prompt/{experiment}_seed{seed}.parquet"

    @property
    def alignment(self) -> str:
        return self.evaluated + "/tidy/alignment/{experiment}_seed{seed}.parquet"

    # training in pictures: the preview images of an experiment's runs, as a figure
    @property
    def pictures(self) -> str:
        return self.root + "/pictures/{experiment}_seed{seed}"

    @property
    def picture_file(self) -> str:
        return self.pictures + ".{suffix}"

    # what a reader opens
    @property
    def table(self) -> str:
        return self.evaluated + "/tables/{table}"

    @property
    def table_file(self) -> str:
        return self.table + ".{suffix}"

    @property
    def figure(self) -> str:
        return self.evaluated + "/figures/{figure}"

    @property
    def figure_file(self) -> str:
        return self.figure + ".{suffix}"

    @property
    def compare(self) -> str:
        return self.evaluated + "/compare.csv"

    @property
    def claims(self) -> str:
        """The ledger, without its suffix: .csv and .md."""
        return self.evaluated + "/claims"

    @property
    def questions(self) -> str:
        """The ledger of a scale's own questions, without its suffix."""
        return self.evaluated + "/questions"

    @property
    def report(self) -> str:
        return self.evaluated + "/report.html"

    @property
    def archive(self) -> str:
        return self.evaluated + "/archive.zip"

    def log(self, rule: str, *wildcards: str) -> str:
        """Log of a rule, with its wildcards in the file's name."""
        name = "_".join(f"{{{w}}}" for w in wildcards) or "log"
        return f"{self._of(rule)}/logs/{rule}/{name}.log"

    def benchmark(self, rule: str, *wildcards: str) -> str:
        name = "_".join(f"{{{w}}}" for w in wildcards) or "job"
        return f"{self._of(rule)}/benchmarks/{rule}/{name}.tsv"

    def _of(self, rule: str) -> str:
        """Where a rule's records lie: with its outputs."""
        return self.evaluated if rule in (*_EVALUATED, *FIGURES) else self.root


def run_of(path: str | Path) -> dict[str, str]:
    """Experiment, arm and seed that a frame's place below results/ is for; {} for other places."""
    for pattern in _OF_RUNS:
        if found := re.search(pattern, Path(path).as_posix()):
            return found.groupdict()
    return {}


def _pattern(place: str) -> str:
    """Of a path that ends in such a place, whatever results/ it is below."""
    below = place.removeprefix(_ANY.root + "/")
    return r"(?:^|/)" + re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(below)) + "$"


_ANY = Paths("any")
_OF_RUNS = [
    _pattern(getattr(_ANY, frame))
    for frame in (*RUN_FRAMES, *GRADIENT_FRAMES, *EXPERIMENT_FRAMES, *GUIDED_FRAMES)
]
