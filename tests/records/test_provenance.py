import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pcpo.config import load_arm, load_experiment
from pcpo.paths import PACKAGE
from pcpo.records import programs, provenance
from pcpo.records.git import tracked
from pcpo.workflow import devices


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "--quiet", "--message", "First: a\n\nBody.")
    tmp_path.joinpath("head").write_text(git("rev-parse", "HEAD").strip())
    git("add", "head")
    git("commit", "--quiet", "--message", "Second")
    return tmp_path, git


def test_a_clean_and_a_changed_checkout(repository):
    folder, git = repository
    clean = provenance.git(folder)
    assert clean.commit == git("rev-parse", "HEAD").strip()
    assert (clean.subject, clean.changes, clean.problem) == ("Second", (), "")
    (folder / "file").write_text("b")
    (folder / "new").write_text("c")
    assert provenance.git(folder).changes == (" M file", "?? new")


def test_a_folder_within_another_repository_has_no_state_of_its_own(repository):
    folder, _ = repository
    (folder / "below").mkdir()
    assert provenance.git(folder / "below").commit == ""
    assert "checkout of its own" in provenance.git(folder / "below").problem


def test_no_repository_and_no_git(tmp_path, monkeypatch):
    assert "not a git repository" in provenance.git(tmp_path).problem
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git(tmp_path).problem == "git is not installed"


def test_packages_pinned_and_installed(tmp_path):
    dependencies = '["numpy>=2", "pandas", "no_such.package==3", "jinja2 >= 3"]'
    (tmp_path / "pyproject.toml").write_text(f"[project]\ndependencies = {dependencies}\n")
    (tmp_path / "requirements.lock").write_text(
        "numpy==0.0.1 \\\n    --hash=sha256:00\npandas==0.1\nno-such.package==3\n"
    )
    found = {package.name: package for package in provenance.packages(tmp_path)}
    assert found["numpy"].locked == "0.0.1"
    assert found["numpy"].differs
    assert (found["no-such.package"].locked, found["no-such.package"].installed) == ("3", "")
    assert not found["no-such.package"].differs
    assert found["jinja2"].installed.startswith("3")
    assert provenance.packages(tmp_path / "nowhere") == []


def test_a_build_of_the_pinned_version_is_that_version():
    assert not provenance.Package("torch", "2.12.1", "2.12.1+cpu").differs
    assert provenance.Package("torch", "2.12.1", "2.12.2+cpu").differs


def test_machine():
    machine = provenance.machine()
    assert machine.processor
    assert machine.cores >= 1
    assert machine.memory_gb > 0.1


def test_a_record_is_of_the_start_of_its_job(monkeypatch, tmp_path):
    states = iter(["at the start", "at the end"])
    monkeypatch.setattr(provenance, "origin", lambda: {"git": next(states)})
    log = tmp_path / "results" / "demo" / "logs" / "train" / "a.log"
    files = {"read": [], "wrote": []}
    with provenance.recorded(log, {"seed": 0}, files):
        files["wrote"] = ["x/a"]  # as a command does after it has read its command line
    record = tmp_path / "results" / "demo" / "provenance" / "train" / "a.json"
    content = json.loads(record.read_text())
    assert (content["git"], content["rule"], content["job"]) == ("at the start", "train", "a")
    assert content["resolved"] == {"seed": 0} and content["seconds"] >= 0
    assert (content["read"], content["wrote"]) == ([], ["x/a"])
    with pytest.raises(RuntimeError), provenance.recorded(log.with_name("b.log"), {}, files):
        raise RuntimeError
    assert not record.with_name("b.json").exists()


def test_every_command_with_a_record_says_what_it_writes():
    for file in (PACKAGE / "cli").glob("*.py"):
        text = file.read_text()
        recorded = any(part in text for part in ('"--log"', "experiment_parser(", "printing=True"))
        assert not (recorded and '"--out"' in text) or " uses(" in text, file


def test_the_run_of_a_training_is_in_its_record(tmp_path):
    log = tmp_path / "results" / "demo" / "logs" / "train" / "a.log"
    found = {"experiment": load_experiment(2, "smoke"), "arm": load_arm("pcpo_exact")}
    content = {name: part.model_dump(mode="json") for name, part in found.items()}
    with provenance.recorded(log, content | {"seed": 3}, {"read": [], "wrote": []}):
        pass
    run = provenance.run_of(provenance.record_path(log))
    assert run == provenance.Run("02_ddpo_aesthetic", "pcpo_exact", 3)


@pytest.mark.parametrize(
    ("program", "asked", "answer"),
    [
        ("git", provenance.git, provenance.Git(problem="git gave no answer in time")),
        ("nvidia-smi", provenance._gpus, ()),
        ("nvidia-smi", devices.visible, []),
    ],
)
def test_a_program_that_hangs_costs_no_job(tmp_path, monkeypatch, program, asked, answer):
    """Nor does one that it has started, which keeps its output open; none of them is left."""
    put(tmp_path / program, f"sleep 100 & echo $! > '{tmp_path}/other'; sleep 100")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(programs, "SECONDS", 1.5)
    begun = time.monotonic()
    assert asked() == answer
    assert time.monotonic() - begun < 20
    other = int((tmp_path / "other").read_text())
    while runs(other):
        assert time.monotonic() - begun < 20
        time.sleep(0.05)


def test_a_program_that_cannot_be_killed_is_left(tmp_path, monkeypatch):
    """As one that hangs in a driver."""
    put(tmp_path / "nvidia-smi", f"echo $$ > '{tmp_path}/own'; exec sleep 100")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(programs, "SECONDS", 1.0)
    monkeypatch.setattr(programs, "GRACE", 0.2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", lambda *_: None)
        begun = time.monotonic()
        assert provenance._gpus() == ()
        assert time.monotonic() - begun < 20
    os.kill(int((tmp_path / "own").read_text()), signal.SIGKILL)


def runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:  # it is gone
        return False


def put(file, command):
    file.write_text(f"#!/bin/sh\n{command}\n")
    file.chmod(0o755)


SETTINGS = """\
[log]
    showSignature = true
[gpg]
    program = {signed}
[color]
    ui = always
    status = always
[status]
    short = true
    branch = true
    showUntrackedFiles = no
[core]
    quotePath = true
    fsmonitor = {run}
    hooksPath = {folder}
[diff]
    external = {run}
[i18n]
    logOutputEncoding = UTF-16
"""


@pytest.mark.parametrize("whose", ["the user's", "the checkout's", "broken"])
def test_the_users_settings_of_git_change_nothing(repository, tmp_path_factory, monkeypatch, whose):
    folder, git = repository
    (folder / "new").write_text("c")
    (folder / "a b\né").write_text("c")
    git("mv", "head", "moved")
    home, ran = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("ran") / "file"
    put(home / "run", f"touch '{ran}'")
    settings = SETTINGS.format(signed=home / "run", run=home / "run", folder=home)
    if whose == "broken":
        settings = "[core\n"
    target = folder / ".git" / "config" if whose == "the checkout's" else home / ".gitconfig"
    with target.open("a", encoding="utf-8") as file:
        file.write(settings)
    monkeypatch.setenv("HOME", str(home))
    for name, value in {
        "GIT_DIR": str(home / "elsewhere"), "GIT_WORK_TREE": str(home), "GIT_INDEX_FILE": "none",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "status.showUntrackedFiles",
        "GIT_CONFIG_VALUE_0": "no", "GIT_EXTERNAL_DIFF": str(home / "run"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    found = provenance.git(folder)
    assert (found.subject, found.problem) == ("Second", "")
    assert found.changes == ("D  head", "A  moved", "?? a b\né", "?? new")
    assert tracked(folder) == {folder / "file", folder / "moved"}
    assert not ran.exists()


def test_a_commit_without_a_message(repository):
    folder, git = repository
    git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "--message", "")
    found = provenance.git(folder)
    assert (found.commit, found.subject) == (git("rev-parse", "HEAD").strip(), "")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_the_checkout_of_this_code_may_be_another_users_and_no_other_may(repository, monkeypatch):
    folder, _ = repository
    os.chown(folder, 12345, 12345)
    assert provenance.git(folder).problem
    monkeypatch.setattr("pcpo.records.git.CHECKOUT", folder)
    assert provenance.git(folder).subject == "Second"
