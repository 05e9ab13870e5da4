"""The three recipes at a size of seconds: determinism, save and load, text encoding."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

import pcpo.synthetic.vae  # noqa: F401
from pcpo.synthetic import drawing, flux, stable_diffusion, stable_diffusion_3
from pcpo.synthetic.accuracy import generate
from pcpo.synthetic.pretraining import captioned_drawings, flow_times, generators, token_ids

TEXTS = ["red circle", "a blue moon under a dot", 'the word "TAX"', ""]
SMALL = {"steps": 2, "batch": 4, "drawings": 180}


def pretrain(name, root, seed=0):
    if name == "sd":
        stable_diffusion.pretrain(root / "sd14", root / "sd15", seed=seed, **SMALL)
    elif name == "sd35m":
        stable_diffusion_3.pretrain(root / "sd35m", layers=1, width=48, seed=seed, **SMALL)
    else:
        flux.pretrain(root / "flux", distil_steps=1, single=1, width=48, seed=seed, **SMALL)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic")
    for name in ("sd", "sd35m", "flux"):
        pretrain(name, root)
    return root


def digest(root):
    files = sorted(root.rglob("*.safetensors"))
    return [(str(f.relative_to(root)), hashlib.sha256(f.read_bytes()).hexdigest()) for f in files]


def test_another_process_trains_identical_weights(trained, tmp_path):
    code = (
        "import sys, torch; torch.set_num_threads(1); from pathlib import Path\n"
        "from tests.synthetic.test_pretraining import pretrain\n"
        "[pretrain(name, Path(sys.argv[1])) for name in ('sd', 'sd35m', 'flux')]"
    )
    environment = {
        "PYTHONHASHSEED": "7",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "PYTHONPATH": ":".join(sys.path),
    }
    command = [sys.executable, "-c", code.replace("(1)", f"({torch.get_num_threads()})")]
    subprocess.run([*command, str(tmp_path)], env=environment, check=True, capture_output=True)
    assert digest(tmp_path) == digest(trained)


@pytest.mark.parametrize("model", ["sd14", "sd15", "sd35m", "flux"])
def test_saved_pipelines_load_and_draw_the_same_image_twice(trained, model):
    images = [
        generate(DiffusionPipeline.from_pretrained(trained / model), TEXTS[:2], 3.0, 0, steps=2)
        for _ in range(2)
    ]
    assert images[0].shape == (2, 3, 32, 32)
    assert images[0].dtype == torch.uint8
    assert torch.equal(images[0], images[1])


def test_sd_keeps_stable_diffusions_noise_schedule(trained):
    scheduler = DiffusionPipeline.from_pretrained(trained / "sd15").scheduler
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    expected = torch.cumprod(1 - betas, dim=0)
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), expected, rtol=1e-4, atol=1e-7)
    scheduler.set_timesteps(10)
    assert scheduler.timesteps.tolist() == [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]
    assert scheduler.final_alpha_cumprod == scheduler.alphas_cumprod[0]


@torch.no_grad()
def test_text_in_training_is_encoded_as_the_pipelines_encode_it(trained):
    pipeline = DiffusionPipeline.from_pretrained(trained / "sd15")
    ids = token_ids(pipeline.tokenizer, TEXTS, stable_diffusion.MAX_TOKENS)
    expected, _ = pipeline.encode_prompt(TEXTS, "cpu", 1, False)
    torch.testing.assert_close(pipeline.text_encoder(ids).last_hidden_state, expected)

    pipeline = DiffusionPipeline.from_pretrained(trained / "sd35m")
    tokens = stable_diffusion_3.MAX_TOKENS
    sequence, pooled = stable_diffusion_3.encode_text(
        pipeline,
        token_ids(pipeline.tokenizer, TEXTS, tokens),
        token_ids(pipeline.tokenizer_3, TEXTS, tokens),
    )
    expected = pipeline.encode_prompt(
        TEXTS, None, None, do_classifier_free_guidance=False, max_sequence_length=tokens
    )
    torch.testing.assert_close(sequence, expected[0])
    torch.testing.assert_close(pooled, expected[2])

    pipeline = DiffusionPipeline.from_pretrained(trained / "flux")
    data = captioned_drawings(np.random.default_rng(0), 180, fold=2)
    recipe = flux.Recipe(pipeline, data, torch.Generator(), 2, 0.1)
    sequence, pooled = recipe.encode_text(torch.tensor([0, recipe.empty]))
    expected = pipeline.encode_prompt(
        [data.captions[0], ""], None, max_sequence_length=flux.MAX_TOKENS
    )
    torch.testing.assert_close(sequence, expected[0])
    torch.testing.assert_close(pooled, expected[1])
    assert torch.equal(recipe.text_ids, expected[2])


def test_flux_tokens_are_packed_as_the_pipeline_packs_latents(trained):
    pipeline = DiffusionPipeline.from_pretrained(trained / "flux")
    data = captioned_drawings(np.random.default_rng(0), 180, fold=2)
    recipe = flux.Recipe(pipeline, data, torch.Generator(), 2, 0.1)
    assert torch.equal(recipe.tokens, pipeline._pack_latents(data.latents, 180, 8, 8, 8))


def test_an_omitted_activity_leaves_the_caption():
    data = [
        captioned_drawings(np.random.default_rng(0), 180, fold=1, activity_omitted=share)
        for share in (0.0, 1.0)
    ]
    assert torch.equal(data[0].caption, data[1].caption)
    assert set(data[0].captions) == set(drawing.CAPTIONS)
    assert not torch.equal(data[0].vae.mean, data[1].vae.mean)


def test_generators_differ_by_purpose_and_seed_and_repeat():
    draws = {
        (purpose, seed): torch.rand(1, generator=generators(purpose, seed)[1]).item()
        for purpose in ("one", "two")
        for seed in (0, 1)
    }
    assert len(set(draws.values())) == 4
    assert torch.rand(1, generator=generators("one", 0)[1]).item() == draws["one", 0]


def test_flow_times_have_the_shifted_median():
    time = flow_times(20001, torch.Generator().manual_seed(0), shift=2.0)
    assert time.min() > 0
    assert time.max() < 1
    assert time.median().item() == pytest.approx(2 * 0.5 / 1.5, abs=0.01)
