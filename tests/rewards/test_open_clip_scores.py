"""hps and clipscore against torchvision's transforms and open_clip's own preprocessing."""

import json

import open_clip
import pytest
import torch
from safetensors.torch import load_file
from torchvision.transforms import functional as vision

import pcpo.rewards
from pcpo.rewards._open_clip import OpenClipScorer
from pcpo.rewards._pixels import pil_images
from pcpo.rewards.hps import letterbox
from tests.rewards.tiny_models import noise_images, prompts_for


def hpsv2_transform(image, size):
    """hpsv2's ToTensor, ResizeMaxSize, as torchvision does it: float CHW in about 0..1."""
    pixels = vision.to_tensor(image)
    height, width = pixels.shape[1:]
    scale = size / max(height, width)
    new = [round(height * scale), round(width * scale)]
    pixels = vision.resize(pixels, new, vision.InterpolationMode.BICUBIC, antialias=True)
    down, right = size - new[0], size - new[1]
    padding = [right // 2, down // 2, right - right // 2, down - down // 2]
    return vision.pad(pixels, padding, fill=0)


@pytest.mark.parametrize("size", [(96, 96), (64, 33), (20, 41), (32, 32)])
def test_letterbox_is_hpsv2s_transform(size):
    images = noise_images(2, *size)
    expected = torch.stack([hpsv2_transform(image, 32) for image in pil_images(images)])
    torch.testing.assert_close(letterbox(images, 32), expected, rtol=0, atol=1e-6)


def test_hps_is_the_cosine_of_open_clip(tiny_folder, tiny_reward):
    folder, _ = tiny_folder("hps")
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    images, prompts = noise_images(3, 64, 48), prompts_for("hps", 3)
    mean, std = model.visual.preprocess_cfg["mean"], model.visual.preprocess_cfg["std"]
    pixels = [vision.normalize(hpsv2_transform(x, 32), mean, std) for x in pil_images(images)]
    with torch.no_grad():
        image, text, _ = model(torch.stack(pixels), tokenizer(prompts))
    expected = (image @ text.T).diag()  # no logit scale, no factor 100
    scores = tiny_reward("hps")(images, prompts)
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)


def test_clipscore_uses_open_clips_own_preprocessing(tiny_folder, tiny_reward):
    folder, _ = tiny_folder("clipscore")
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    images, prompts = noise_images(3, 40, 64), prompts_for("clipscore", 3)
    pixels = torch.stack([preprocess(image) for image in pil_images(images)])
    with torch.no_grad():
        image, text, _ = model.eval()(pixels, tokenizer(prompts))
    scores = tiny_reward("clipscore")(images, prompts)
    torch.testing.assert_close(scores, (image * text).sum(1), rtol=1e-5, atol=1e-5)


def test_clipscore_squashes_and_hps_letterboxes(tiny_reward):
    images, prompts = noise_images(2, 64, 40), prompts_for("hps", 2)
    squashed = tiny_reward("clipscore")(images, prompts)
    assert not torch.allclose(squashed, tiny_reward("hps")(images, prompts), atol=1e-3)


def test_a_bare_checkpoint_is_read_into_the_named_architecture(tiny_folder, tmp_path):
    """The published HPS file: {'state_dict': ...}, no configuration beside it."""
    folder, _ = tiny_folder("hps")
    state = load_file(folder / "open_clip_model.safetensors")
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "weights.pt")
    (tmp_path / "configs").mkdir()
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    config["text_cfg"]["hf_tokenizer_name"] = str(folder)
    (tmp_path / "configs" / "tiny-for-tests.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "configs")
    scorer = OpenClipScorer(tmp_path, architecture="tiny-for-tests", checkpoint="weights.pt")
    for key, value in scorer.model.state_dict().items():
        assert torch.equal(value, state[key])


def test_missing_checkpoints_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"HPS_v2_compressed.pt"):
        pcpo.rewards.load("hps", tmp_path, version="v2.0")
    with pytest.raises(FileNotFoundError, match=r"open_clip_config.json"):
        pcpo.rewards.load("clipscore", tmp_path)
    with pytest.raises(ValueError, match=r"v2.1"):
        pcpo.rewards.load("hps", tmp_path, version="v3")
