"""Every artefact's path, once. Patterns keep Snakemake's wildcards: `{experiment}`, `{arm}`, ..."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pcpo.figures.registry import FIGURES

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
