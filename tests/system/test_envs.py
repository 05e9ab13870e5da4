"""The conda environments pin the versions of the lock, and the lock names no index."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from rattler import MatchSpec

from tests.test_layers import MODULES, below, imported, reached

LOCK = dict(re.findall(r"^([\w.-]+)==(\S+)", Path("requirements.lock").read_text(), re.M))
ENVIRONMENTS = sorted(path.stem for path in Path("envs").glob("*.yaml"))
# A package that imports its own modules by name.
REGISTRY = re.compile(r"import_module\(f\"")


def pins(name):
    """Package -> version, of the pip section of an environment."""
    packages = yaml.safe_load(Path(f"envs/{name}.yaml").read_text())["dependencies"][-1]["pip"]
    return dict(package.split("==") for package in packages)


def commands():
    """Environment -> the modules that its rules start."""
    found = {name: set() for name in ENVIRONMENTS}
    for file in sorted(Path("rules").glob("*.smk")):
        for rule in re.split(r"^(?= *rule\b)", file.read_text(), flags=re.M):
            for name in re.findall(r"envs/(\w+)\.yaml", rule):
                found[name] |= set(re.findall(r"\bpcpo\.cli\.\w+", rule))
    return found


def loadable(name):
    """All that an environment's commands can import: our modules, and others' top-level names.

    A package that loads its modules by name, as the rewards do, can load any of them for whoever
    imports the package itself; one that imports a module of it gets that module alone.
    """
    seen = reached(*commands()[name])
    while True:
        modules = seen & set(MODULES)
        asked = set().union(*(imported(m) - {m.rpartition(".")[0]} for m in modules))
        registries = [m for m in asked & modules if REGISTRY.search(MODULES[m].read_text())]
        more = seen | reached(*below(*registries))
        if more == seen:
            return seen
        seen = more


def test_files_are_what_the_lock_gives():
    """No pin can drift from requirements.lock, nor a package's needs from the list."""
    done = subprocess.run(
        [sys.executable, "envs/pins.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_conda_gives_python_and_pip_and_the_index_pins_of_the_lock(name):
    environment = yaml.safe_load(Path(f"envs/{name}.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *packages, index = environment["dependencies"]
    assert [MatchSpec(package, strict=True).name.normalized for package in packages] == [
        "python",
        "pip",
    ]
    assert set(index) == {"pip"}
    assert pins(name)
    for package, version in pins(name).items():
        assert LOCK[package] == version


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_holds_what_its_commands_can_import(name):
    others = {m for m in loadable(name) if m not in MODULES} - sys.stdlib_module_names
    providers = packages_distributions()
    for module in others:
        packages = {re.sub(r"[-_.]+", "-", p).lower() for p in providers.get(module, ())}
        assert packages & set(pins(name)), f"envs/pins.py, {name}: which package has `{module}`?"


def test_the_reading_of_rules_and_registries_sees_what_must_be_there():
    assert commands()["train"] >= {"pcpo.cli.launch", "pcpo.cli.train", "pcpo.cli.generate"}
    assert "pcpo.cli.table" in commands()["report"]
    assert {"torch_fidelity", "lpips", "rapidocr", "open_clip"} <= loadable("evaluate")
    assert "torch" not in loadable("report")


def test_post_deploy_is_the_same_for_all():
    scripts = {Path(f"envs/{name}.post-deploy.sh").read_text() for name in ENVIRONMENTS}
    assert len(scripts) == 1
    assert subprocess.run(["bash", "-n"], input=scripts.pop(), text=True).returncode == 0


def test_no_pin_file_lies_beside_an_environment():
    """Snakemake would install that in place of the yaml file, without its pip section."""
    assert not list(Path("envs").glob("*.pin.txt"))


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
