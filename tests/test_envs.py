"""The conda environments pin the versions of the lock, and the lock names no index."""

import re
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


def test_lock_is_hashed_and_names_no_host():
    text = Path("requirements.lock").read_text()
    assert "://" not in text
    blocks = re.split(r"^(?=\S)", text, flags=re.M)
    assert all("--hash=sha256:" in block for block in blocks if block.strip())


def test_every_rule_names_its_environment():
    for path in sorted(Path("rules").glob("*.smk")):
        text = path.read_text()
        assert text.count("shell:") == text.count("conda:"), path
