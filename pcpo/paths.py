"""Every artefact's path, once. Patterns keep Snakemake's wildcards: `{experiment}`, `{arm}`, ..."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

TABLE_SUFFIXES = ("csv", "md", "tex")
PACKAGE = Path(__file__).resolve().parent


class TableInput(NamedTuple):
    """The frames (of `pcpo.frames`) and the experiments that a table is made from."""

    frames: tuple[str, ...]
    experiments: tuple[int, ...]


_QUALITY = ("overall", "per_prompt", "selection")
TABLES = {
    "table1": TableInput(("updates",), (2, 4, 5, 6)),
    "table2a": TableInput(_QUALITY, (1, 2)),
    "table2b": TableInput(_QUALITY, (5, 6)),
    "table3": TableInput(("per_prompt", "selection"), (1, 2, 3, 4)),
    "table4": TableInput(("per_prompt", "selection"), (5, 6)),
    "table5a": TableInput(("alignment", "selection"), (5, 6)),
    "table5b": TableInput(("alignment", "selection"), (5, 6)),
    "table9": TableInput(("alignment", "selection"), (7,)),
    "table10": TableInput(("updates",), (1, 2, 3, 4, 5, 6)),
}


class FigureInput(NamedTuple):
    """A figure: its kind (a module of pcpo/figures), its panels, its frame and the arms drawn."""

    kind: str
    experiments: tuple[int, ...]
    frame: str = "updates"
    arms: tuple[str, ...] = ("baseline", "pcpo")


FIGURES = {
    "figure1a": FigureInput("sample_grid", (2,), "images"),
    "figure1b": FigureInput("sample_grid", (6,), "images"),
    "figure2": FigureInput("credit_weights", (2, 6, 9), "credit"),
    "figure3": FigureInput("training_curves", (2, 4, 5, 6)),
    "figure6": FigureInput("ablation", (1,), arms=("baseline", "log_hinge", "matching", "pcpo")),
    "figure9": FigureInput("training_curves", (1, 3)),
    "figure10": FigureInput("ratio_distribution", (2, 6)),
    # Not in the paper: the other configurations' training, so that none goes unseen.
    "curves_7_to_10": FigureInput("training_curves", (7, 8, 9, 10)),
    "samples_bertscore": FigureInput("sample_grid", (4,), "images"),
    "samples_ocr": FigureInput("sample_grid", (8,), "images"),
}


def table_files() -> list[str]:
    """Sources of the tables: an edit redraws them."""
    return sorted(str(p.relative_to(PACKAGE.parent)) for p in (PACKAGE / "tables").glob("*.py"))


@dataclass(frozen=True)
class Paths:
    """Paths below results/<scale>/."""

    scale: str

    @property
    def root(self) -> str:
        return f"results/{self.scale}"

    # the demo world
    def world(self, part: str) -> str:
        return f"{self.root}/world/{part}"

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
    def credit(self) -> str:
        return self.root + "/tidy/credit.parquet"

    # selection
    @property
    def selection(self) -> str:
        return self.root + "/selection/{experiment}/seed{seed}.csv"

    # images: of a selected checkpoint, and of the base model
    @property
    def images(self) -> str:
        return self.root + "/images/{experiment}/{arm}/seed{seed}"

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
        return self.root + "/tidy/overall/{experiment}_seed{seed}.parquet"

    @property
    def per_prompt(self) -> str:
        return self.root + "/tidy/per_prompt/{experiment}_seed{seed}.parquet"

    @property
    def alignment(self) -> str:
        return self.root + "/tidy/alignment/{experiment}_seed{seed}.parquet"

    # what a reader opens
    @property
    def table(self) -> str:
        return self.root + "/tables/{table}"

    @property
    def table_file(self) -> str:
        return self.table + ".{suffix}"

    @property
    def table_csv(self) -> str:
        return self.table + ".csv"

    @property
    def figure(self) -> str:
        return self.root + "/figures/{figure}"

    @property
    def figure_file(self) -> str:
        return self.figure + ".{suffix}"

    @property
    def compare(self) -> str:
        return self.root + "/compare.csv"

    def log(self, rule: str, *wildcards: str) -> str:
        """Log of a rule, with its wildcards in the file's name."""
        name = "_".join(f"{{{w}}}" for w in wildcards) or "log"
        return f"{self.root}/logs/{rule}/{name}.log"

    def benchmark(self, rule: str, *wildcards: str) -> str:
        name = "_".join(f"{{{w}}}" for w in wildcards) or "job"
        return f"{self.root}/benchmarks/{rule}/{name}.tsv"
