"""What a change runs again, and that nothing resumes from a run of other values."""

import json
import os
import re
import shutil
import sys

import pytest

from pcpo import config, policies
from pcpo.cli import console, train
from pcpo.config import (
    EMA,
    Execution,
    ModelSource,
    RewardSource,
    load_arm,
    load_experiment,
    load_scale,
)
from pcpo.records import history
from pcpo.training.identity import configuration, identity
from tests.rewards.tiny_models import BUILDERS
from tests.system.pipeline import copy_sources, jobs, runs, snakemake


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return copy_sources(tmp_path_factory.mktemp("seeds"))


def test_seeds_are_runs_side_by_side(copy):
    """Each seed has its own runs, selection and measurements; base images are shared."""
    plans = {}
    for seeds in ("[0]", "[0,1,2]"):
        settings = ("--config", "scale=smoke", f"seeds={seeds}", "experiments=[5,6]")
        code, plans[seeds] = snakemake(copy, "-n", *settings)
        assert code == 0, plans[seeds]
    one, three = jobs(plans["[0]"]), jobs(plans["[0,1,2]"])
    for rule in ("train", "select", "evaluate", "align", "generate"):
        assert three[rule] == 3 * one[rule], rule
    for rule in ("generate_base", "synthetic_sd", "table", "compare_tables"):
        assert three[rule] == one[rule], rule
    trained = [runs(plans["[0,1,2]"], seed=seed) for seed in (0, 1, 2)]
    assert trained[0] == trained[1] == trained[2] == runs(plans["[0]"])
    commands = re.findall(r"output: results/smoke/runs/\w+/\w+/seed(\d)/check", plans["[0,1,2]"])
    assert sorted(commands) == sorted("012" * one["train"])


def test_a_dry_run_names_what_is_to_be_set_aside(copy):
    chosen = load_experiment(1, "smoke")
    before = chosen.model_copy(update={"clip_range": 0.123})
    for arm, trained in (("pcpo", before), ("baseline", chosen)):
        state = copy / f"results/smoke/runs/{chosen.name}/{arm}/seed0/resume/epoch_00001"
        state.mkdir(parents=True)
        saved = {"identity": configuration(trained, load_arm(arm), 0) | {"model": "any"}}
        (state / "state.json").write_text(json.dumps(saved))
    code, output = snakemake(copy, "-n", "--config", "scale=smoke", "experiments=[1]")
    assert code == 0, output
    assert "1 runs are of another configuration than config/" in output
    changed = f"experiment.clip_range was 0.123 and is {chosen.clip_range}"
    assert f"{chosen.name}/pcpo/seed0: {changed}" in output
    assert "set aside beside it, not deleted" in output
    shutil.rmtree(copy / "results")


def test_a_dry_run_names_a_damaged_history_and_continues(copy):
    run = copy / "results/smoke/runs/02_ddpo_aesthetic/pcpo/seed0"
    (run / "resume/epoch_00001").mkdir(parents=True)
    (run / "checkpoints.csv").write_text("epoch,folder\n")
    (run / history.FILE).write_bytes(b'{"event": "sta\xffted"}\n')
    (run / "resume/epoch_00001/state.json").write_bytes(b"[\xff]")
    code, output = snakemake(copy, "-n", "--config", "scale=smoke", "experiments=[2]")
    assert code == 0, output
    place = run.relative_to(copy) / history.FILE
    assert f"which code trained a run is not known: {place}: line 1 is damaged" in output
    assert "Traceback" not in output
    shutil.rmtree(run)


SAME = {"number": 1, "arm": "pcpo", "seed": 0, "prompts": ["a", "b"], "reward": {}, "head": "1"}
CHANGES = {
    "learning rate": {"optimizer": {"learning_rate": 1e-5}},
    "clip range": {"clip_range": 0.5},
    "images": {"batch": {"images_per_iteration": 12}},
    "seed": {"seed": 1},
    "arm": {"arm": "baseline"},
    "prompts": {"prompts": ["a", "c"]},
    "a reward's options": {"reward": {"options": {"layer": 1}}},
    "a reward's implementation": {"reward": {"implementation": "pickscore"}},
    "a reward's weights": {"head": "2"},
    "KL": {"kl_beta": 0.1},
    "moving average": {"ema": EMA(decay=0.9, every=1)},
}
NO_CHANGES = {
    "a smaller forward": {"batch": {"micro_batch": 1}},
    "how it runs": {"execution": Execution(gpus=2, compile=True, activation_checkpointing=True)},
    "how often it saves": {"checkpoint_every": 1},
    "a longer run": {"epochs": 30},
    "the evaluation": {"evaluation": {"batch": 1, "images_per_prompt": 9}},
    "words": {"description": "another"},
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_makes_another_run(models, tmp_path, what):
    unchanged = identity_of(models, tmp_path / "a")
    assert unchanged == identity_of(models, tmp_path / "b")  # of a copy elsewhere
    assert unchanged != identity_of(models, tmp_path / "c", **CHANGES[what])


@pytest.mark.parametrize("what", NO_CHANGES)
def test_what_no_result_hangs_on_makes_no_other_run(models, tmp_path, what):
    assert identity_of(models, tmp_path / "a") == identity_of(
        models, tmp_path / "b", **NO_CHANGES[what]
    )


def identity_of(models, weights, **changes):
    changes = dict(changes)
    values = {key: changes.pop(key, value) for key, value in SAME.items()}
    chosen = load_experiment(values["number"], "smoke")
    for key, value in changes.items():
        if isinstance(value, dict):
            value = getattr(chosen, key).model_copy(update=value)
        chosen = chosen.model_copy(update={key: value})
    base = policies.digest(models[chosen.model].path)
    weights.mkdir()
    (weights / "head").write_text(values["head"])
    reward = RewardSource(path=str(weights), **values["reward"])
    return identity(
        chosen, load_arm(values["arm"]), values["seed"], base, values["prompts"], reward
    )


@pytest.fixture
def command(models, tmp_path, monkeypatch):
    """python -m pcpo.cli.train 1 pcpo with changed values: returns the log; all below tmp_path."""
    scale = load_scale("smoke")
    chosen = load_experiment(1, "smoke").model_copy(update={"epochs": 1})
    BUILDERS["aesthetic"](tmp_path / "aesthetic")
    shutil.copytree(models[chosen.model].path, tmp_path / "model")
    (tmp_path / "prompts.txt").write_text("red circle\nblue star\n")
    reward = scale.rewards["aesthetic"].model_copy(update={"path": str(tmp_path / "aesthetic")})
    places = {
        "models": scale.models | {chosen.model: ModelSource(path=str(tmp_path / "model"))},
        "prompts": scale.prompts | {chosen.prompts: str(tmp_path / "prompts.txt")},
        "rewards": scale.rewards | {"aesthetic": reward},
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "load_scale", lambda name: scale.model_copy(update=places))
    monkeypatch.setattr(console.Log, "current", None)
    arguments = ["train", "1", "pcpo", "--scale", "smoke", "--out", "run", "--log", "train.log"]
    monkeypatch.setattr(sys, "argv", arguments)

    def start(**changes):
        sections = {
            key: getattr(chosen, key).model_copy(update=value) if isinstance(value, dict) else value
            for key, value in changes.items()
        }
        changed = chosen.model_copy(update=sections)
        monkeypatch.setattr(config, "load_experiment", lambda *names: changed)
        train.main()
        return (tmp_path / "train.log").read_text()

    return start


def test_the_command_never_resumes_a_run_of_other_values(tmp_path, command):
    """With one learning rate, and then with another, in one folder."""
    logs = [command(optimizer={"learning_rate": rate}) for rate in (1e-3, 1e-3, 2e-3)]
    assert "starting over" not in logs[0] + logs[1]
    assert "resuming after epoch 1" in logs[1]
    assert "(experiment.optimizer.learning_rate was 0.001 and is 0.002); starting over" in logs[2]
    starts = [e["epoch"] for e in history.read(tmp_path / "run") if e["event"] == "started"]
    assert starts == [0, 1, 0]
    [kept] = (tmp_path / "set_aside").iterdir()
    assert f"it is kept in set_aside/{kept.name}" in logs[2]
    assert (kept / "checkpoints" / "epoch_00001").is_dir()


def test_the_command_resumes_with_a_smaller_forward(tmp_path, command):
    """As our own advice against too little memory asks; the log records it."""
    assert "starting over" not in command(batch={"micro_batch": 4})
    log = command(batch={"micro_batch": 2}, epochs=2)
    assert "batch.micro_batch was 4 and is 2; sums differ in their last bits from here on" in log
    assert "resuming after epoch 1" in log
    starts = [e for e in history.read(tmp_path / "run") if e["event"] == "started"]
    assert [e["sizes"]["batch.micro_batch"] for e in starts] == [4, 2]


def test_the_command_resumes_with_the_same_weights_downloaded_again(tmp_path, command):
    def download(seconds):
        """As `pcpo.assets.fetch` leaves a folder: files of now, and a note of their times."""
        for folder in (tmp_path / "model", tmp_path / "aesthetic"):
            for file in folder.rglob("*"):
                os.utime(file, (seconds, seconds))
            (folder / "assets.json").write_text(f'{{"files": {{"mtime_ns": {seconds}000000000}}}}')

    download(1_700_000_000)
    command()
    download(1_800_000_000)
    assert "resuming after epoch 1" in command()
    [weights] = (tmp_path / "model" / "unet").glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "starting over" in command()
