"""pickscore and aesthetic against transformers' own pipeline and a collapsed head."""

import pytest
import torch
from safetensors.torch import save_file
from torchvision.transforms import functional as vision
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

import pcpo.rewards
from pcpo.rewards._pixels import clip_pixels, clip_processor, pil_images
from tests.rewards.tiny_models import laion_head, noise_images, prompts_for

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def clip_logits(folder, images, prompts):
    """Independent: the diagonal of CLIPModel's own logits on a processor's output."""
    model = CLIPModel.from_pretrained(folder).eval()
    tokens = CLIPTokenizer.from_pretrained(folder)(prompts, padding=True, return_tensors="pt")
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    pixels = processor(images=pil_images(images), return_tensors="pt")
    with torch.no_grad():
        output = model(**tokens, **pixels)
    return output.logits_per_image.diag(), model.logit_scale.exp()


@pytest.mark.parametrize("size", [(32, 32), (48, 40)])
def test_pickscore_is_the_diagonal_of_clips_logits(tiny_folder, tiny_reward, size):
    images, prompts = noise_images(4, *size), prompts_for("pickscore", 4)
    logits, scale = clip_logits(tiny_folder("pickscore")[0], images, prompts)
    assert logits.std() > 0.05  # the prompts are told apart
    for option, expected in (
        ("logit", logits), ("logit/26", logits / 26), ("cosine", logits / scale)
    ):  # fmt: skip
        scores = tiny_reward("pickscore", scale=option)(images, prompts)
        torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)


def test_pickscore_refuses_an_unknown_scale(tiny_reward):
    with pytest.raises(ValueError, match="logit/26"):
        tiny_reward("pickscore", scale="percent")


def test_clip_pixels_are_torchvisions_resize_crop_normalise():
    image = noise_images(1, 50, 44)
    expected = vision.resize(
        pil_images(image)[0], 32, interpolation=vision.InterpolationMode.BICUBIC
    )
    expected = vision.center_crop(expected, [32, 32])
    expected = vision.normalize(vision.to_tensor(expected), MEAN, STD)
    torch.testing.assert_close(
        clip_pixels(image, clip_processor(32))[0], expected, rtol=1e-5, atol=1e-5
    )


def test_aesthetic_head_is_one_affine_map_of_the_unit_embedding(tiny_folder, tiny_reward):
    images = noise_images(4)
    model = CLIPModel.from_pretrained(tiny_folder("aesthetic")[0] / "backbone").eval()
    with torch.no_grad():
        pixels = clip_pixels(images, clip_processor(32))
        embedding = model.get_image_features(pixel_values=pixels).pooler_output.double()
    embedding = embedding / embedding.norm(dim=1, keepdim=True)
    weight = torch.eye(embedding.shape[1], dtype=torch.float64)
    bias = torch.zeros(embedding.shape[1], dtype=torch.float64)
    head = {key: value.double() for key, value in laion_head().items()}
    for number in (0, 2, 4, 6, 7):
        layer = head[f"layers.{number}.weight"]
        weight, bias = layer @ weight, layer @ bias + head[f"layers.{number}.bias"]
    expected = (embedding @ weight.T + bias).squeeze(1).float()
    scores = tiny_reward("aesthetic")(images, [""] * 4)
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("broken", ["order", "output", "name"])
def test_a_head_that_is_no_chain_is_refused(tiny_folder, tmp_path, broken):
    head = laion_head()
    if broken == "order":
        head["layers.2.weight"] = torch.zeros(16, 23)
    elif broken == "output":
        head = {"layers.0.weight": torch.zeros(2, 32), "layers.0.bias": torch.zeros(2)}
    else:
        head = {"head.weight": torch.zeros(1, 32)}
    save_file(head, tmp_path / "head.safetensors")
    (tmp_path / "backbone").symlink_to(tiny_folder("aesthetic")[0] / "backbone")
    with pytest.raises(ValueError, match=r"head.safetensors"):
        pcpo.rewards.load("aesthetic", tmp_path)
