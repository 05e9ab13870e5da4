"""pickscore and aesthetic against transformers' own pipeline and the published head."""

import json

import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import functional as vision
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
)

import pcpo.rewards
from pcpo.rewards._pixels import clip_pixels, clip_processor, pil_images
from tests.rewards.tiny_models import laion_head, noise_images, prompts_for

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """The files of a published CLIP (openai/clip-vit-large-patch14): true tokenizer, small model.

    The configuration is an old one: end token 2, with which transformers pools at the largest id.
    """
    folder = tmp_path_factory.mktemp("clip")
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    tower |= {"num_hidden_layers": 2, "projection_dim": 768, "hidden_act": "quick_gelu"}
    config = CLIPConfig(
        text_config=tower | {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1},
        vision_config=tower | {"patch_size": 32},
        projection_dim=768,
        logit_scale_init_value=4.6052,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = CLIPModel(config)
    with torch.no_grad():
        model.text_model.embeddings.token_embedding.weight.mul_(20)
    model.save_pretrained(folder)
    bpe = SimpleTokenizer()  # OpenAI's merges come with open_clip
    vocabulary = dict(bpe.encoder)
    for name in ("start", "end"):
        vocabulary[f"<|{name}oftext|>"] = vocabulary.pop(f"<{name}_of_text>")
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    merges = (" ".join(pair) for pair in sorted(bpe.bpe_ranks, key=bpe.bpe_ranks.get))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    special = {
        "unk_token": "<|endoftext|>", "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77} | special)
    )
    preprocessor = {
        "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": MEAN, "image_std": STD,
        "resample": 3, "size": 224,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


PROMPTS = ["a red circle", "Café: a cat washing the dishes!", "one word after another " * 40]


def test_pickscore_is_flow_grpos_scorer(clip_folder):
    """flow_grpo/pickscore_scorer.py and DDPO's call of the processor, on uint8 tensors."""
    tokenizer = CLIPTokenizer.from_pretrained(clip_folder)
    processor = CLIPProcessor(CLIPImageProcessorPil(), tokenizer)
    model = CLIPModel.from_pretrained(clip_folder).eval()
    images = noise_images(3, 256, 320)
    options = {"padding": True, "truncation": True, "max_length": 77, "return_tensors": "pt"}
    pixels = processor(images=images, return_tensors="pt")
    tokens = processor(text=PROMPTS, **options)
    assert tokens["input_ids"].shape == (3, 77)
    with torch.no_grad():
        image = model.get_image_features(**pixels).pooler_output
        text = model.get_text_features(**tokens).pooler_output
        image = image / image.norm(p=2, dim=-1, keepdim=True)
        text = text / text.norm(p=2, dim=-1, keepdim=True)
        expected = (model.logit_scale.exp() * (text @ image.T)).diag()
    assert expected.std() > 0.5
    for scale, factor in (
        ("logit", 1),
        ("logit/26", 26),
        ("cosine", model.logit_scale.exp().item()),
    ):
        scores = pcpo.rewards.load("pickscore", clip_folder, scale=scale)(images, PROMPTS)
        torch.testing.assert_close(scores, expected / factor, rtol=1e-5, atol=2e-5 / factor)


def test_pickscore_takes_the_processor_of_another_folder(clip_folder, tmp_path):
    """PickScore_v1 is scored with the processor of CLIP-ViT-H-14-laion2B-s32B-b79K."""
    (tmp_path / "processor").mkdir()
    for file in clip_folder.iterdir():
        own = tmp_path if file.name in ("config.json", "model.safetensors") else None
        ((own or tmp_path / "processor") / file.name).symlink_to(file)
    images = noise_images(3, 256, 320)
    expected = pcpo.rewards.load("pickscore", clip_folder)(images, PROMPTS)
    separate = pcpo.rewards.load("pickscore", tmp_path, processor="processor")
    assert torch.equal(separate(images, PROMPTS), expected)


def test_tokenizer_of_the_folder_is_openais(clip_folder):
    reward = pcpo.rewards.load("pickscore", clip_folder)
    own = reward.clip.tokenizer(PROMPTS[:2]).input_ids
    for ids, reference in zip(own, SimpleTokenizer()(PROMPTS[:2]).tolist(), strict=True):
        assert ids == reference[: len(ids)] and not any(reference[len(ids) :])


class LaionHead(nn.Module):
    """The published module: improved-aesthetic-predictor, ddpo-pytorch's aesthetic_scorer.py."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(768, 1024),
            nn.Dropout(0.2),
            nn.Linear(1024, 128),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.Dropout(0.1),
            nn.Linear(64, 16),
            nn.Linear(16, 1),
        )

    def forward(self, embedding):
        return self.layers(embedding)


def test_aesthetic_is_ddpos_scorer_with_the_published_pickle(clip_folder, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        head = LaionHead().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(4)
    keys = [f"layers.{n}.{kind}" for n in (0, 2, 4, 6, 7) for kind in ("weight", "bias")]
    assert list(head.state_dict()) == keys
    file = "sac+logos+ava1-l14-linearMSE.pth"
    torch.save(head.state_dict(), tmp_path / file)
    (tmp_path / "backbone").symlink_to(clip_folder)
    model = CLIPModel.from_pretrained(clip_folder).eval()
    tokenizer = CLIPTokenizer.from_pretrained(clip_folder)
    images = noise_images(4, 300, 256)
    inputs = CLIPProcessor(CLIPImageProcessorPil(), tokenizer)(images=images, return_tensors="pt")
    with torch.no_grad():
        embedding = model.get_image_features(**inputs).pooler_output
        embedding = embedding / torch.linalg.vector_norm(embedding, dim=-1, keepdim=True)
        expected = head(embedding).squeeze(1)
    assert expected.std() > 1e-2
    scores = pcpo.rewards.load("aesthetic", tmp_path, head=file)(images, [""] * 4)
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)


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
    assert logits.std() > 0.05  # the prompts are distinguished
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
