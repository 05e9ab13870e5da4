"""The demo's ImageReward: a small BLIP, trained on choices and on right and wrong captions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers import CLIPTokenizer

from pcpo.records.replace import new_folder
from pcpo.rewards._blip import BlipScorer, build_towers, to_published
from pcpo.rewards._linear_chain import chain_of_widths
from pcpo.rewards.imagereward import MEAN, STD
from pcpo.synthetic import drawing
from pcpo.synthetic.captioned import clip_normalised, draw_captions, one_attribute_wrong, pad_tokens
from pcpo.synthetic.choices import draw_choices
from pcpo.synthetic.muon import Muon
from pcpo.synthetic.pretraining import generators, warm_then_decay
from pcpo.synthetic.tokenizers import MAX_TOKENS, clip_tokenizer

ONE_WRONG = 0.7  # share of the wrong captions that differ from the right one in one attribute
WRONG_CAPTIONS = 3  # for each drawing of a training batch
_CAPTIONS = 0.5  # weight of telling the right caption from wrong ones, beside the choices
# Which attribute that is, in training: shapes are the hardest to tell apart.
COLOUR_SHAPE_ACTIVITY = (0.2, 0.6, 0.2)


def new_scorer(tokenizer: CLIPTokenizer, width: int, seed: int) -> BlipScorer:
    """A random network for 32 px images."""
    tower = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    vision = tower | {"image_size": drawing.IMAGE_SIZE, "patch_size": 8, "initializer_range": 0.02}
    text = tower | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": None,
        "eos_token_id": None,
        "sep_token_id": None,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BlipScorer(*build_towers(vision, text), chain_of_widths((width, width, 16, 1)))


def wrong_captions(
    captions: torch.Tensor,
    one_wrong: float,
    generator: torch.Generator,
    attribute_weights: Sequence[float] = (1.0, 1.0, 1.0),
) -> torch.Tensor:
    """For each caption index another one; a share `one_wrong` differs in one attribute alone."""
    wrong = torch.empty_like(captions)
    rolls = torch.rand(len(captions), generator=generator).tolist()
    weights = torch.tensor(attribute_weights)
    attributes = torch.multinomial(weights, len(captions), True, generator=generator).tolist()
    shifts = torch.randint(1 << 20, captions.shape, generator=generator).tolist()
    for row, index in enumerate(captions.tolist()):
        if rolls[row] < one_wrong:
            candidates = _ONE_WRONG[index][attributes[row]]
            wrong[row] = candidates[shifts[row] % len(candidates)]
        else:
            wrong[row] = (index + 1 + shifts[row] % (len(drawing.CAPTIONS) - 1)) % len(
                drawing.CAPTIONS
            )
    return wrong


_ONE_WRONG = one_attribute_wrong()


def train_blip(sizes: Mapping[str, Any], seed: int) -> tuple[BlipScorer, CLIPTokenizer]:
    """Logistic loss on choices of raters, and the right caption above wrong ones; scores are then
    standardised as ImageReward's are.

    Muon on the matrices inside the towers, AdamW on the rest. `sizes`: steps, batch, width,
    drawings_per_caption.
    """
    rng, generator = generators("blip", seed)
    images = draw_captions(sizes["drawings_per_caption"], rng)
    tokenizer = clip_tokenizer()
    tokens = pad_tokens(tokenizer, drawing.CAPTIONS, MAX_TOKENS)
    model = new_scorer(tokenizer, sizes["width"], seed).train()
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and ".encoder." in f".{n}"]
    inside = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in inside]
    optimizers = [
        Muon(matrices, lr=5e-3),
        torch.optim.AdamW(rest, lr=2e-3, weight_decay=0.01),
    ]
    schedules = [warm_then_decay(optimizer, sizes["steps"]) for optimizer in optimizers]
    for _ in range(sizes["steps"]):
        captions = torch.randint(len(drawing.CAPTIONS), (sizes["batch"],), generator=generator)
        drawn, other, share = draw_choices(images, "imagereward", captions, generator)
        candidates = [captions] + [
            wrong_captions(captions, ONE_WRONG, generator, COLOUR_SHAPE_ACTIVITY)
            for _ in range(WRONG_CAPTIONS)
        ]
        scores = score(model, drawn, tokens, torch.stack(candidates))
        gap = scores[0] - score(model, other, tokens, captions[None])[0]
        loss = functional.binary_cross_entropy_with_logits(gap, share)
        # Row 0 is right.
        loss = loss + _CAPTIONS * functional.cross_entropy(scores.T, torch.zeros_like(captions))
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
    model.eval()
    _standardise(model, draw_captions(2, rng), tokens, generator)
    return model, tokenizer


def score(
    model: BlipScorer,
    images: torch.Tensor,
    tokens: Mapping[str, torch.Tensor],
    captions: torch.Tensor,
) -> torch.Tensor:
    """uint8 (B, 3, 32, 32) against k captions each, int64 (k, B) -> (k, B)."""
    chosen = {key: value[captions.flatten()] for key, value in tokens.items()}
    pixels = clip_normalised(images)
    image_tokens = model.vision(pixel_values=pixels).last_hidden_state.repeat(len(captions), 1, 1)
    states = model.text(
        **chosen, encoder_hidden_states=image_tokens, is_decoder=False
    ).last_hidden_state
    return model.head(states[:, 0]).reshape(captions.shape)


@torch.no_grad()
def _standardise(
    model: BlipScorer,
    images: torch.Tensor,
    tokens: Mapping[str, torch.Tensor],
    generator: torch.Generator,
) -> None:
    """Fold a scale into the last layer: the reward is then standard over right and wrong captions.

    The reward class applies the published MEAN and STD, so these are what the raw scores get.
    """
    captions = torch.arange(len(drawing.CAPTIONS)).repeat_interleave(images.shape[1])
    wrong = wrong_captions(captions, ONE_WRONG, generator)
    raw = score(model, images.flatten(0, 1), tokens, torch.stack([captions, wrong]))
    last: Any = list(model.head.layers.values())[-1]
    factor = STD / raw.std()
    last.weight.mul_(factor)
    last.bias.sub_(raw.mean()).mul_(factor).add_(MEAN)


@torch.no_grad()
def ranking_accuracy(
    model: BlipScorer,
    tokenizer: CLIPTokenizer,
    images: torch.Tensor,
    one_wrong: float,
    generator: torch.Generator,
) -> float:
    """Share of drawings (180, n, ...) that score higher with their own caption."""
    tokens = pad_tokens(tokenizer, drawing.CAPTIONS, MAX_TOKENS)
    captions = torch.arange(len(drawing.CAPTIONS)).repeat_interleave(images.shape[1])
    wrong = wrong_captions(captions, one_wrong, generator)
    right, other = score(model, images.flatten(0, 1), tokens, torch.stack([captions, wrong]))
    return (right > other).float().mean().item()


def save_blip(model: BlipScorer, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """ImageReward's layout: weights under the published names, med_config.json, tokenizer/."""
    with new_folder(folder) as part:
        text = model.text.config
        config = {
            "hidden_size": text.hidden_size,
            "intermediate_size": text.intermediate_size,
            "num_hidden_layers": text.num_hidden_layers,
            "num_attention_heads": text.num_attention_heads,
            "hidden_act": text.hidden_act,
            "layer_norm_eps": text.layer_norm_eps,
            "max_position_embeddings": text.max_position_embeddings,
            "pad_token_id": text.pad_token_id,
            "vision_num_attention_heads": model.vision.config.num_attention_heads,
        }
        text_of_config = json.dumps(config, indent=2) + "\n"
        (part / "med_config.json").write_text(text_of_config, encoding="utf-8")
        state = {key: value.contiguous() for key, value in to_published(model).items()}
        save_file(state, part / "ImageReward.safetensors")
        tokenizer.save_pretrained(part / "tokenizer")
