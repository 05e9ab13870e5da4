"""DDPO's prompt alignment: a model describes the image, BERTScore compares it with the prompt.

reward = BERTScore *recall* (Zhang et al. 2020, arXiv 1904.09675) of the reference "The image
contains {prompt}" in the model's answer; no idf weights, no rescaling with a baseline (at layer 40
of deberta-xlarge-mnli unrelated sentences score about 0.52). Source: kvablack/ddpo-pytorch
rewards.py, kvablack/LLaVA-server bertscore.py; the paper's captioner is Qwen2.5-VL-3B (App. B.2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from pcpo.rewards import _base
from pcpo.rewards._clip_captioner import ClipCaptioner
from pcpo.rewards._files import load_pretrained, require_folder
from pcpo.rewards._qwen_captioner import QwenCaptioner

CAPTIONERS: dict[str, Callable[[Path, str], Callable[[torch.Tensor], list[str]]]] = {
    "qwen2.5-vl": QwenCaptioner,
    "clip_standin": ClipCaptioner,
}


class Reward(_base.Reward):
    """BERTScore recall of the prompt in a caption of the image.

    Args:
        path: folder with `encoder/`, a transformers AutoModel (`microsoft/deberta-xlarge-mnli`),
            and `captioner/` (`Qwen/Qwen2.5-VL-3B-Instruct`, or the stand-in's folder).
        device: torch device.
        captioner: "qwen2.5-vl", or "clip_standin" (the demo's: the nearest of a list of
            captions under a CLIP, no language model).
        layer: hidden state that is compared; 0 is the embedding layer, 40 the layer that
            bert_score takes for deberta-xlarge-mnli.
        jpeg_quality: describe the image after JPEG compression (80 in DDPO; null in the paper's
            setting, which runs the model in the process).
        batch_size: images per forward pass.

    Attributes:
        captioner_name: to be reported with every score.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        captioner: str = "qwen2.5-vl",
        layer: int = 40,
        jpeg_quality: int | None = None,
        batch_size: int = 64,
    ):
        super().__init__(batch_size, jpeg_quality)
        folder = require_folder(path, "encoder/ and captioner/")
        encoder = require_folder(folder / "encoder", "a transformers encoder and its tokenizer")
        if captioner not in CAPTIONERS:
            raise ValueError(f"captioner must be one of {', '.join(CAPTIONERS)}: '{captioner}'.")
        self.captioner = CAPTIONERS[captioner](folder / "captioner", device)
        self.captioner_name = captioner
        self.tokenizer = AutoTokenizer.from_pretrained(
            encoder, use_fast=True, local_files_only=True
        )
        self.encoder = load_pretrained(AutoModel, encoder).to(device)
        config = self.encoder.config
        layers = config.num_hidden_layers
        if not 0 <= layer <= layers:
            raise ValueError(f"layer {layer} is not one of the {layers} layers of {encoder}.")
        self.layer = layer
        self.max_tokens = min(self.tokenizer.model_max_length, config.max_position_embeddings)

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """At most 1."""
        candidates = self.captioner(images)
        references = [f"The image contains {prompt}" for prompt in prompts]
        return self.bert_score(candidates, references)[1]

    @torch.no_grad()
    def bert_score(
        self, candidates: Sequence[str], references: Sequence[str]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Precision, recall and F1, each float32 (B,); 0 for an empty candidate."""
        texts = sorted({*candidates, *references})
        states = dict(zip(texts, self._token_states(texts), strict=True))
        pairs = zip(candidates, references, strict=True)
        rows = [_precision_recall(states[a], states[b]) for a, b in pairs]
        precision, recall = torch.tensor(rows).T
        f1 = torch.nan_to_num(2 * precision * recall / (precision + recall))
        return precision, recall, f1

    def _token_states(self, texts: Sequence[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Per text: unit-length states (L, d), specials included, and True (L,) for real words."""
        found = []
        for start in range(0, len(texts), self.batch_size):
            tokens = self.tokenizer(
                [text.strip() for text in texts[start : start + self.batch_size]],
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_special_tokens_mask=True,
                return_tensors="pt",
            ).to(self.encoder.device)
            output = self.encoder(
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                output_hidden_states=True,
            )
            states = functional.normalize(output.hidden_states[self.layer], dim=-1).cpu()
            kept = tokens["attention_mask"].bool().cpu()
            words = ~tokens["special_tokens_mask"].bool().cpu()
            found += [(s[k], w[k]) for s, k, w in zip(states, kept, words, strict=True)]
        return found


def _precision_recall(
    candidate: tuple[torch.Tensor, torch.Tensor], reference: tuple[torch.Tensor, torch.Tensor]
) -> tuple[float, float]:
    """Greedy matching; [CLS] and [SEP] count for nothing themselves but may be a word's match.

    As in bert_score, except that padding is never a match: scores do not depend on the batch.
    """
    (x, x_words), (y, y_words) = candidate, reference
    if not x_words.any() or not y_words.any():
        return 0.0, 0.0
    similarity = x @ y.T
    precision = similarity.max(dim=1).values[x_words].mean().item()
    recall = similarity.max(dim=0).values[y_words].mean().item()
    return precision, recall
