"""What a user can mend ends in exit code 1 and a message, and leaves nothing behind."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from pcpo.cli import console
from pcpo.cli.stages import read_sizes
from pcpo.config.files import CONFIG

ROOT = CONFIG.parent
OUT = ["--out", "out"]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """(module, *arguments) -> what the command printed on stderr; its folder is empty before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PCPO_TRACEBACK", raising=False)
    monkeypatch.setattr(console.Log, "current", None)

    def call(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module, *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            console.run(importlib.import_module(f"pcpo.cli.{module}").main)
        assert caught.value.code == 1
        return capsys.readouterr().err

    return call


def only(message):
    """The message, which is one line."""
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message


def test_a_run_of_another_scale_is_named(command, tmp_path):
    run = tmp_path / "results/study/runs/01_ddpo_aesthetic_half/pcpo/seed0"
    run.mkdir(parents=True)
    (run / "checkpoints.csv").touch()
    message = only(command("code", run, "--accept"))
    assert f"{run}: no run of scale demo is there; give its --scale" in message


UNKNOWN = {
    "experiment": ("41_ddpo", "baseline", "smoke"),
    "arm": ("01_ddpo_aesthetic_half", "best", "smoke"),
    "scale": ("01_ddpo_aesthetic_half", "baseline", "huge"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_training_what_does_not_exist(command, tmp_path, what):
    experiment, arm, scale = UNKNOWN[what]
    message = only(command("train", experiment, arm, "--scale", scale, *OUT))
    named = {"experiment": experiment, "arm": arm, "scale": scale}[what]
    assert f"unknown {what} '{named}'" in message
    assert "known: " in message
    assert "config/" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("experiment", "arm", "kind"), [("1", "uniform", "ddim"), ("10", "pcpo_exact", "dance_sde")]
)
def test_an_arm_that_makes_no_sense(command, tmp_path, experiment, arm, kind):
    message = only(command("train", experiment, arm, "--scale", "smoke", *OUT))
    assert f"arm '{arm}' makes no sense with sampler {kind}" in message
    assert not list(tmp_path.iterdir())


COMMANDS = {
    "select": ["1", "--run", "run"],
    "generate": ["1"],
    "evaluate": ["01_ddpo_aesthetic_half", "--base", "b", "--overall", "o", "--per-prompt", "p"],
    "align": ["5", "--selection", "s"],
    "credit": ["1"],
    "table": ["table1"],
    "figure": ["training_curves"],
}


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_names_an_unknown_scale(command, tmp_path, module):
    out = [] if module == "evaluate" else OUT
    message = only(command(module, *COMMANDS[module], "--scale", "huge", *out))
    assert "unknown scale 'huge'" in message
    assert "demo" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["select", "generate", "align", "credit"])
def test_every_command_names_an_unknown_experiment(command, tmp_path, module):
    arguments = ["99", *COMMANDS[module][1:]]
    message = only(command(module, *arguments, "--scale", "smoke", *OUT))
    assert "unknown experiment '99'" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "arguments", "named"),
    [
        ("train", ["1", "pcpo"], r"prompts/animal\.txt"),
        ("generate", ["1"], r"model_index\.json"),
        ("credit", ["1"], r"scheduler_config\.json"),
        ("compare", ["--tables", "table1.csv"], r"table1\.csv"),
    ],
)
def test_a_missing_input_is_named(command, tmp_path, module, arguments, named):
    message = only(command(module, *arguments, "--scale", "smoke", *OUT))
    assert re.search(named, message)
    assert not (tmp_path / "out").exists()


def test_synthetic_data_need_a_scale_that_has_them(command, tmp_path):
    sizes = CONFIG / "scale" / "paper.yaml"
    for module in ("synthetic", "synthetic_rewards"):
        stage = "prompts" if module == "synthetic" else "table"
        message = only(command(module, stage, "--sizes", sizes, *OUT))
        assert "paper.yaml has no block 'synthetic:'" in message
    assert not list(tmp_path.iterdir())


def test_sizes_of_a_scale_that_extends_another_are_over_those_of_the_other(tmp_path):
    """As `study` extends `demo`: the same models, without a copy of their sizes."""
    for name, text in {
        "one": "extends: two\nsynthetic: {clip: {steps: 7}, flux: {steps: 1}}\n",
        "two": "extends: three\n",
        "three": "synthetic: {clip: {steps: 3, batch: 4}, sd: {steps: 5}}\n",
        "circle": "extends: circle\n",
        "outside": "extends: ../three\n",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    found = read_sizes(tmp_path / "one.yaml")
    assert found == {
        "clip": {"steps": 7, "batch": 4}, "flux": {"steps": 1}, "sd": {"steps": 5}
    }  # fmt: skip
    assert read_sizes(tmp_path / "two.yaml") == {
        "clip": {"steps": 3, "batch": 4},
        "sd": {"steps": 5},
    }
    for name, message in (("circle", "circle"), ("outside", "extends")):
        with pytest.raises(ValueError, match=message):
            read_sizes(tmp_path / f"{name}.yaml")
    study = read_sizes(CONFIG / "scale" / "study.yaml")
    assert study == read_sizes(CONFIG / "scale" / "demo.yaml")


def test_unknown_sizes_of_synthetic_models_are_named(command, tmp_path):
    sizes = tmp_path / "sizes.yaml"
    sizes.write_text("synthetic: {quality_network: {steps: 3, stepz: 3}}\n")
    message = only(command("synthetic", "quality_network", "--sizes", sizes, *OUT))
    assert "synthetic.quality_network" in message
    assert "stepz" in message
    assert "steps" in message
    assert not Path("out").exists()


def test_the_error_is_in_the_log_too(command, tmp_path):
    log = tmp_path / "logs" / "train.log"
    message = command("train", "1", "pcpo", "--scale", "smoke", *OUT, "--log", log)
    assert log.read_text().endswith(message)


def test_an_interrupt_is_no_error_of_the_user(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        console.run(interrupted)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("module", "name"), [("pcpo.cli.ledger", "python -m pcpo.cli.ledger"), (None, "ledger.py")]
)
def test_a_command_has_the_name_by_which_it_is_called(monkeypatch, capsys, module, name):
    """`None`: the file itself is run."""
    spec = importlib.util.find_spec(module) if module else None
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    monkeypatch.setattr(sys, "argv", ["pcpo/cli/ledger.py", "--help"])
    with pytest.raises(SystemExit):
        console.run(importlib.import_module("pcpo.cli.ledger").main)
    assert capsys.readouterr().out.startswith(f"usage: {name} [-h]")
