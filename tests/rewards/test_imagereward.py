"""ImageReward's network against timm's ViT (the original's) and by its symmetries."""

import json
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer

import pcpo.rewards
from pcpo.rewards import _blip, imagereward
from pcpo.rewards._pixels import clip_pixels, clip_processor
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


def bert_with_cross_attention(state, config, input_ids, attention_mask, image_tokens):
    """The original's text encoder (BLIP's med.py) written out: post-norm BERT in which each layer
    attends to the text in both directions, then to all image tokens. -> (B, L, d)"""
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def attend(x, memory, blocked, name):
        q, k, v = (
            linear(source, f"{name}.self.{part}").unflatten(-1, (heads, -1)).transpose(1, 2)
            for source, part in ((x, "query"), (memory, "key"), (memory, "value"))
        )
        scores = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
        weights = scores.masked_fill(blocked, -torch.inf).softmax(-1)
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        return norm(linear(mixed, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")

    positions = state["embeddings.position_embeddings.weight"][: input_ids.shape[1]]
    x = norm(
        state["embeddings.word_embeddings.weight"][input_ids] + positions, "embeddings.LayerNorm"
    )
    padding = attention_mask[:, None, None, :] == 0
    nothing = torch.zeros(1, 1, 1, image_tokens.shape[1], dtype=torch.bool)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        x = attend(x, x, padding, f"{layer}.attention")
        x = attend(x, image_tokens, nothing, f"{layer}.crossattention")
        wide = torch.nn.functional.gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(linear(wide, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")
    return x


def test_score_is_the_originals_arithmetic(tiny_folder, tmp_path):
    """ImageReward.score: padding to a fixed length, first token, head, published scale."""
    folder, _ = tiny_folder("imagereward")
    generator = torch.Generator().manual_seed(5)
    state = {  # large enough that prompts and images are distinguished
        key: value + 0.2 * torch.randn(value.shape, generator=generator)
        for key, value in load_file(folder / "ImageReward.safetensors").items()
    }
    for name in ("med_config.json", "tokenizer"):
        (tmp_path / name).symlink_to(folder / name)
    torch.save(state, tmp_path / "ImageReward.pt")  # the published file is a pickle
    reward = pcpo.rewards.load("imagereward", tmp_path, checkpoint="ImageReward.pt")
    images, prompts = noise_images(5), prompts_for("imagereward", 5)
    prompts += ["a red circle"]
    images = torch.cat([images, images[:1]])
    tokens = reward.tokenizer(prompts, padding="max_length", return_tensors="pt")
    assert (tokens.attention_mask == 0).any()
    text = {k.removeprefix("blip.text_encoder."): v.double() for k, v in state.items()}
    config = json.loads((folder / "med_config.json").read_text())
    with torch.no_grad():
        pixels = clip_pixels(images, clip_processor(32))
        image_tokens = reward.model.vision(pixel_values=pixels).last_hidden_state.double()
        first = bert_with_cross_attention(
            text, config, tokens.input_ids, tokens.attention_mask, image_tokens
        )[:, 0]
    numbers = sorted({int(key.split(".")[2]) for key in state if key.startswith("mlp.")})
    for number in numbers:
        weight, bias = (
            state[f"mlp.layers.{number}.{kind}"].double() for kind in ("weight", "bias")
        )
        first = first @ weight.T + bias
    expected = (first.squeeze(1) - 0.16717362830052426) / 1.0333394966054072
    assert expected.std() > 0.05
    assert (expected[0] - expected[5]).abs() > 1e-3  # the same image with another prompt
    torch.testing.assert_close(reward(images, prompts), expected.float(), rtol=1e-5, atol=1e-5)


def test_published_architecture():
    """ViT-L/16 and a BERT of 12 layers with cross-attention: 610 tensors of the published 625.

    The others are the head (10) and leftovers of BLIP's pre-training. Counted on the original's
    own modules, which also gave our scores to 1e-6 (image-reward 1.5 with random weights).
    """
    published = {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 12, "vocab_size": 30524, "max_position_embeddings": 512,
    }  # fmt: skip
    large = {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
        "num_attention_heads": 16, "image_size": 224, "patch_size": 16,
    }  # fmt: skip
    with torch.device("meta"):
        towers = _blip.build_towers(large, published)
    assert [len(tower.state_dict()) for tower in towers] == [294, 316]
    counts = [sum(p.numel() for p in tower.parameters()) for tower in towers]
    assert counts == [303_301_632, 141_977_088]


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
