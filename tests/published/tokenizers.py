"""Tokenizers in their published folders."""

from __future__ import annotations

import gzip
import json
from importlib.util import find_spec
from pathlib import Path
from string import ascii_lowercase, digits

from transformers import BertTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from pcpo.synthetic import tokenizers as synthetic
from tests.published.sizes import Size

START, END = "<|startoftext|>", "<|endoftext|>"
BPE = "bpe_simple_vocab_16e6.txt.gz"
MERGES = 49152 - 256 - 2  # of the file's lines: CLIP's vocabulary has 49,408 tokens


def clip_vocabulary() -> tuple[dict[str, int], list[str]]:
    """CLIP's tokens with their ids, and its merges in order: the file in open_clip's wheel."""
    spec = find_spec("open_clip")
    assert spec is not None and spec.origin is not None
    text = gzip.decompress((Path(spec.origin).parent / BPE).read_bytes()).decode("utf-8")
    merges = text.split("\n")[1 : MERGES + 1]
    characters = list(bytes_to_unicode().values())
    tokens = [*characters, *(character + "</w>" for character in characters)]
    tokens += ["".join(merge.split()) for merge in merges]
    return {token: number for number, token in enumerate([*tokens, START, END])}, merges


def save_clip(folder: Path, size: Size, pad: str = END, length: int = 12) -> None:
    """CLIP's tokenizer as published before `tokenizer.json` was; small: the demo's.

    pad: SD3.5's second one pads with "!". length: of the small one, in tokens.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if size == "small":
        synthetic.clip_tokenizer(length).save_pretrained(folder)
        return
    vocabulary, merges = clip_vocabulary()
    special = {"bos_token": START, "eos_token": END, "pad_token": pad, "unk_token": END}
    config = special | {
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
    }
    _write(folder / "vocab.json", vocabulary)
    lines = ["#version: 0.2", *merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write(folder / "special_tokens_map.json", special)
    _write(folder / "tokenizer_config.json", config)


def save_t5(folder: Path, size: Size) -> None:
    """The demo's T5 tokenizer; true: with the published length."""
    length = 512 if size == "true" else synthetic.MAX_TOKENS
    synthetic.t5_tokenizer(length).save_pretrained(folder)


def save_bert(folder: Path, size: Size) -> None:
    """A BERT tokenizer of letters and the demo's words; true: with the published length."""
    characters = [*ascii_lowercase, *digits, *"\"'.,!?-:"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *synthetic.vocabulary_words()]
    tokens += [c for c in [*characters, *(f"##{c}" for c in characters)] if c not in tokens]
    length = 512 if size == "true" else synthetic.MAX_TOKENS
    vocabulary = {token: number for number, token in enumerate(tokens)}
    BertTokenizer(vocab=vocabulary, model_max_length=length).save_pretrained(folder)


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
