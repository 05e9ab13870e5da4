"""The captioner's code on the real classes with a tiny random Qwen2.5-VL."""

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


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qwen")
    letters = {letter: index for index, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2Tokenizer(vocab=letters, merges=[])
    tokenizer.add_tokens(list(SPECIAL), special_tokens=True)
    ids = dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(list(SPECIAL)), strict=True))
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4},
        "eos_token_id": ids["<|im_end|>"], "bos_token_id": None,
        "pad_token_id": ids["<|endoftext|>"],
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
        "out_hidden_size": 32, "fullatt_block_indexes": [0],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.do_sample = True  # as the published one: it must not matter
    model.generation_config.temperature = 1.5
    model.generation_config.repetition_penalty = 1.05
    model.save_pretrained(folder)
    return QwenCaptioner(folder)


def test_answers_are_greedy_and_do_not_depend_on_the_batch(captioner):
    images = noise_images(2, 64, 64)
    together = captioner(images)
    assert len(together) == 2
    assert together == captioner(images)
    assert together == captioner(images[:1]) + captioner(images[1:])
    assert not any(token in text for text in together for token in SPECIAL)


def test_image_comes_before_the_question(captioner):
    assert QUESTION == "Answer concisely: what is going on in this image?"
    before, after = captioner.prompt.split("<|image_pad|>")
    assert QUESTION not in before
    assert QUESTION in after
    assert captioner.prompt.endswith("<|im_start|>assistant\n")
