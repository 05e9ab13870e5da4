"""Trackers: what TensorBoard's files and a W&B run get; a missing package is named."""

import importlib.util
import json
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from pcpo.config import load_arm
from pcpo.config.scale import Previews
from pcpo.records import frame_file, frames
from pcpo.training import tracker
from pcpo.training.loop import train
from pcpo.training.previews import previews
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from tests.small import PROMPTS, brightness, experiment, policy
from tests.training.runs import HELD_OUT, HELD_OUT_PROMPTS

CHOSEN = experiment(6, epochs=2, validation=HELD_OUT)


def tracked_run(models, path, kind):
    """A run of configuration 6 with a tracker and previews; its updates frame."""
    fresh = policy(models, CHOSEN, train=True)
    whole = Run(CHOSEN, load_arm("pcpo"), 0, fresh, brightness, PROMPTS, HELD_OUT_PROMPTS)
    with tracker.tracked(kind, whole, path) as own:
        drawn = previews(whole, path, Previews(every=1, prompts=2), own.images)
        train(whole, RunFolder(path, "same"), [own.observer, drawn], lambda message: None)
    return frame_file.read(path / "updates.parquet", frames.UPDATES)


def events(folder):
    """The events of TensorBoard's files: records of length, checksum, data, checksum."""
    for file in sorted(folder.rglob("events.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield Event.FromString(data[12 : 12 + length])
            data = data[12 + length + 4 :]


def scalars_and_images(folder):
    """Tag -> step -> value, and step -> sizes of images, of TensorBoard's files."""
    scalars, images = {}, {}
    for event in events(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                scalars.setdefault(value.tag, {})[event.step] = value.simple_value
            elif value.HasField("image"):
                images.setdefault(event.step, []).append((value.image.height, value.image.width))
    return scalars, images


def test_tensorboard_files_hold_every_number(models, tmp_path):
    updates = tracked_run(models, tmp_path, "tensorboard")
    scalars, images = scalars_and_images(tmp_path / tracker.FOLDER)
    configuration = "".join(str(event.summary) for event in events(tmp_path / tracker.FOLDER))
    counted = updates.select_dtypes("number").drop(columns="kl")  # no KL term: missing values
    assert {tag for tag in scalars if tag.startswith("train/")} == {
        f"train/{column}" for column in counted
    }
    for column in counted:
        got = [scalars[f"train/{column}"][step] for step in range(1, len(updates) + 1)]
        assert got == pytest.approx(counted[column].tolist(), rel=1e-6)
    rows = frame_file.read(tmp_path / "validation.parquet", frames.VALIDATION)
    got = scalars["validation/reward_mean"]
    assert list(got.values()) == pytest.approx(rows["reward_mean"].tolist(), rel=1e-6)
    assert list(got) == [0, 2, 4]
    assert set(images) == {0, 2, 4}
    for key in ("experiment.sampler.noise_level", "arm.credit", "experiment.optimizer.betas"):
        assert key in configuration


def test_wandb_gets_the_same_and_goes_on_with_the_same_run(models, tmp_path, monkeypatch):
    """W&B is a test double here: the project does not install it."""
    calls = []
    own = SimpleNamespace(
        log=lambda values, step=None: calls.append((step, values)),
        finish=lambda: calls.append("finished"),
    )
    double = SimpleNamespace(
        init=lambda **given: calls.append(given) or own,
        config=SimpleNamespace(update=lambda values, **_: calls.append(values)),
        Image=np.shape,
    )
    monkeypatch.setitem(sys.modules, "wandb", double)
    updates = tracked_run(models, tmp_path, "wandb")
    opened, configuration, *logged = calls
    assert opened["project"] == "pcpo" and opened["resume"] == "allow"
    assert opened["name"] == "smoke/06_dancegrpo_flux_hps/pcpo/0"
    assert json.loads(configuration["experiment.optimizer.betas"]) == [0.9, 0.999]
    assert logged[-1] == "finished"
    rewards = {s: v["train/reward_mean"] for s, v in logged[:-1] if "train/reward_mean" in v}
    assert list(rewards.values()) == updates["reward_mean"].tolist()
    pictures = [values["previews"] for _, values in logged[:-1] if "previews" in values]
    assert pictures == [[(32, 32, 3)] * 2] * 3
    tracked_run(models, tmp_path, "wandb")
    again = [call for call in calls if isinstance(call, dict) and "project" in call]
    assert [call["id"] for call in again] == [opened["id"]] * 2


def test_a_missing_package_is_named(monkeypatch):
    tracker.check("none")
    tracker.check("tensorboard")
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    for kind, package in {"tensorboard": "tensorboard or tensorboardX", "wandb": "wandb"}.items():
        with pytest.raises(ValueError, match=f"tracker: {kind} .* needs the package {package}, "):
            tracker.check(kind)
    assert importlib.util.find_spec("torch")


def test_no_tracker_is_opened_for_none(tmp_path):
    with tracker.tracked("none", None, tmp_path) as own:
        assert own is None
