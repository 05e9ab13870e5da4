"""The image's recipe as far as it can be read without an engine, and the key `container`."""

import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch

import yaml

from tests.system.pipeline import ROOT, SOURCES, copy_sources, environment

RECIPE = (ROOT / "Dockerfile").read_text()
KNOWN = {"FROM", "RUN", "COPY", "WORKDIR", "ENV", "ENTRYPOINT", "CMD"}


def instructions():
    """(instruction, its text) of the Dockerfile, lines joined."""
    lines = re.sub(r"^\s*#.*\n", "", RECIPE, flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in lines.splitlines() if line.strip()]


def of(name):
    return [" ".join(text.split()) for instruction, text in instructions() if instruction == name]


def sent(path):
    """Whether .dockerignore lets a path of the repository's root into the build."""
    allowed = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatch(path, line.removeprefix("!")):
            allowed = line.startswith("!")
    return allowed


def test_recipe_is_well_formed_and_names_no_host():
    assert {name for name, _ in instructions()} <= KNOWN
    assert instructions()[0][0] == "FROM"
    python = yaml.safe_load((ROOT / "envs/train.yaml").read_text())["dependencies"][0]
    assert re.fullmatch(rf"python:{python.partition('=')[2]}-slim-\w+", of("FROM")[0])
    assert "://" not in RECIPE
    for command in of("RUN"):
        assert subprocess.run(["sh", "-n", "-c", command]).returncode == 0, command
    assert yaml.safe_load(of("ENTRYPOINT")[0]) == ["snakemake"]


def test_packages_are_the_locks_by_hash():
    packages, own = (line for line in of("RUN") if "pip install" in line)
    assert "--require-hashes --requirement /pcpo/requirements.lock" in packages
    assert {"--no-deps", "--no-build-isolation"} <= set(shlex.split(own))
    assert re.search(r"^setuptools==", (ROOT / "requirements.lock").read_text(), re.M)


def test_what_runs_is_sent_to_the_build_and_nothing_heavy():
    for path in (*SOURCES, "pyproject.toml", "requirements.lock", "README.md"):
        assert (ROOT / path).exists() and sent(path), path
    assert not any(map(sent, (".git", ".venv", ".snakemake", "results", "data", "tests")))
    for sources in of("COPY"):
        *files, target = sources.split()
        assert target.startswith("/pcpo") and all((ROOT / file).exists() for file in files)


def test_the_package_builds_without_an_index(tmp_path):
    """The Dockerfile's own line, on a copy of what it is given."""
    copy = copy_sources(tmp_path / "pcpo")
    for name in ("pyproject.toml", "README.md"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    line = next(line for line in of("RUN") if "--editable" in line)
    _, *command = shlex.split(line.replace("/pcpo", str(copy)))
    done = subprocess.run(
        [sys.executable, *command, "--dry-run", "--no-index"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Would install pcpo-" in done.stdout


def test_with_apptainer_a_job_is_handed_to_the_image_that_is_named(tmp_path):
    """`apptainer` is a double here, which notes what it is asked for and fails."""
    copy = copy_sources(tmp_path / "copy")
    double, calls = tmp_path / "bin" / "apptainer", tmp_path / "calls.txt"
    double.parent.mkdir()
    double.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo "apptainer version 1.3.0"; exit; fi\n'
        f'printf "%s\\n" "$@" >> {calls}\nexit 3\n'
    )
    double.chmod(0o755)
    image = tmp_path / "pcpo.sif"
    image.touch()
    variables = environment(copy)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--sdm", "apptainer", "--config",
         "scale=smoke", f"container={image}", "--",
         "results/smoke/synthetic/quality_network/config.json"],
        cwd=copy, capture_output=True, text=True,
        env=variables | {"PATH": f"{double.parent}{os.pathsep}{variables['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 1  # nothing ran beside the image
    asked = calls.read_text().splitlines()
    assert asked.count("exec") == 1 and asked.count(str(image)) == 1, done.stdout + done.stderr
    assert any("python -m pcpo.cli.synthetic" in line for line in asked)
