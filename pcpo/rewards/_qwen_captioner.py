"""Qwen2.5-VL describes an image in a sentence (the paper's captioner, App. B.2.1)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from pcpo.rewards._files import load_pretrained, require_folder
from pcpo.rewards._pixels import pil_images

QUESTION = "Answer concisely: what is going on in this image?"  # verbatim from DDPO, rewards.py
MAX_NEW_TOKENS = 64


class QwenCaptioner(nn.Module):
    """Greedy answers of `Qwen/Qwen2.5-VL-3B-Instruct`, in bf16 on a GPU and fp32 on a CPU.

    Sampling defaults and the repetition penalty of the model's generation configuration are
    switched off, so that an answer depends on the image alone.

    Args:
        path: folder with the model and its processor.
        device: torch device.

    Raises:
        ImportError: a transformers version without Qwen2.5-VL.
    """

    def __init__(self, path: str | Path, device: str = "cpu"):
        super().__init__()
        try:
            from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration
        except ImportError as error:
            raise ImportError("Qwen2.5-VL needs transformers 4.49 or newer.") from error
        folder = require_folder(path, "Qwen/Qwen2.5-VL-3B-Instruct")
        self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        self.processor.tokenizer.padding_side = "left"  # answers start where prompts end
        dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
        self.model = load_pretrained(Qwen2_5_VLForConditionalGeneration, folder, dtype).to(device)
        content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
        self.prompt = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> list[str]:
        """uint8 (B, 3, H, W) -> B answers; sides are rounded to multiples of 28 px."""
        inputs = self.processor(
            text=[self.prompt] * len(images),
            images=pil_images(images),
            padding=True,
            return_tensors="pt",
        ).to(self.model.device)
        answers = self.model.generate(
            **inputs,
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            temperature=None,
            top_p=None,
            top_k=None,
        )
        new = answers[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self.processor.batch_decode(new, skip_special_tokens=True)]
