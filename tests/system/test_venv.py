"""`make`'s environment is complete or absent: the recipe, with a double of Python and pip."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from tests.system.pipeline import ROOT

# Writes what it is asked for in the folder of its environment; KILL names the step in the midst of
# which the whole of make is killed.
DOUBLE = """\
#!/bin/sh
die() { [ "$KILL" != "$1" ] || kill -9 0; }
echo "$*" >> "$CALLS"
case "$*" in
"-m venv "*)
    mkdir -p "$3/bin"
    cp "$DOUBLE" "$3/bin/python"
    die venv
    touch "$3/venv" ;;
"-m pip install "*)
    cd "$(dirname "$0")/.."
    [ -e venv ] || exit 3
    [ -e first ] && exit   # pip takes a package that is half there for installed
    touch first broken
    die pip
    rm broken ;;
envs/whole.py*) [ ! -e "$(dirname "$0")/../broken" ] ;;
*) exec REAL "$@" ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    (tmp_path / "envs").mkdir()
    for name in ("Makefile", "envs/venv.sh"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "requirements.lock").touch()
    double, calls = tmp_path / "double", tmp_path / "calls"
    double.write_text(DOUBLE.replace("REAL", sys.executable))
    double.chmod(0o755)
    variables = os.environ | {"CALLS": str(calls), "DOUBLE": str(double)}

    def run(kill=""):
        """Returns (exit code, first words of what Python was asked for)."""
        calls.write_text("")
        done = subprocess.run(
            ["make", f"PYTHON={double}", ".venv/.locked"], cwd=tmp_path, start_new_session=True,
            env=variables | {"KILL": kill}, capture_output=True,
        )  # fmt: skip
        asked = [line.split()[1] for line in calls.read_text().splitlines() if "-m" in line]
        return done.returncode, asked

    return run


def whole(folder):
    return {path.name for path in folder.iterdir()} == {"bin", "venv", "first", ".lock", ".locked"}


@pytest.mark.parametrize("step", ["venv", "pip"])
def test_a_kill_is_mended_by_the_next_make(make, tmp_path, step):
    assert make(kill=step)[0] != 0
    assert not (tmp_path / ".venv/.locked").exists()
    assert make() == (0, ["venv", "pip"])
    assert whole(tmp_path / ".venv")
    assert make() == (0, [])


def test_another_lock_is_installed_and_a_kill_then_is_mended_too(make, tmp_path):
    make()
    (tmp_path / ".venv/first").unlink()
    time.sleep(0.02)
    (tmp_path / "requirements.lock").touch()
    assert make(kill="pip")[0] != 0
    assert make() == (0, ["venv", "pip"])
    assert whole(tmp_path / ".venv")
    assert make() == (0, [])


def test_an_environment_whose_python_is_gone_is_made_again(make, tmp_path):
    make()
    (tmp_path / ".venv/bin/python").unlink()
    (tmp_path / ".venv/bin/python").symlink_to("/usr/bin/python0.0")
    (tmp_path / ".venv/first").unlink()
    assert make() == (0, ["venv", "pip"])
    assert (tmp_path / ".venv/.locked").exists()


def test_a_users_own_environment_keeps_what_it_has(make, tmp_path):
    make()
    for name in (".venv/.locked", ".venv/.lock"):
        (tmp_path / name).unlink()
    (tmp_path / ".venv/notes").write_text("mine")
    (tmp_path / ".venv/first").unlink()
    for kill in ("pip", ""):
        assert make(kill)[0] != 0  # an error names what is not complete
        assert (tmp_path / ".venv/notes").read_text() == "mine"
        assert not (tmp_path / ".venv/.locked").exists()
    (tmp_path / ".venv/broken").unlink()
    assert make() == (0, ["venv", "pip"])
    assert (tmp_path / ".venv/notes").exists()


@pytest.mark.parametrize("fault", ["missing", "version", "record", "file", "size"])
def test_a_package_is_whole_with_each_of_its_files(tmp_path, fault):
    about = tmp_path / "thing-1.0.dist-info"
    about.mkdir()
    (tmp_path / "thing.py").write_text("12345")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (about / "RECORD").write_text("thing.py,sha256=x,5\nthing-1.0.dist-info/RECORD,,\n")
    lock = tmp_path / "requirements.lock"
    lock.write_text("thing==1.0 \\\n    --hash=sha256:00\n")

    def check():
        command = [sys.executable, "-S", str(ROOT / "envs/whole.py"), str(lock)]
        variables = os.environ | {"PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, env=variables, capture_output=True, encoding="utf-8")

    assert check().returncode == 0
    if fault == "missing":
        shutil.rmtree(about)
    elif fault == "version":
        lock.write_text("thing==1.1 \\\n")
    elif fault == "record":
        (about / "RECORD").unlink()
    elif fault == "file":
        (tmp_path / "thing.py").unlink()
    else:
        (tmp_path / "thing.py").write_text("123")
    done = check()
    assert done.returncode == 1
    assert done.stderr.strip().endswith(": thing")
