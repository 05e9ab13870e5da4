"""hps and clipscore against torchvision's transforms and open_clip's own preprocessing."""

import copy
import json

import open_clip
import pytest
import torch
from open_clip import factory
from safetensors.torch import load_file
from torchvision import transforms
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


def shrunk(name):
    """open_clip's configuration of a published model, narrow and two layers deep, all else kept."""
    config = copy.deepcopy(open_clip.get_model_config(name))
    config["embed_dim"] = 32
    config["vision_cfg"] |= {"width": 64, "head_width": 16, "layers": 2}
    config["text_cfg"] |= {"width": 64, "heads": 4, "layers": 2}
    return config


def random_weights(config, seed):
    """A random model whose text tower distinguishes prompts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.CLIP(**config).eval()
    with torch.no_grad():
        model.token_embedding.weight.mul_(20)
    return model


@pytest.fixture
def hps_folder(tmp_path, monkeypatch):
    """The published layout: two bare checkpoints {'state_dict': ...} of a (shrunk) ViT-H-14."""
    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-H-14", shrunk("ViT-H-14"))
    for seed, name in enumerate(("HPS_v2_compressed.pt", "HPS_v2.1_compressed.pt")):
        state = random_weights(shrunk("ViT-H-14"), seed).state_dict()
        torch.save({"state_dict": state}, tmp_path / name)
    return tmp_path


PROMPTS = ["a red circle", "Café: a cat washing the dishes!", "one word after another " * 40]


@pytest.mark.parametrize(("version", "seed"), [("v2.0", 0), ("v2.1", 1)])
def test_published_hps_checkpoint_scores_as_hpsv2_does(hps_folder, version, seed):
    """img_score.py: preprocess one image at a time, encode, image @ text.T, diagonal."""
    reward = pcpo.rewards.load("hps", hps_folder, version=version)
    assert reward.scorer.image_size == 224
    model = random_weights(shrunk("ViT-H-14"), seed)
    tokenizer = open_clip.get_tokenizer("ViT-H-14")
    images = noise_images(3, 300, 200)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    expected = []
    for image, prompt in zip(pil_images(images), PROMPTS, strict=True):
        pixels = vision.normalize(hpsv2_transform(image, 224), mean, std)[None]
        with torch.no_grad():
            seen = model.encode_image(pixels, normalize=True)
            read = model.encode_text(tokenizer([prompt]), normalize=True)
        expected.append((seen @ read.T).squeeze())
    scores = reward(images, PROMPTS)
    assert scores.std() > 1e-2
    torch.testing.assert_close(scores, torch.stack(expected), rtol=0, atol=1e-6)


def test_long_prompts_are_cut_at_77_tokens(hps_folder):
    reward = pcpo.rewards.load("hps", hps_folder)
    longer, cut = ["word " * 90 + "red", "word " * 75 + "red"], ["word " * 75] * 2
    images = noise_images(1).repeat(2, 1, 1, 1)
    assert torch.equal(reward(images, longer), reward(images, cut))
    kept = reward(images, ["word " * 74 + "red"] * 2)
    assert (kept - reward(images, cut)).abs().min() > 1e-5


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_half_precision_is_the_originals_autocast(hps_folder, device):
    """img_score.py: everything under torch.cuda.amp.autocast, the matrix product included."""
    images = noise_images(3, 224, 224)
    exact = pcpo.rewards.load("hps", hps_folder)(images, PROMPTS)
    reward = pcpo.rewards.load("hps", hps_folder, device=device, half=True)
    half = reward(images, PROMPTS)
    assert torch.equal(half, half.half().float())  # in steps of fp16
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, rtol=0, atol=3e-3)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    pixels = torch.stack([hpsv2_transform(image, 224) for image in pil_images(images)])
    pixels = vision.normalize(pixels, mean, std).to(device)
    tokens = open_clip.get_tokenizer("ViT-H-14")(PROMPTS).to(device)
    with torch.no_grad(), torch.autocast(device, torch.float16):
        seen, read, _ = random_weights(shrunk("ViT-H-14"), 1).to(device)(pixels, tokens)
        expected = (seen @ read.T).diag().float().cpu()
    # One step of fp16: products of other shapes may round another way.
    torch.testing.assert_close(half, expected, rtol=0, atol=5e-4)


@pytest.mark.parametrize(
    ("name", "parameters", "patches"),
    [("ViT-H-14", 986_109_441, 16**2), ("ViT-H-14-378-quickgelu", 986_714_881, 27**2)],
)
def test_published_architectures(name, parameters, patches):
    """986.1 M parameters in 686 tensors, as the published HPS checkpoints hold."""
    with torch.device("meta"):
        model = open_clip.create_model(name, device="meta")
    state = model.state_dict()
    assert len(state) == 686
    assert sum(value.numel() for value in state.values()) == parameters
    assert state["visual.positional_embedding"].shape == (patches + 1, 1280)
    assert state["visual.conv1.weight"].shape == (1280, 3, 14, 14)
    assert state["text_projection"].shape == (1024, 1024)
    activation = type(model.visual.transformer.resblocks[0].mlp.gelu).__name__
    assert activation == ("QuickGELU" if "quickgelu" in name else "GELU")


@pytest.fixture
def dfn_folder(tmp_path):
    """apple/DFN5B-CLIP-ViT-H-14-378's layout with a shrunk model: configuration and pickle."""
    config = shrunk("ViT-H-14-378-quickgelu")
    published = open_clip.get_pretrained_cfg("ViT-H-14-378-quickgelu", "dfn5b")
    preprocess = {key: published[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    (tmp_path / "open_clip_config.json").write_text(text)
    state = random_weights(config, 2).state_dict()
    torch.save(state, tmp_path / "open_clip_pytorch_model.bin")
    return tmp_path


def test_clipscore_squashes_to_378_pixels(dfn_folder):
    reward = pcpo.rewards.load("clipscore", dfn_folder)
    model = random_weights(shrunk("ViT-H-14-378-quickgelu"), 2)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    squash = transforms.Compose(
        [
            transforms.Resize((378, 378), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    images = noise_images(3, 256, 400)
    pixels = torch.stack([squash(image) for image in pil_images(images)])
    tokens = open_clip.get_tokenizer("ViT-H-14-378-quickgelu")(PROMPTS)
    with torch.no_grad():
        seen = model.encode_image(pixels, normalize=True)
        read = model.encode_text(tokens, normalize=True)
    scores = reward(images, PROMPTS)
    assert scores.std() > 1e-2
    torch.testing.assert_close(scores, (seen @ read.T).diag(), rtol=0, atol=1e-6)


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
