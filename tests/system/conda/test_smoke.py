"""`make test-conda`: the smoke pipeline with --use-conda, from the unchanged environment files.

Needs 16 GB in $TMPDIR and takes 5 GB from the package index: train and evaluate each get a torch
with CUDA. All of it is removed again.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.system.conda.install import ROOT, install, processes, shell
from tests.system.pipeline import copy_sources
from tests.system.test_envs import LOCK, commands, loadable, pins

pytestmark = pytest.mark.conda

ENVIRONMENTS = ("train", "evaluate", "report")
GIGABYTES = 16
# For a machine with little time, one with a figure, one with a table:
# PCPO_TEST_EXPERIMENTS=[02_ddpo_aesthetic,07_dancegrpo_sd15_pickscore] make test-conda.
EXPERIMENTS = os.environ.get("PCPO_TEST_EXPERIMENTS", "all")


class Pipeline:
    """A copy of the repository, the double of conda, and a Python that has Snakemake alone."""

    def __init__(self, folder):
        self.repository, self.home, self.caller = (
            folder / name for name in ("repository", "conda", "caller")
        )
        copy_sources(self.repository)
        install(self.home)
        self.environment = shell(self.home, self.caller / "bin")
        subprocess.run([sys.executable, "-m", "venv", self.caller], check=True)
        constraints = folder / "constraints.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in LOCK.items()))
        pip = [self.caller / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run(
            [*pip, "--constraint", constraints, "snakemake", "pydantic", "pyyaml"],
            check=True, env=self.environment,
        )  # fmt: skip

    def run(self, *command, cwd=None):
        """Run a command as the caller's shell would; returns (exit code, all that it printed)."""
        done = subprocess.run(
            command, cwd=cwd or self.repository, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    def snakemake(self, *arguments):
        chosen = ["--config", "scale=smoke", f"experiments={EXPERIMENTS}"]
        return self.run("snakemake", "--cores", "all", "--show-failed-logs", *arguments, *chosen)

    def prefixes(self):
        """Name of an environment -> its folder, by the copy of the file that Snakemake leaves."""
        texts = {(ROOT / "envs" / f"{name}.yaml").read_text(): name for name in ENVIRONMENTS}
        made = self.repository / ".snakemake" / "conda"
        return {texts[file.read_text()]: file.with_suffix("") for file in made.glob("*.yaml")}


@pytest.fixture(scope="module")
def pipeline():
    """The pipeline before anything has run."""
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free < GIGABYTES:
        pytest.fail(f"{tempfile.gettempdir()} has {free:.0f} GB free, {GIGABYTES} are needed")
    with tempfile.TemporaryDirectory(prefix="pcpo-conda-") as folder:
        yield Pipeline(Path(folder).resolve())


@pytest.fixture(scope="module")
def environments(pipeline):
    """The same with its environments."""
    code, output = pipeline.snakemake("--use-conda", "--conda-create-envs-only")
    assert code == 0, output[-20_000:]
    return pipeline


@pytest.fixture(scope="module")
def finished(environments):
    """The same with its results."""
    code, plan = environments.snakemake("--use-conda", "--dry-run", "--printshellcmds")
    assert code == 0, plan
    environments.planned = set(re.findall(r"\bpcpo\.cli\.\w+", plan))
    code, output = environments.snakemake("--use-conda")
    assert code == 0, output[-20_000:]
    return environments


def test_the_caller_can_run_no_job_itself(pipeline):
    """So whatever succeeds below ran elsewhere."""
    wanted = "results/smoke/synthetic/quality_network/config.json"
    code, output = pipeline.snakemake(wanted)
    assert code != 0
    assert "No module named" in output
    assert not (pipeline.repository / wanted).exists()


def test_a_real_scale_can_be_planned_from_the_same_caller(pipeline):
    code, output = pipeline.run(
        "snakemake", "--dry-run", "--use-conda", "--configfile", "config/paper.yaml"
    )
    assert code == 0, output
    assert "Job stats:" in output


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_holds_its_pins_and_nothing_else(environments, name):
    python = environments.prefixes()[name] / "bin" / "python"
    code, output = environments.run(python, "-m", "pip", "list", "--format=freeze")
    assert code == 0, output
    held = dict(re.findall(r"^([\w.-]+)==(\S+)$", output, re.M))
    held = {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in held.items()}
    held.pop("pip")
    assert held == pins(name)
    code, output = environments.run(python, "-m", "pip", "check")
    assert code == 0, output


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_all_that_its_commands_can_load_is_there(environments, tmp_path, name):
    """Also what only real weights make them load; from a directory that is not the repository."""
    python = environments.prefixes()[name] / "bin" / "python"
    modules = sorted(loadable(name))
    code, output = environments.run(
        python, "-c", "import importlib, sys\nfor m in sys.argv[1:]: importlib.import_module(m)",
        *modules, cwd=tmp_path,
    )  # fmt: skip
    assert code == 0, output


def test_environments_are_as_asked(environments):
    """The file that was solved is the repository's, with conda-forge and nothing added."""
    for name, prefix in environments.prefixes().items():
        asked = yaml.safe_load(prefix.with_suffix(".yaml").read_text())
        assert asked["channels"] == ["conda-forge", "nodefaults"], name
        assert {file.name.split("-")[0] for file in (prefix / "conda-meta").glob("*.json")} == {
            "python",
            "pip",
        }


def test_everything_is_made(finished):
    results = finished.repository / "results" / "smoke"
    for file in ("report.html", "compare.csv"):
        assert (results / file).stat().st_size
    assert list((results / "tables").glob("*.csv")) and list((results / "figures").glob("*.pdf"))
    code, output = finished.snakemake("--use-conda", "--dry-run")
    assert code == 0 and "Nothing to be done" in output


def test_each_command_ran_in_its_rules_environment_and_nowhere_else(finished):
    names = {prefix: name for name, prefix in finished.prefixes().items()}
    assert sorted(names.values()) == sorted(ENVIRONMENTS)
    ran = {name: set() for name in ENVIRONMENTS}
    for prefix, command in processes(finished.home):
        for module in re.findall(r" -m (pcpo\.\S+)", " " + " ".join(command)):
            ran[names[prefix]].add(module)
    asked = commands()
    for name in ENVIRONMENTS:
        assert ran[name]
        assert ran[name] <= asked[name], name
    assert {"pcpo.cli.train", "pcpo.cli.evaluate", "pcpo.cli.table"} <= finished.planned
    assert set().union(*ran.values()) == finished.planned
