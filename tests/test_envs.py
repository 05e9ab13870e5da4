"""The conda environments pin the versions of the lock, and the lock names no index."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

LOCK = dict(re.findall(r"^([\w.-]+)==(\S+)", Path("requirements.lock").read_text(), re.M))


@pytest.mark.parametrize("path", sorted(Path("envs").glob("*.yaml")), ids=lambda p: p.stem)
def test_pins_are_the_locks(path):
    packages = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
    assert packages
    for package in packages:
        name, version = package.split("==")
        assert LOCK[name] == version


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_environments_hold_what_their_commands_import(name):
    """Packages that one reward or metric alone imports, which only a real run would miss."""
    text = Path(f"envs/{name}.yaml").read_text()
    needed = {"rapidocr", "onnxruntime", "open-clip-torch", "rapidfuzz", "huggingface-hub"}
    needed |= {"lpips", "torch-fidelity"} if name == "evaluate" else set()
    assert needed <= set(re.findall(r"^ +- ([\w.-]+)==", text, re.M))


def test_every_dependency_is_locked():
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    for line in project["dependencies"] + project["optional-dependencies"]["test"]:
        name = re.match(r"[\w.-]+", line).group().replace("_", "-").lower()
        assert name in LOCK, f"run `make lock`: {line}"


def test_no_package_needs_a_display():
    assert "opencv-python-headless" in LOCK
    assert "opencv-python" not in LOCK  # needs libGL, which servers lack


def test_lock_is_hashed_and_names_no_host():
    text = Path("requirements.lock").read_text()
    assert "://" not in text
    blocks = re.split(r"^(?=\S)", text, flags=re.M)
    assert all("--hash=sha256:" in block for block in blocks if block.strip())


def test_every_rule_names_its_environment():
    for path in sorted(Path("rules").glob("*.smk")):
        text = path.read_text()
        assert text.count("shell:") == text.count("conda:"), path
