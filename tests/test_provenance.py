import json
import subprocess

import pytest

from pcpo import provenance


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
    with provenance.recorded(log, {"seed": 0}):
        pass
    record = tmp_path / "results" / "demo" / "provenance" / "train" / "a.json"
    told = json.loads(record.read_text())
    assert (told["git"], told["rule"], told["job"]) == ("at the start", "train", "a")
    assert told["resolved"] == {"seed": 0} and told["seconds"] >= 0
    with pytest.raises(RuntimeError), provenance.recorded(log.with_name("b.log"), {}):
        raise RuntimeError
    assert not record.with_name("b.json").exists()


@pytest.mark.parametrize("module", ["git", "_gpus"])
def test_a_command_that_hangs_costs_no_job(monkeypatch, module):
    def hang(*command):
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(provenance, "_run", hang)
    monkeypatch.setattr(provenance.shutil, "which", lambda name: name)
    assert getattr(provenance, module)() in (
        provenance.Git(problem="git gave no answer in time"),
        (),
    )
