"""`pcpo.align` is the pipeline's trainer; the example and docs/align.md run as written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline

import pcpo
import pcpo.synthetic.vae  # of the small pipelines: diffusers loads it by its name
from pcpo import own_model, policies
from pcpo.config import ConfigError, load_arm
from pcpo.own_model import _devices as devices_of
from pcpo.own_model import experiment_of
from pcpo.policies.base import Policy
from pcpo.prompts.draws import derive_seed
from pcpo.records import frame_file, frames
from pcpo.training.loop import train
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from tests.small import PROMPTS, brightness_by_prompt
from tests.training.runs import same_tensors, weights

ROOT = Path(__file__).parents[1]
FAMILIES = {"sd15": "stable_diffusion", "sd35m": "stable_diffusion_3", "flux": "flux"}


def settings(name):
    """4 images an epoch in 2 updates, 3 sampler steps (6 where an image trains a part of them)."""
    return {
        "sampler": {"resolution": 32, "steps": 6 if name == "flux" else 3},
        "batch": {"images_per_iteration": 4, "gradient_updates": 2, "micro_batch": 2},
        "lora": {"rank": 2, "alpha": 2},
        "checkpoint_every": 1,
    }


def align(models, out, name="sd15", **changes):
    given = {
        "pipeline": models[name].path, "reward": brightness_by_prompt, "prompts": PROMPTS,
        "out": out, "epochs": 1, "settings": settings(name), "log": lambda message: None,
    }  # fmt: skip
    return pcpo.align(**given | changes)


def test_the_package_is_cheap_to_import():
    code = "import pcpo, sys; print(sorted({'torch', 'pydantic', 'numpy'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert {"align", "Aligned"} <= {*dir(pcpo)}
    with pytest.raises(AttributeError, match="'aling'"):
        pcpo.aling  # noqa: B018


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_the_trainer_of_the_pipeline(models, tmp_path, name):
    """The same numbers and weights as a run that is put together by hand."""
    found = align(models, tmp_path / "align", name)
    chosen = experiment_of(FAMILIES[name], len(PROMPTS), "pcpo", 1, "fp32", settings(name))
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed("adapter", 0))
        policy = policies.load(chosen, models[name], train=True)
    run = Run(chosen, load_arm("pcpo"), 0, policy, brightness_by_prompt, PROMPTS)
    train(run, RunFolder(tmp_path / "run", "same"), log=lambda message: None)
    updates = frame_file.read(tmp_path / "run" / "updates.parquet", frames.UPDATES)
    for column in ("reward_mean", "log_ratio_std", "grad_norm"):
        assert found.updates[column].tolist() == updates[column].tolist()
    assert same_tensors(weights(tmp_path / "align", 1), weights(tmp_path / "run", 1))


def test_a_pipeline_in_memory_is_trained_alike_and_left_as_it_was(models, tmp_path):
    """Also: it resumes, and consumes none of the caller's random numbers."""
    pipeline = DiffusionPipeline.from_pretrained(models["sd15"].path)
    before = {key: value.clone() for key, value in pipeline.unet.state_dict().items()}
    random, log = torch.get_rng_state(), []
    align(models, tmp_path / "object", pipeline=pipeline)
    pieces = align(models, tmp_path / "object", pipeline=pipeline, epochs=2, log=log.append)
    assert torch.equal(torch.get_rng_state(), random)
    assert "resuming after epoch 1" in log
    assert same_tensors(pipeline.unet.state_dict(), before)
    whole = align(models, tmp_path / "folder", epochs=2)
    assert pieces.rewards == whole.rewards and len(whole.rewards) == 2
    assert same_tensors(weights(pieces.folder, 2), weights(whole.folder, 2))
    pipeline.load_lora_weights(pieces.checkpoint)
    assert any(".lora_B." in name for name in pipeline.unet.state_dict())


def test_networks_go_back_to_where_they_were(models, tmp_path, monkeypatch):
    """Without a GPU nothing moves: the network is said to have come from the device `meta`."""
    pipeline, found, asked = DiffusionPipeline.from_pretrained(models["sd15"].path), devices_of, []

    def said(pipeline):
        asked.append(found(pipeline))
        return asked[-1] | ({"unet": torch.device("meta")} if len(asked) == 1 else {})

    monkeypatch.setattr(own_model, "_devices", said)
    align(models, tmp_path, pipeline=pipeline)
    assert {device.type for device in asked[0].values()} == {"cpu"} and "text_encoder" in asked[0]
    assert pipeline.unet.device.type == "meta"
    assert pipeline.text_encoder.device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_pipeline_on_a_gpu_can_be_used_after_it_was_trained(models, tmp_path):
    pipeline = DiffusionPipeline.from_pretrained(models["sd15"].path).to("cuda")
    align(models, tmp_path, pipeline=pipeline)
    pipeline("red circle", num_inference_steps=2, height=32, width=32)
    assert {d.type for d in devices_of(pipeline).values()} == {"cuda"}


def test_a_pipeline_that_cannot_be_placed_goes_back_too(models, tmp_path, monkeypatch):
    pipeline = DiffusionPipeline.from_pretrained(models["sd15"].path)
    places = iter([{"unet": torch.device("meta")}, devices_of(pipeline)])
    monkeypatch.setattr(own_model, "_devices", lambda pipeline: next(places))

    def full(*arguments, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(policies, "of_pipeline", full)
    with pytest.raises(RuntimeError, match="out of memory"):
        align(models, tmp_path, pipeline=pipeline)
    assert pipeline.unet.device.type == "meta"


def test_a_complete_run_returns_without_sampling_and_another_one_is_set_aside(models, tmp_path):
    first = align(models, tmp_path / "run")

    def brightness_by_prompt(images, prompts):
        raise AssertionError("nothing is left to sample")

    assert align(models, tmp_path / "run", reward=brightness_by_prompt).rewards == first.rewards
    log = []
    align(models, tmp_path / "run", credit="baseline", log=log.append)
    assert "arm.credit was" in log[0] and "starting over" in log[0]
    assert len(list((tmp_path / "set_aside").glob("run_*"))) == 1


WRONG = [
    ({"prompts": "a cat"}, "prompts: give a list"),
    ({"prompts": ["a cat", " "]}, "prompts: number 2: the prompt is empty"),
    ({"credit": "proportional"}, "unknown arm 'proportional'; known: baseline"),
    ({"credit": "uniform"}, "'uniform' makes no sense with sampler ddim"),
    ({"settings": {"sampler": {"step": 3}}}, "settings: sampler.step: unknown key"),
    ({"settings": {"reward": {"name": "ocr"}}}, "settings: reward: it cannot be set here"),
    ({"epochs": 0}, "align: epochs: "),
    ({"pipeline": "nowhere"}, "model_index.json is missing: give the folder of a diffusers"),
    ({"reward": lambda images, prompts: 1.0}, r"returned scores of shape \(\) for 2 images"),
    ({"reward": lambda images, prompts: [float("nan")] * 2}, "'<lambda>' returned nan for row 0"),
]


# Numbers, not the values: a function's text has its address, which differs between processes.
@pytest.mark.parametrize(("changes", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_argument_is_named(models, tmp_path, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        align(models, tmp_path, **changes)


def test_a_pipeline_that_cannot_be_trained_is_refused(models, tmp_path):
    pipeline = DiffusionPipeline.from_pretrained(models["sd15"].path)
    with pytest.raises(ValueError, match="lora: null would change all weights"):
        align(models, tmp_path, pipeline=pipeline, settings=settings("sd15") | {"lora": None})
    pipeline.unet.to(torch.float64)
    with pytest.raises(ValueError, match="the pipeline's unet is in torch.float64"):
        align(models, tmp_path, pipeline=pipeline)
    with pytest.raises(ValueError, match="no adapter for LTXPipeline; .*StableDiffusion3Pipeline"):
        policies.family("LTXPipeline")
    assert not (tmp_path / "checkpoints").exists()


def test_few_prompts_make_smaller_groups():
    batch = experiment_of("stable_diffusion_3", 3, "pcpo", 1).batch
    assert (batch.prompts_per_iteration, batch.images_per_prompt) == (2, 32)  # 3 do not divide 64
    with pytest.raises(ConfigError, match="settings: batch.images_per_iteration"):
        experiment_of("flux", 3, "pcpo", 1, settings={"batch": {"images_per_iteration": -1}})


@pytest.fixture
def demo(models, tmp_path, monkeypatch):
    """A folder in which the small SD1.5 is in the place of the demo's."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "results" / "demo" / "synthetic" / "sd15"
    place.parent.mkdir(parents=True)
    place.symlink_to(models["sd15"].path)
    return tmp_path


def test_the_example_runs_as_written(demo):
    """By its own command: the package is found through PYTHONPATH alone."""
    script = ROOT / "examples" / "align_your_model.py"
    assert len(script.read_text().splitlines()) <= 60
    printed = subprocess.run(
        [sys.executable, script, "--epochs", "1"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert "epoch 1 of 1: reward " in printed
    (folder,) = re.findall(r'load_lora_weights\("(.*)"\)', printed)
    assert (demo / folder / "pytorch_lora_weights.safetensors").is_file()


def test_the_page_runs_as_written(demo, capsys):
    page = (ROOT / "docs" / "align.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    names = {}
    for block in blocks:
        exec(block, names)
    assert "resuming after epoch 2" in capsys.readouterr().out
    assert names["image"].size == (32, 32)


def test_every_family_of_pipelines_has_a_method():
    for name in FAMILIES.values():
        adapter = policies.adapter_of(name)
        assert issubclass(adapter, Policy)
        assert policies.family(adapter.pipeline_class.__name__) == name
        assert experiment_of(name, 8, "pcpo", 1).model == name
