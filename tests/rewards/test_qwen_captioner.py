"""The captioner's code on the real classes with a tiny random Qwen2.5-VL."""

import json
import shutil

import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from pcpo.rewards._pixels import pil_images
from pcpo.rewards._qwen_captioner import QUESTION, QwenCaptioner
from tests.rewards.tiny_models import noise_images

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1,
}  # fmt: skip
VISION = {
    "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
    "fullatt_block_indexes": [1],
}  # fmt: skip
MROPE, ROPE_THETA = [2, 3, 3], 1e4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model and its processor as transformers 5 saves them."""
    folder = tmp_path_factory.mktemp("qwen")
    letters = {letter: index for index, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2Tokenizer(vocab=letters, merges=[])
    tokenizer.add_tokens(list(SPECIAL), special_tokens=True)
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=28 * 28 * 16384),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    ids = dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(list(SPECIAL)), strict=True))
    rope = {"rope_type": "default", "mrope_section": MROPE, "rope_theta": ROPE_THETA}
    text = TEXT | {
        "vocab_size": len(tokenizer), "rope_parameters": rope, "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=VISION,
        tie_word_embeddings=True,  # as in the published 3B model
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen2_5_VLForConditionalGeneration(config)
    with torch.no_grad():  # answers that vary: repetitive ones would hide mistakes
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.mul_(2 if "embed_tokens" in name else 12)
    model.generation_config.do_sample = True  # as the published one: it must not matter
    model.generation_config.temperature = 1.5
    model.generation_config.repetition_penalty = 1.05
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def captioner(folder):
    return QwenCaptioner(folder)


def test_answers_do_not_depend_on_the_batch(captioner):
    images = noise_images(3, 64, 64)
    together = captioner(images)
    assert together == captioner(images)
    assert together == [captioner(image[None])[0] for image in images]
    assert len(set(together)) == 3
    assert not any(token in text for text in together for token in SPECIAL)


def test_answers_are_greedy(captioner):
    """The most likely token each time, by whole forward passes without a cache."""
    image = noise_images(1, 64, 64)
    inputs = captioner.processor(
        text=[captioner.prompt], images=pil_images(image), return_tensors="pt"
    )
    start = inputs["input_ids"].shape[1]
    for _ in range(12):
        with torch.no_grad():
            best = captioner.model(**inputs).logits[:, -1].argmax(-1, keepdim=True)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], best], dim=1)
        for key, value in (("attention_mask", 1), ("mm_token_type_ids", 0)):
            inputs[key] = torch.nn.functional.pad(inputs[key], (0, 1), value=value)
    answer = captioner.processor.decode(inputs["input_ids"][0, start:], skip_special_tokens=True)
    assert captioner(image)[0].startswith(answer.rstrip("\N{REPLACEMENT CHARACTER}").strip())
    assert len(set(answer)) > 3


def test_defaults_of_the_generation_configuration_do_not_matter(folder, captioner, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    file = other / "generation_config.json"
    defaults = json.loads(file.read_text())
    assert defaults["do_sample"] and defaults["repetition_penalty"] == 1.05
    file.write_text(
        json.dumps(defaults | {"do_sample": False, "temperature": None, "repetition_penalty": 5.0})
    )
    images = noise_images(2, 64, 64)
    assert QwenCaptioner(other)(images) == captioner(images)


def test_published_files_give_the_same_answers(folder, captioner, tmp_path):
    """Qwen/Qwen2.5-VL-3B-Instruct: a flat config.json, preprocessor_config.json and
    chat_template.json, as transformers 4.49 wrote them."""
    config = json.loads((folder / "config.json").read_text())
    text = config["text_config"]
    special = {key: value for key, value in config.items() if key.endswith("_token_id")}
    flat = TEXT | special | {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl",
        "vocab_size": text["vocab_size"], "eos_token_id": text["eos_token_id"],
        "rms_norm_eps": text["rms_norm_eps"], "hidden_act": "silu", "rope_theta": ROPE_THETA,
        "rope_scaling": {"type": "mrope", "mrope_section": MROPE}, "tie_word_embeddings": True,
        "max_position_embeddings": 128000, "torch_dtype": "bfloat16",
        "vision_config": VISION | {"in_chans": 3, "spatial_patch_size": 14, "hidden_act": "silu"},
    }  # fmt: skip
    preprocessor = {
        "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2,
        "merge_size": 2, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor",
    }  # fmt: skip
    published = {
        "config.json": flat,
        "preprocessor_config.json": preprocessor,
        "chat_template.json": {"chat_template": TEMPLATE},
    }
    for name, content in published.items():
        (tmp_path / name).write_text(json.dumps(content))
    same = ("model.safetensors", "generation_config.json", "tokenizer.json")
    for name in (*same, "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path)
    images = noise_images(2, 64, 64)
    assert QwenCaptioner(tmp_path)(images) == captioner(images)


def test_512_pixels_become_324_visual_tokens(captioner):
    inputs = captioner.processor(
        text=[captioner.prompt], images=pil_images(noise_images(1, 512, 512)), return_tensors="pt"
    )
    assert (inputs["input_ids"] == captioner.model.config.image_token_id).sum() == 18 * 18


def test_image_comes_before_the_question(captioner):
    assert QUESTION == "Answer concisely: what is going on in this image?"
    before, after = captioner.prompt.split("<|image_pad|>")
    assert QUESTION not in before
    assert QUESTION in after
    assert captioner.prompt.endswith("<|im_start|>assistant\n")
