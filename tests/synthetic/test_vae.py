import numpy as np
import pytest
import torch

from pcpo.synthetic import drawing
from pcpo.synthetic.drawing import from_uint8
from pcpo.synthetic.vae import PatchLinearVAE


@pytest.fixture(scope="module")
def images():
    scenes = [drawing.parse_caption(text) for text in drawing.CAPTIONS]
    return drawing.draw(scenes, np.random.default_rng(0))


@pytest.mark.parametrize(("fold", "shape"), [(1, (32, 4, 4)), (2, (8, 8, 8))])
def test_latent_shapes_and_the_pipelines_scale_factor(images, fold, shape):
    vae = PatchLinearVAE.fit(images, fold=fold)
    latents = vae.encode(from_uint8(images)).latent_dist.mode()
    assert latents.shape[1:] == shape
    assert vae.config.latent_channels == shape[0]
    assert 2 ** (len(vae.config.block_out_channels) - 1) == 32 // shape[1]
    assert latents.square().mean().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("fold", [1, 2])
def test_all_components_reconstruct_exactly_and_fewer_are_the_best_projection(images, fold):
    pixels = from_uint8(images)
    full = PatchLinearVAE.fit(images, components=192, fold=fold)
    decoded = full.decode(full.encode(pixels).latent_dist.sample(), return_dict=False)[0]
    torch.testing.assert_close(decoded, pixels, atol=1e-3, rtol=0)

    few = PatchLinearVAE.fit(images, components=32, fold=fold)
    decoded = few.decode(few.encode(pixels).latent_dist.sample()).sample
    patches = torch.nn.functional.unfold(pixels, 8, stride=8).transpose(1, 2).flatten(0, 1)
    singular = torch.linalg.svdvals(patches.double() - patches.double().mean(dim=0))
    best = singular[32:].square().sum() / patches.numel()  # Eckart-Young
    assert (decoded - pixels).square().mean().item() == pytest.approx(best.item(), rel=1e-3)


def test_decoding_undoes_encoding_of_latents(images):
    vae = PatchLinearVAE.fit(images, fold=2)
    latents = torch.randn(3, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    again = vae.encode(vae.decode(latents).sample).latent_dist.mode()
    torch.testing.assert_close(again, latents, atol=1e-4, rtol=1e-4)


def test_round_trip_on_disk(images, tmp_path):
    vae = PatchLinearVAE.fit(images, fold=2)
    vae.save_pretrained(tmp_path)
    loaded = PatchLinearVAE.from_pretrained(tmp_path)
    latents = torch.ones(1, 8, 8, 8)
    assert torch.equal(loaded.decode(latents).sample, vae.decode(latents).sample)
    assert loaded.config.latent_channels == 8
