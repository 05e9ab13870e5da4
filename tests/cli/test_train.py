"""The training command: trackers, CUDA's errors in the user's terms, prompts that CLIP cuts."""

import sys
from types import SimpleNamespace

import pytest
import torch

import pcpo.cost.plan
from pcpo import config
from pcpo.cli import console, evaluation, train
from pcpo.cli.evaluation import cut_prompts
from pcpo.cli.train import out_of_memory
from pcpo.config import load_arm, load_experiment, load_scale
from pcpo.config.scale import Previews
from pcpo.records import frame_file, frames
from pcpo.training import tracker
from tests.small import PROMPTS, brightness, experiment
from tests.training.runs import HELD_OUT, HELD_OUT_PROMPTS
from tests.training.test_tracker import scalars_and_images


def test_out_of_memory_names_the_setting_and_the_size_that_fits(monkeypatch):
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=24e9)
    )
    monkeypatch.setattr(pcpo.cost.plan, "suggest_micro_batch", lambda *_: 4)
    chosen = load_experiment(1, "paper")
    with (
        pytest.raises(
            ValueError, match=r"24 GB .* lower batch.micro_batch, now 8 \(the plan suggests 4\)"
        ) as caught,
        out_of_memory(chosen, load_arm("baseline")),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert "config/scale/paper.yaml" in str(caught.value)


def test_a_lost_gpu_is_an_error_with_how_to_resume():
    with (
        pytest.raises(ValueError, match="start again: the run resumes from its last saved state"),
        out_of_memory(load_experiment(1, "paper"), load_arm("baseline")),
    ):
        raise torch.AcceleratorError("CUDA error: unspecified launch failure", 719)


def test_prompts_that_clip_cuts_are_counted_and_refused_where_the_paper_drops_them(models):
    model = models["sd15"].path
    short = ["red circle", "blue star"]
    long = [*short, "circle " * 100]
    assert cut_prompts(model, "hpd", "hpd.txt", short) == ""
    message = cut_prompts(model, "hpd", "hpd.txt", long)
    assert message.startswith("hpd.txt: 1 of 3 prompts have more than")
    assert "line 3" in message
    with pytest.raises(ValueError, match=r"mjhq.txt: more than 77 CLIP tokens in line 3"):
        cut_prompts(model, "mjhq", "mjhq.txt", long)


@pytest.fixture
def command(models, tmp_path, monkeypatch):
    """python -m pcpo.cli.train 1 pcpo: two epochs with previews, and the brightness as reward."""
    chosen = experiment(1, epochs=2, validation=HELD_OUT)
    scale = load_scale("smoke")
    prompts = {chosen.prompts: PROMPTS, HELD_OUT.prompts: HELD_OUT_PROMPTS}
    files = {name: tmp_path / f"{name}.txt" for name in prompts}
    for name, texts in prompts.items():
        files[name].write_text("\n".join(texts) + "\n", encoding="utf-8")
    weights = tmp_path / "reward"
    weights.mkdir()
    reward = scale.rewards[chosen.reward.name].model_copy(update={"path": str(weights)})
    places = {
        "models": models,
        "prompts": scale.prompts | {name: str(file) for name, file in files.items()},
        "rewards": scale.rewards | {chosen.reward.name: reward},
        "previews": Previews(every=1, prompts=2),
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console.Log, "current", None)
    monkeypatch.setattr(config, "load_experiment", lambda *names: chosen)
    monkeypatch.setattr(evaluation, "load_reward", lambda *given, **options: brightness)

    def start(kind):
        own = scale.model_copy(update=places | {"tracker": kind})
        monkeypatch.setattr(config, "load_scale", lambda name: own)
        words = ["train", "1", "pcpo", "--scale", "smoke", "--out", "run", "--log", "log"]
        monkeypatch.setattr(sys, "argv", words)
        train.main()
        return tmp_path / "run"

    return start


def test_the_scales_tracker_gets_what_the_frames_have(command):
    """Two updates an epoch for two epochs; validation and previews from the base model on."""
    run = command("tensorboard")
    scalars, images = scalars_and_images(run / tracker.FOLDER)
    updates = frame_file.read(run / "updates.parquet", frames.UPDATES)
    validation = frame_file.read(run / "validation.parquet", frames.VALIDATION)
    expected = {
        f"{kind}/{column}": dict(zip(steps, values, strict=True))
        for kind, frame, steps in (
            ("train", updates, [1, 2, 3, 4]),
            ("validation", validation, [0, 2, 4]),
        )
        for column, values in frame.select_dtypes("number").dropna(axis="columns").items()
    }
    assert scalars.keys() == expected.keys() and "train/reward_mean" in expected
    for tag, values in expected.items():
        assert scalars[tag] == pytest.approx(values, rel=1e-6), tag
    assert images == {step: [(32, 64)] for step in (0, 2, 4)}  # two prompts, side by side


def test_without_a_tracker_nothing_is_written_or_imported(command, monkeypatch):
    monkeypatch.setattr(tracker, "Tracker", None)  # to make one is an error
    for module in ("tensorboardX", "torch.utils.tensorboard", "wandb"):
        monkeypatch.setitem(sys.modules, module, None)  # to import it is an error
    run = command("none")
    assert (run / "updates.parquet").exists()
    assert not [*run.rglob("events.*")] and not (run / tracker.FOLDER).exists()
