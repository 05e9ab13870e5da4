"""Small random models in the published layouts, through the package's own loaders."""

import shutil

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, T5EncoderModel

from pcpo import features, policies
from pcpo import rewards as reward_functions
from pcpo.config import ModelSource, load_scale
from tests.published import lay_out, pipelines, rewards, tokenizers
from tests.published.random_weights import value, write_sharded
from tests.rewards.tiny_models import noise_images
from tests.small import experiment, latents

NUMBERS = {"sd14": 5, "sd15": 1, "sd35m": 8, "flux": 6}
# Scale and shift of the published VAEs' latents.
LATENTS = {"sd14": (0.18215, 0), "sd15": (0.18215, 0), "sd35m": (1.5305, 0.0609)}
LATENTS |= {"flux": (0.3611, 0.1159)}
PAPER = load_scale("paper")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    every = [f"models/{name}" for name in pipelines.STORED]
    every += [f"rewards/{name}" for name in rewards.BUILDERS]
    lay_out(folder, "small", [*every, "features/dinov2"])
    return folder


@pytest.fixture(scope="module", params=pipelines.STORED)
def loaded(request, data):
    """A pipeline's name, and its policy."""
    chosen = experiment(NUMBERS[request.param], precision="fp32")
    source = ModelSource(path=str(data / "models" / request.param))
    return request.param, policies.load(chosen, source)


def test_a_pipeline_has_the_weights_of_its_files(loaded):
    """Also those that its libraries rename: the encoder's prefix, the old VAE's attention."""
    name, policy = loaded
    encoders = policy.open_encoders()
    for component, network in pipelines.components(name, "small").items():
        opened = getattr(encoders if component.startswith("text") else policy.pipeline, component)
        found = opened.state_dict()
        written = pipelines.tensors(name, component, network)
        for key, like in network.state_dict().items():
            if key == "encoder.embed_tokens.weight":
                key, stored = "shared.weight", "shared.weight"
            else:
                stored = next(k for k in (key, f"text_model.{key}", pipelines._old_attention(key))
                              if k in written)  # fmt: skip
            expected = value(stored, written[stored], f"{name} {component}")
            torch.testing.assert_close(found[key].float(), expected.float(), rtol=0, atol=0)
            assert like.shape == found[key].shape
    encoded = policy.encode(["a cat", "a dog"])
    states = encoded["encoder_hidden_states"]
    assert torch.isfinite(states).all() and not torch.equal(states[0], states[1])


@torch.no_grad()
def test_images_are_diffusers_own_rounded_to_grey_levels(loaded):
    name, policy = loaded
    scale, shift = LATENTS[name]
    pipeline, x = policy.pipeline, latents(policy, 2)
    images = policy.decode(x)
    assert images.shape == (2, 3, 32, 32) and images.float().std() > 1
    if name == "flux":
        x = pipeline._unpack_latents(x, 32, 32, pipeline.vae_scale_factor)
    decoded = pipeline.vae.decode(x / scale + shift).sample
    expected = 255 * pipeline.image_processor.postprocess(decoded, "np")
    assert np.abs(images.permute(0, 2, 3, 1).numpy() - expected).max() < 0.51


@pytest.mark.parametrize("name", rewards.BUILDERS)
def test_a_reward_scores(data, name):
    source = PAPER.rewards[name]
    options = source.options | ({"version": "v2.1"} if name == "hps" else {})
    reward = reward_functions.load(name, data / "rewards" / name, **options)
    images = noise_images(3)
    scores = reward(images, ["a cat", "a dog", "a fish"])
    assert len(set(scores.tolist())) == 3
    if name != "aesthetic":  # it does not look at the prompt
        other = reward(images, ["a fish", "a cat", "a dog"])
        assert not torch.allclose(scores, other)


def test_dinov2_has_the_weights_of_its_file(data):
    folder = data / "features/dinov2"
    network = features.load("dinov2", folder).network
    stored = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.attention"
    ours, theirs = f"{name}.q_proj.weight", f"{name}.attention.query.weight"
    assert torch.equal(network.state_dict()[ours], stored[theirs])
    found = features.load("dinov2", folder)(noise_images(2))["cls"]
    assert np.isfinite(found).all() and not np.allclose(found[0], found[1])


def test_clips_tokenizer_is_the_published_one(tmp_path):
    tokenizers.save_clip(tmp_path, "true")
    ours, theirs = AutoTokenizer.from_pretrained(tmp_path), open_clip.get_tokenizer("ViT-H-14")
    assert len(ours) == 49408
    texts = ["a lion washing the dishes", 'A sign that says "Hello, World!" in 3d', "", "naïve é"]
    for text in texts:
        ids = ours(text)["input_ids"]
        assert theirs(text)[0, : len(ids)].tolist() == ids
    assert ours("a", padding="max_length")["input_ids"][-1] == 49407


def test_equal_calls_write_equal_bytes_and_what_is_finished_stays(data, tmp_path):
    lay_out(tmp_path, "small", ["models/sd35m"])
    for file in (data / "models/sd35m").rglob("*.safetensors"):
        again = tmp_path / "models/sd35m" / file.relative_to(data / "models/sd35m")
        assert again.read_bytes() == file.read_bytes()
    shutil.rmtree(tmp_path / "models/sd35m/vae")
    lay_out(tmp_path, "small", ["models/sd35m"])
    assert not (tmp_path / "models/sd35m/vae").exists()
    (tmp_path / "models/sd35m/assets.json").unlink()
    lay_out(tmp_path, "small", ["models/sd35m"])
    assert (tmp_path / "models/sd35m/vae").exists()


def test_shards_are_read_as_one_model(tmp_path):
    network = pipelines.components("sd35m", "small")["text_encoder_3"]
    state = pipelines.tensors("sd35m", "text_encoder_3", network)
    write_sharded(tmp_path, "model", state, "t5", most=8000)
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 2
    network.config.save_pretrained(tmp_path)
    opened = T5EncoderModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    for key, like in state.items():
        assert torch.equal(opened.state_dict()[key], value(key, like, "t5")), key
