"""The cache folder: the weights, a copy of the sources in which the workflow runs, the records.

<cache>/data/       the published folders with random weights, written once
<cache>/work/       the sources; data is a link, results/true_size/ is the workflow's
<cache>/stages/     what was found in each stage that is done
<cache>/logs/       what the commands of each stage printed
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from pcpo.assets import read_assets
from pcpo.assets.needs import needed
from pcpo.config import Experiment, Scale, load_experiments, load_scale
from pcpo.paths import Paths
from tests.published import Size, lay_out
from tests.system.pipeline import ROOT, SOURCES, copy_sources, environment
from tests.true_size.stages import Failure, Record
from tests.true_size.watching import Usage, watch

SCALE = "true_size"
# What the stages write beside the weights: adapters and images, which stay; and the full
# fine-tuning's checkpoint and state, which are deleted at the stage's end.
SPARE_GB = 4.0
FULL_GB = 14.0
# Bytes from which malloc gives a freed tensor back at once. By itself glibc keeps those below 32 MB
# in a heap with holes: 0.6 to 0.9 GB with SD1.5, where all tensors together take what is counted.
GIVEN_BACK = 2**18
HEAVY = ("train", "select", "generate_base", "generate", "evaluate", "align")  # rules
PROMPTS = {
    "animal": ("cat", "dog", "horse"),
    "pick": ("a red circle", "a blue star on a hill", "a green dot"),
    "pick_eval": ("a lion in the snow", "a city at night", "a paper boat"),
    "pick_sfw": ("a blue square", "a yellow flower", "two boats"),
    "pick_sfw_validation": ("a castle on a rock", "a red kite", "a bowl of fruit"),
    "ocr": tuple(  # 8 in an iteration of configuration 8
        f'A {thing} that says "{word}"'
        for thing in ("sign", "poster")
        for word in ("Hello", "Open Day", "Exit", "Coffee")
    ),
    "ocr_validation": ('A cup with the text "Good"', 'A door that says "Exit"'),
}


class Place:
    """A cache folder, and how much a run in it may take.

    size: of the weights; "small" rehearses the stages in minutes. cores: torch's threads in each
    job of `HEAVY`, of which one runs at a time. most: bytes that the processes of a stage may have
    resident. scale: a file of config/scale/.
    """

    def __init__(
        self, cache: Path, size: Size, cores: int, most: float, scale: str = SCALE
    ) -> None:
        self.cache = cache.absolute()
        self.size, self.cores, self.most = size, cores, most
        self.work, self.data = self.cache / "work", self.cache / "data"
        self.record = Record(self.cache / "stages")
        self.paths, self.scale_name = Paths(scale), scale

    @property
    def scale(self) -> Scale:
        return load_scale(self.scale_name)

    @property
    def experiments(self) -> dict[int, Experiment]:
        """By number."""
        return {experiment.number: experiment for experiment in load_experiments(self.scale_name)}

    @property
    def results(self) -> Path:
        return self.work / self.paths.root

    def run_folder(self, experiment: Experiment, arm: str) -> Path:
        run = self.paths.run.format(experiment=experiment.name, arm=arm, seed=0)
        return self.work / run

    # --- disk -----------------------------------------------------------------------------------

    @property
    def assets(self) -> list[str]:
        """The folders of weights that the scale's experiments load."""
        wanted = needed(self.scale, self.experiments.values())
        return [asset for asset in wanted if not asset.startswith("sources/")]

    def missing_gigabytes(self) -> float:
        """Disk that the weights which are not written yet will take, and what is to be spare."""
        published = read_assets()
        rows = [
            row
            for asset in self.assets
            if not (self.data / asset / "assets.json").exists()
            for row in published[asset]
        ]
        # The two versions of HPS are one file here.
        once = sum(row.gigabytes for row in rows if row.path != "HPS_v2.1_compressed.pt")
        if self.size != "true":
            return 1.0 + SPARE_GB
        # It is written before most of the weights; where they are all there, beside them.
        full = 0.0 if self.record.done("full_fine_tuning") else FULL_GB
        return max(once, full) + SPARE_GB

    def check_disk(self) -> float:
        """Gigabytes that are needed still. Raises Failure if the disk does not have them."""
        self.cache.mkdir(parents=True, exist_ok=True)
        free, wanted = shutil.disk_usage(self.cache).free / 1e9, self.missing_gigabytes()
        if free < wanted:
            raise Failure(
                f"{self.cache}: {wanted:.0f} GB of disk are needed, {free:.0f} are free: name a "
                "folder on another disk (CACHE=...), or make room"
            )
        return wanted

    # --- the workflow's folder ------------------------------------------------------------------

    def prepare(self) -> None:
        """The sources as they are now, a link to the weights, and the prompts."""
        for name in SOURCES:
            if (self.work / name).is_dir():
                shutil.rmtree(self.work / name)
        copy_sources(self.work)
        self.data.mkdir(parents=True, exist_ok=True)
        link = self.work / "data"
        if not link.is_symlink():
            link.symlink_to(self.data, target_is_directory=True)
        prompts = self.data / "prompts"
        prompts.mkdir(exist_ok=True)
        for name, texts in PROMPTS.items():
            text = "".join(f"{prompt}\n" for prompt in texts)
            if not (file := prompts / f"{name}.txt").exists():  # a newer file trains again
                file.write_text(text, encoding="utf-8")

    def write_weights(self, assets: Iterable[str]) -> None:
        lay_out(self.data, self.size, assets)

    # --- commands -------------------------------------------------------------------------------

    def python(
        self,
        stage: str,
        *arguments: str,
        at_times: Callable[[], bool] = lambda: False,
        killed: bool = False,
    ) -> Usage:
        """`python <arguments>` in the workflow's folder.

        Raises Failure if it does not end well, or, with `killed`, if it ends before it is killed.
        """
        variables = environment(self.work) | {
            "OMP_NUM_THREADS": str(self.cores),
            "MALLOC_MMAP_THRESHOLD_": str(GIVEN_BACK),
            "PYTHONPATH": str(ROOT),  # for tests.true_size; the folder's own pcpo comes first
        }
        output = self.cache / "logs" / f"{stage}.log"
        command = [sys.executable, *arguments]
        usage = watch(command, self.work, variables, output, self.most, at_times)
        if (usage.code == 0) == killed or (killed and usage.code > 0):
            ended = "ended before it was killed" if killed else f"ended with {usage.code}"
            raise Failure(f"python {' '.join(arguments[:6])} ... {ended}; see {output}")
        usage.peaks = self.record.peaks(stage, usage.peaks)
        return usage

    def snakemake(
        self,
        stage: str,
        *targets: str,
        experiments: Iterable[str] = (),
        at_times: Callable[[], bool] = lambda: False,
    ) -> Usage:
        """The workflow, one job of `HEAVY` at a time; `experiments`: all of the scale without."""
        chosen = [f"experiments=[{','.join(experiments)}]"] if experiments else []
        return self.python(
            stage, "-m", "snakemake", "--cores", str(self.cores),
            # A job's torch has as many threads as its rule, and takes all cores: one at a time.
            "--set-threads", *(f"{rule}={self.cores}" for rule in HEAVY),
            "--rerun-incomplete", "--nolock",  # a stage that was killed leaves its lock
            "--config", f"scale={self.scale_name}", *chosen, "--", *targets,
            at_times=at_times,
        )  # fmt: skip
