"""The random models of true size have the bytes of the published files (config/assets.csv)."""

import pytest
import torch

from pcpo.assets import read_assets
from pcpo.cost.encoders import encoder_bytes
from tests.published import features, pipelines, rewards
from tests.published.pipelines import STORED, components, tensors
from tests.published.random_weights import size_of

ASSETS = read_assets()


def published(asset, *parts):
    """Gigabytes of the weights whose path begins with one of `parts`."""
    rows = [row for row in ASSETS[asset] if row.path.startswith(parts) and row.gigabytes > 0.003]
    assert rows
    return sum(row.gigabytes for row in rows)


@pytest.mark.parametrize("name", pipelines.STORED)
def test_components_of_the_base_models(name):
    for component, network in components(name, "true").items():
        ours = size_of(tensors(name, component, network)) / 1e9
        assert ours == pytest.approx(published(f"models/{name}", f"{component}/"), abs=3e-3)


@pytest.mark.parametrize("name", pipelines.STORED)
def test_the_plan_counts_the_text_encoders_that_are_published(name):
    parts = {component.split("/")[0] for component in pipelines.TOKENIZERS[name]}
    encoders = [part.replace("tokenizer", "text_encoder") + "/" for part in parts]
    found = encoder_bytes(name, STORED[name]) / 1e9
    assert found == pytest.approx(published(f"models/{name}", *encoders), abs=5e-3)


def test_t5_keeps_a_part_in_fp32_under_fp16():
    """`wo` of 24 layers, 10240 x 4096: two bytes more a weight, as transformers opens it."""
    half, brain = (encoder_bytes("sd35m", d) for d in (torch.float16, torch.bfloat16))
    assert half - brain == 2 * 24 * 10240 * 4096


@pytest.mark.parametrize(
    ("asset", "file", "found"),
    [
        ("rewards/aesthetic", "backbone/model", lambda: rewards._clip("aesthetic", "true", "gelu")),
        ("rewards/pickscore", "model", lambda: rewards._clip("pickscore", "true", "gelu")),
        ("rewards/aesthetic", "sac", lambda: rewards.head("true")),
        ("rewards/imagereward", "ImageReward", lambda: rewards.blip_tensors("true")),
        ("features/inception", "weights", features.inception_tensors),
        ("features/dinov2", "model", lambda: features.dinov2("true")),
        ("features/lpips", "alexnet", lambda: features.lpips_tensors("alex", "true")),
        ("features/lpips", "vgg", lambda: features.lpips_tensors("vgg", "true")),
    ],
)
def test_rewards_and_features(asset, file, found):
    made = found()
    state = made.state_dict() if hasattr(made, "state_dict") else made
    assert size_of(state) / 1e9 == pytest.approx(published(asset, file), rel=3e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("reward", "pixels", "bytes_each"), [("hps", 224, 2), ("clipscore", 378, 4)]
)
def test_open_clips_vision_transformers(reward, pixels, bytes_each):
    state = rewards.open_clip_tensors(rewards.open_clip_config("true", pixels))
    count = size_of(state) / 4 * bytes_each / 1e9
    files = 2 if reward == "hps" else 1  # two versions
    assert count == pytest.approx(published(f"rewards/{reward}", "") / files, rel=5e-3)
