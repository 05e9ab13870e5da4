"""Every artefact's path, once. Patterns keep Snakemake's wildcards: `{experiment}`, `{arm}`, ..."""

from __future__ import annotations

from dataclasses import dataclass

TABLES = (
    *("table1", "table2a", "table2b", "table3", "table4"),
    *("table5a", "table5b", "table9", "table10"),
)
TABLE_SUFFIXES = ("csv", "md", "tex")


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
    def credit(self) -> str:
        return self.root + "/tidy/credit/{experiment}.parquet"

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

    # measurements
    @property
    def overall(self) -> str:
        return self.root + "/tidy/metrics/{experiment}/{arm}_seed{seed}_overall.parquet"

    @property
    def per_prompt(self) -> str:
        return self.root + "/tidy/metrics/{experiment}/{arm}_seed{seed}_per_prompt.parquet"

    @property
    def alignment(self) -> str:
        return self.root + "/tidy/alignment/{experiment}/{arm}_seed{seed}.parquet"

    # what a reader opens
    @property
    def table(self) -> str:
        return self.root + "/tables/{table}"

    @property
    def figure(self) -> str:
        return self.root + "/figures/{figure}"

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
