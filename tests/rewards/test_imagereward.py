"""ImageReward's network against timm's ViT (the original's) and by its symmetries."""

import json
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer

import pcpo.rewards
from pcpo.rewards import _blip, imagereward
from tests.rewards.tiny_models import noise_images, prompts_for


def test_image_tower_equals_timms_vit_under_the_published_names(tiny_folder):
    """BLIP's visual encoder is timm's VisionTransformer; its names are those of the checkpoint."""
    folder, _ = tiny_folder("imagereward")
    state = load_file(folder / "ImageReward.safetensors")
    prefix = "blip.visual_encoder."
    visual = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    timm_vit = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4, mlp_ratio=2,
        num_classes=0, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    ).eval()  # fmt: skip
    timm_vit.load_state_dict(visual)
    config = json.loads((folder / "med_config.json").read_text())
    ours = _blip.load_scorer(state, config, folder).vision
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            ours(pixel_values=pixels).last_hidden_state,
            timm_vit.forward_features(pixels),
            rtol=1e-5,
            atol=1e-5,
        )


def test_published_scale_is_subtracted_and_divided(tiny_reward):
    reward = tiny_reward("imagereward")
    images, prompts = noise_images(3), prompts_for("imagereward", 3)
    before = reward(images, prompts)
    *_, last = reward.model.head.layers.values()
    with torch.no_grad():
        last.bias += 1
    moved = reward(images, prompts) - before
    torch.testing.assert_close(moved, torch.full((3,), 1 / 1.0333394966054072))
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(0.16717362830052426)
    torch.testing.assert_close(reward(images, prompts), torch.zeros(3), rtol=0, atol=1e-6)


def test_text_is_read_in_both_directions_and_sees_the_image(tiny_reward):
    """The first token's state depends on the last word (no causal mask) and on the image."""
    reward = tiny_reward("imagereward")
    image = noise_images(1)
    score = reward(image, ["a red circle above a line"])
    assert (score - reward(image, ["a red circle above a dot"])).abs() > 1e-6
    assert (score - reward(255 - image, ["a red circle above a line"])).abs() > 1e-6


def test_leftovers_of_pretraining_are_ignored_and_other_keys_are_not(tiny_folder, tmp_path):
    folder, _ = tiny_folder("imagereward")
    state = load_file(folder / "ImageReward.safetensors")
    for name in ("med_config.json", "tokenizer"):
        (tmp_path / name).symlink_to(folder / name)
    leftover = {"blip.vision_proj.weight": torch.zeros(2), "blip.text_proj.bias": torch.zeros(2)}
    save_file(state | leftover, tmp_path / "ImageReward.safetensors")
    reward = pcpo.rewards.load("imagereward", tmp_path)
    whole = pcpo.rewards.load("imagereward", folder)
    images, prompts = noise_images(2), prompts_for("imagereward", 2)
    assert torch.equal(reward(images, prompts), whole(images, prompts))
    save_file(state | {"blip.text_encoder.extra": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(ValueError, match="extra"):
        pcpo.rewards.load("imagereward", tmp_path, checkpoint="more.safetensors")


def test_long_prompts_are_cut():
    assert imagereward.MAX_TOKENS == 35  # ImageReward.py: max_length=35
