"""The test double itself, and what it makes of a small environment: seconds, and no index."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.system.conda.install import ROOT, install, processes, shell

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or sys.platform != "linux" or os.uname().machine != "x86_64",
    reason="the environments are for Python 3.11 on Linux x86_64, and this interpreter is wrapped",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("conda")
    install(home)
    return home


def conda(home, *arguments):
    done = subprocess.run(["conda", *arguments], env=shell(home), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def create(home, folder, environment):
    """Make an environment in `folder`; returns (exit code, output, its prefix)."""
    file = folder / "asked.yaml"
    file.write_text(yaml.safe_dump(environment))
    code, output = conda(home, "env", "create", "--file", str(file), "--prefix", f"{folder}/made")
    return code, output, folder / "made"


def bare(name):
    """An environment of the repository without what comes from the package index."""
    asked = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())
    asked["dependencies"] = [entry for entry in asked["dependencies"] if isinstance(entry, str)]
    return asked


def test_an_environment_has_a_python_of_its_own_and_finds_pcpo_by_post_deploy(home, tmp_path):
    code, output, prefix = create(home, tmp_path, bare("train"))
    assert code == 0, output
    script = ROOT / "envs" / "train.post-deploy.sh"
    # As Snakemake joins them; in a directory without pcpo first.
    line = f"source {home}/bin/activate '{prefix}'; /usr/bin/env bash {script}"
    for folder, expected in ((tmp_path, 1), (ROOT, 0)):
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=shell(home), capture_output=True, text=True
        )
        assert done.returncode == expected, done.stderr
        assert ("no pcpo/" in done.stderr) == bool(expected)
    ask = "import sys, pcpo, importlib.util as u; "
    ask += "print(sys.prefix, pcpo.__path__[0], u.find_spec('numpy'), u.find_spec('pip') is None)"
    line = f'source {home}/bin/activate {prefix}; python -c "{ask}"'
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=shell(home), capture_output=True, text=True
    )
    assert done.stdout.split() == [str(prefix), str(ROOT / "pcpo"), "None", "False"], done.stderr
    assert (prefix, "-c") in {(p, command[1]) for p, command in processes(home)}


def test_snakemake_makes_an_environment_with_it_and_runs_a_rule_there(home, tmp_path):
    """The calls that Snakemake really makes, in their order, with nothing from the index."""
    (tmp_path / "pcpo").symlink_to(ROOT / "pcpo")
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(bare("report")))
    shutil.copy(ROOT / "envs" / "report.post-deploy.sh", tmp_path / "bare.post-deploy.sh")
    ask = "cd / && python -c 'import sys, pcpo; print(sys.prefix)' > $OLDPWD/{output}"
    (tmp_path / "Snakefile").write_text(
        f'rule:\n    output: "prefix"\n    conda: "bare.yaml"\n    shell: "{ask}"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--use-conda"],
        cwd=tmp_path, env=shell(home), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = (tmp_path / ".snakemake" / "conda").glob("*_")
    assert (tmp_path / "prefix").read_text().strip() == str(made)


def test_what_the_channel_lacks_is_no_environment(home, tmp_path):
    asked = bare("report") | {"dependencies": ["python =3.11", "pytorch-gpu"]}
    code, output, prefix = create(home, tmp_path, asked)
    assert code == 1
    assert "pytorch-gpu" in output
    assert not (prefix / "bin").exists()


def test_a_channel_that_is_not_there_is_an_error(home, tmp_path):
    code, output, _ = create(home, tmp_path, bare("report") | {"channels": ["elsewhere"]})
    assert code == 1
    assert "elsewhere" in output


@pytest.mark.parametrize("call", [["install", "numpy"], ["env", "update"], ["info"], []])
def test_a_call_that_it_does_not_know_is_refused(home, call):
    code, output = conda(home, *call)
    assert code == 2
    assert "does not know" in output


def test_it_says_that_it_is_not_conda(home):
    code, output = conda(home, "info", "--json")
    assert code == 0
    assert "py-rattler, not conda" in output
