"""Configurations in the precision of the paper's scale, on small pipelines in published folders.

Denoiser, VAE, text encoders and scheduler are the classes of the real models, in half precision.
"""

import pytest
import torch
from safetensors.torch import load_file

from pcpo import policies, samplers
from pcpo.config import EMA, ModelSource, load_arm, load_experiment
from pcpo.evaluation.generation import generate
from pcpo.training.learner import Learner
from pcpo.training.loop import train
from pcpo.training.observer import Observer
from pcpo.training.processes import Processes
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder, RunState, read_manifest
from tests.published.pipelines import save_pipeline
from tests.small import PROMPTS, brightness, experiment, latents, newest_state

NUMBERS = (1, 5, 6, 8, 10)
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])]
each_configuration = pytest.mark.parametrize("number", NUMBERS)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """number -> ModelSource of a small pipeline without a class of ours."""
    root, sources = tmp_path_factory.mktemp("published"), {}
    for number in NUMBERS:
        save_pipeline(experiment(number).model, root / str(number))
        sources[number] = ModelSource(path=str(root / str(number)))
    return sources


def at_paper_scale(number, **changes):
    """The configuration with the paper's own precision, rank and reward of a small run."""
    paper = load_experiment(number, "paper")
    return experiment(
        number, precision=paper.precision, ema=paper.ema and {"every": 1}, epochs=2, **changes
    )


def opened(published, number, chosen, device="cpu", **options):
    torch.manual_seed(3)  # the adapter's initialisation
    return policies.load(chosen, published[number], device=device, **options)


@each_configuration
def test_weights_are_held_as_the_originals_hold_them(published, number):
    chosen = at_paper_scale(number)
    half = {"fp16": torch.float16, "bf16": torch.bfloat16}[chosen.precision]
    policy = opened(published, number, chosen, train=True)
    trained = {p.dtype for p in policy.trainable().values()}
    frozen = {p.dtype for p in policy.denoiser.parameters() if not p.requires_grad}
    assert trained == {torch.float32}
    assert frozen == ({half} if chosen.lora else set())
    # Flow-GRPO decodes in fp32.
    assert policy.pipeline.vae.dtype == (torch.float32 if chosen.model == "sd35m" else half)
    encoded = policy.encode(["red circle"])
    assert {value.dtype for value in encoded.values()} == {half}
    with torch.no_grad():
        times = torch.tensor([700.0, 100.0])
        prediction = policy.predict(latents(policy, 2), times, policy.encode(PROMPTS[:2]), 2.0)
    assert prediction.dtype == torch.float32
    assert prediction.std() > 0


@pytest.mark.parametrize("device", DEVICES)
@each_configuration
def test_it_trains_stops_resumes_and_generates(published, tmp_path, number, device):
    chosen = at_paper_scale(number)

    def run(path, epochs, report=lambda row: None):
        own = chosen.model_copy(update={"epochs": epochs, "checkpoint_every": 1})
        policy = opened(published, number, own, device, train=True, embeddings=tmp_path / "text")
        small = Run(own, load_arm("pcpo"), 0, policy, brightness, PROMPTS)
        observers = [Observer(update=report)]
        train(small, RunFolder(path, "same"), observers, lambda message: None)

    rows = []
    run(tmp_path / "whole", 2, rows.append)
    first = next(row for row in rows if row["epoch"] == 2 and row["update"] == 1)
    assert first["log_ratio_q01"] == first["log_ratio_q99"] == 0  # after a change of the weights
    assert rows[-1]["log_ratio_std"] > 0
    run(tmp_path / "pieces", 1)
    run(tmp_path / "pieces", 2)
    states = [
        load_file(newest_state(tmp_path / p) / "state.safetensors") for p in ("whole", "pieces")
    ]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        if device == "cpu":
            assert torch.equal(value, states[1][name]), name
        else:
            torch.testing.assert_close(states[1][name], value, rtol=1e-2, atol=1e-4)

    images = []
    for epoch in (None, 2):
        policy = opened(published, number, chosen, device)
        if epoch:
            perturbed = read_manifest(tmp_path / "whole" / "checkpoints.csv")[epoch]
            policy.load_weights(perturbed)
        native = samplers.build(chosen.sampler, policy.scheduler_config).to(device)
        items = [(prompt, 0) for prompt in PROMPTS[:3]]
        guidance = chosen.sampler.guidance_scale
        images.append(torch.stack(list(generate(policy, native, guidance, items, 2))))
    assert images[0].shape == (3, 3, 32, 32)
    assert images[0].float().std() > 1


def test_an_fp16_overflow_skips_the_update_and_the_smaller_scale_is_resumed(published, tmp_path):
    chosen = at_paper_scale(1)
    learner = Learner.start(chosen, opened(published, 1, chosen, train=True))
    before = {name: p.detach().clone() for name, p in learner.parameters.items()}
    assert learner.scaler.get_scale() == 2**16
    learner.backward(sum(p.sum() for p in learner.parameters.values()) * 1e36)
    assert learner.step(Processes())["grad_norm"] == float("inf")
    assert all(torch.equal(before[n], p) for n, p in learner.parameters.items())
    assert learner.scaler.get_scale() == 2**15

    folder = RunFolder(tmp_path, "same")
    folder.save_state(RunState(1, {}, {}), learner)
    fresh = Learner.start(chosen, opened(published, 1, chosen, train=True))
    folder.load_state(fresh, 1)
    assert fresh.scaler.get_scale() == 2**15
    fresh.backward(sum(p.sum() for p in fresh.parameters.values()))
    assert 0 < fresh.step(Processes())["grad_norm"] < float("inf")
    assert not any(torch.equal(before[n], p) for n, p in fresh.parameters.items())


@pytest.mark.parametrize(("every", "calls"), [(1, 1), (2, 2)])
def test_checkpoints_hold_the_moving_average(published, tmp_path, every, calls):
    chosen = at_paper_scale(8)  # 2 images an update
    chosen = chosen.model_copy(
        update={"ema": EMA(decay=0.9, every=every, images_per_call=2 // calls)}
    )
    policy = opened(published, 8, chosen, train=True)
    seen = []

    def report(row):
        seen.append({name: p.detach().clone() for name, p in policy.trainable().items()})

    start = {name: p.detach().clone() for name, p in policy.trainable().items()}
    run = Run(chosen, load_arm("baseline"), 0, policy, brightness, PROMPTS)
    train(run, RunFolder(tmp_path, "same"), [Observer(update=report)], lambda message: None)
    name = next(iter(start))
    average = start[name]
    for update, values in enumerate(seen, 1):  # the formula, once more; the last update's is even
        decay = min((1 + update) / (10 + update), 0.9) ** calls
        if (update + 1) % every == 0:
            average = decay * average + (1 - decay) * values[name]
    state = load_file(newest_state(tmp_path) / "state.safetensors")
    torch.testing.assert_close(state[f"ema.{name}"], average)
    assert torch.equal(state[f"weight.{name}"], seen[-1][name])  # the run resumes from the weights
    saved = load_file(tmp_path / "checkpoints/epoch_00002/pytorch_lora_weights.safetensors")
    average = state[f"ema.{name}"]
    assert any(v.shape == average.shape and torch.equal(v, average) for v in saved.values())
