"""The real models' sizes and FLOPs against published numbers; nothing is computed, all on meta."""

import pytest
import torch

from pcpo.config import load_experiment
from pcpo.cost import architectures
from pcpo.cost.bench import toy, with_execution
from pcpo.cost.counting import AsOnCuda, flops


def tera(function):
    def on_cuda():
        with torch.no_grad(), AsOnCuda(None):
            function()

    return flops(on_cuda) / 1e12


def meta(*shape):
    return torch.empty(*shape, device="meta")


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_the_unet_of_stable_diffusion():
    unet = architectures.denoiser("sd15")
    assert parameters(unet) == 859_520_964
    latents, text = meta(1, 4, 64, 64), meta(1, 77, 768)
    assert tera(lambda: unet(latents, meta(1), text)) == pytest.approx(0.803, abs=5e-4)


@pytest.mark.parametrize(("tokens", "expected"), [(205, 2.224), (333, 2.443)])
def test_the_transformer_of_stable_diffusion_3(tokens, expected):
    transformer = architectures.denoiser("sd35m")
    assert parameters(transformer) == pytest.approx(2.24e9, rel=2e-3)
    counted = tera(
        lambda: transformer(
            meta(1, 16, 64, 64), meta(1, tokens, 4096), meta(1, 2048), timestep=meta(1)
        )
    )
    assert counted == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("image_tokens", "expected"), [(2025, 37.28), (1024, 21.50)])
def test_the_transformer_of_flux(image_tokens, expected):
    transformer = architectures.denoiser("flux", dtype=torch.bfloat16)
    assert parameters(transformer) == pytest.approx(11.90e9, rel=1e-3)
    counted = tera(
        lambda: transformer(
            meta(1, image_tokens, 64).bfloat16(),
            meta(1, 512, 4096).bfloat16(),
            meta(1, 768).bfloat16(),
            timestep=meta(1).bfloat16(),
            guidance=meta(1),
            img_ids=meta(image_tokens, 3),
            txt_ids=meta(512, 3),
        )
    )
    assert counted == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("model", ["sd14", "sd35m", "flux"])
@pytest.mark.parametrize(("pixels", "expected"), [(512, 2.51), (720, 5.04), (1024, 10.47)])
def test_the_decoders(model, pixels, expected):
    vae = architectures.vae(model)
    latents = meta(1, vae.config.latent_channels, pixels // 8, pixels // 8)
    assert tera(lambda: vae.decode(latents)) == pytest.approx(expected, abs=6e-3)


@pytest.mark.parametrize(
    ("number", "linears", "trained"),
    [(1, 128, 797_184), (9, 191, 18.78e6), (6, 190, 149.4e6)],
)
def test_what_each_baselines_lora_trains(number, linears, trained):
    policy = architectures.policy(load_experiment(number), device="meta")
    adapter = policy.trainable()
    assert len(adapter) == 2 * linears
    count = sum(p.numel() for p in adapter.values())
    assert count == pytest.approx(trained, rel=0 if trained == 797_184 else 5e-4)
    assert {p.dtype for p in adapter.values()} == {torch.float32}
    frozen = [p for p in policy.denoiser.parameters() if not p.requires_grad]
    assert {p.dtype for p in frozen} == {torch.bfloat16 if number == 6 else torch.float16}


def test_full_fine_tuning_keeps_fp32_weights():
    policy = architectures.policy(load_experiment(5), device="meta")
    assert {p.dtype for p in policy.denoiser.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in policy.denoiser.parameters())


@pytest.mark.parametrize(
    ("model", "expected"),
    [("sd15", 77 * 768), ("sd35m", 205 * 4096 + 2048), ("flux", 512 * 4096 + 768)],
)
def test_sizes_of_prompt_embeddings(model, expected):
    assert architectures.text(model).bytes_per_prompt == 2 * expected


@pytest.mark.parametrize("number", [1, 9, 6])
def test_a_small_version_predicts_and_decodes(number):
    experiment = load_experiment(number)
    experiment = with_execution(toy(experiment), compile=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = architectures.policy(experiment, device="cpu", small=True)
    latents = torch.randn(2, *policy.latent_shape)
    timesteps = torch.full((2,), 500.0)
    outputs = [
        policy.predict(
            latents, timesteps, policy.encode(prompts), experiment.sampler.guidance_scale
        )
        for prompts in (["a cat", "a dog"], ["a cat", "a fish"])
    ]
    assert outputs[0].shape == latents.shape
    assert torch.isfinite(outputs[0]).all()
    torch.testing.assert_close(outputs[0][0], outputs[1][0])
    assert not torch.allclose(outputs[0][1], outputs[1][1])
    assert policy.decode(latents).shape == (2, 3, 32, 32)
