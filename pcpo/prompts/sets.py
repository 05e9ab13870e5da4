"""Prompt sets of the paper's scales: published files -> one prompt a line.

animal               45 nouns (DDPO, kvablack/ddpo-pytorch simple_animals.txt)
activity             "{a or an} {noun} {activity}", 45 x 3, noun by noun (DDPO)
pick, pick_eval      Pick-a-Pic, Flow-GRPO's dataset/pickscore: train, test
pick_sfw, pick_sfw_validation     the same, safe for work: dataset/pickscore_sfw
ocr, ocr_validation  Flow-GRPO's dataset/ocr: prompts with the text to draw in quotes
hpd                  DanceGRPO's assets/prompts.txt, every line, as its SD trainer uses them
hpd_flux             the same without lines in Chinese, the first 50,000, as its FLUX
                     preprocessing (preprocess_flux_embedding.py) uses them
coco                 COCO-2017 val, for each image the caption with the lowest annotation id
                     (the paper does not say which of the five)
mjhq                 MJHQ-30K without prompts over 77 CLIP tokens, the first 5,000
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcpo.prompts import file as prompt_file
from pcpo.prompts.needs import quoted_text
from pcpo.records.replace import write_text

# fmt: off
NOUNS = (
    "cat", "dog", "horse", "monkey", "rabbit", "zebra", "spider", "bird", "sheep", "deer",
    "cow", "goat", "lion", "tiger", "bear", "raccoon", "fox", "wolf", "lizard", "beetle", "ant",
    "butterfly", "fish", "shark", "whale", "dolphin", "squirrel", "mouse", "rat", "snake",
    "turtle", "frog", "chicken", "duck", "goose", "bee", "pig", "turkey", "fly", "llama",
    "camel", "bat", "gorilla", "hedgehog", "kangaroo",
)
# fmt: on
ACTIVITIES = ("washing the dishes", "riding a bike", "playing chess")
MAX_TOKENS = 77  # CLIP's context, with the start and end tokens
CHINESE = re.compile("[\u4e00-\u9fff]")
COCO_CAPTIONS = "annotations/captions_val2017.json"


def article(noun: str) -> str:
    """ "a" or "an", for nouns in which spelling and sound agree, as all of NOUNS do."""
    return "an" if noun[0] in "aeiou" else "a"


def activities() -> list[str]:
    """The 135 prompts of DDPO's prompt alignment, noun by noun."""
    return [f"{article(noun)} {noun} {activity}" for noun in NOUNS for activity in ACTIVITIES]


_LINE_END = re.compile("\r\n|\r|\n")  # as in Python's text mode, with which the trainers read


def lines(text: str) -> list[str]:
    """The non-empty lines, stripped, as the trainers read them."""
    return [line.strip() for line in _LINE_END.split(text) if line.strip()]


def one_line(text: str) -> str:
    """A prompt with its lines joined; otherwise it would be several prompts in our files."""
    return " ".join(lines(text))


def without_chinese(prompts: Iterable[str], count: int = 50_000) -> list[str]:
    """The first `count` prompts without Chinese characters."""
    return [prompt for prompt in prompts if not CHINESE.search(prompt)][:count]


def coco_captions(captions: dict[str, Any]) -> list[str]:
    """One caption per image, by image id: the one with the lowest annotation id."""
    first: dict[int, tuple[int, str]] = {}
    for item in captions["annotations"]:
        image, candidate = item["image_id"], (item["id"], item["caption"])
        first[image] = min(first.get(image, candidate), candidate)
    return [one_line(caption) for _, (_, caption) in sorted(first.items())]


def mjhq_prompts(meta: dict[str, Any], tokenizer: Any, count: int = 5_000) -> list[str]:
    """The first `count` prompts, in the file's order, of at most 77 CLIP tokens."""
    prompts = [one_line(item["prompt"]) for item in meta.values()]
    lengths = count_tokens(prompts, tokenizer)
    kept = [p for p, length in zip(prompts, lengths, strict=True) if length <= MAX_TOKENS]
    return kept[:count]


def count_tokens(prompts: Sequence[str], tokenizer: Any) -> list[int]:
    """Length of each prompt in tokens of a CLIP tokenizer, with the start and end tokens."""
    if not prompts:
        return []
    return [len(ids) for ids in tokenizer(list(prompts), verbose=False)["input_ids"]]


def refuse_long(prompts: Sequence[str], tokenizer: Any, file: str | Path) -> None:
    """Raise ValueError with the lines of `file` that CLIP would cut."""
    lengths = enumerate(count_tokens(prompts, tokenizer), start=1)
    if long := [f"{line} ({length})" for line, length in lengths if length > MAX_TOKENS]:
        shown = ", ".join(long[:10]) + (f" and {len(long) - 10} more" if len(long) > 10 else "")
        raise ValueError(
            f"{file}: more than {MAX_TOKENS} CLIP tokens in line {shown}; CLIP would not read "
            "their ends: shorten or remove them"
        )


@dataclass(frozen=True)
class PromptSet:
    """How a set is made.

    source: the asset with its raw files, below the root; None for the constants above.
    make: the asset's folder -> prompts.
    count: known number of prompts.
    unique: whether no prompt comes twice in the published file.
    needs: what every prompt must have, for the reward that it is made for.
    short: whether prompts that CLIP would cut were left out.
    """

    source: str | None
    make: Callable[[Path], list[str]]
    count: int | None = None
    unique: bool = False
    needs: tuple[prompt_file.Need, ...] = ()
    short: bool = False


def _file(name: str) -> Callable[[Path], list[str]]:
    return lambda folder: lines(_read(folder / name))


_OCR = (quoted_text,)
SETS = {
    "animal": PromptSet(None, lambda _: list(NOUNS), 45, unique=True),
    "activity": PromptSet(None, lambda _: activities(), 135, unique=True),
    "pick": PromptSet("sources/pick", _file("train.txt"), 25_432, unique=True),
    "pick_eval": PromptSet("sources/pick", _file("test.txt"), 2_048, unique=True),
    "pick_sfw": PromptSet("sources/pick_sfw", _file("train.txt"), 15_486),
    "pick_sfw_validation": PromptSet("sources/pick_sfw", _file("test.txt"), 1_024, unique=True),
    "ocr": PromptSet("sources/ocr", _file("train.txt"), needs=_OCR),
    "ocr_validation": PromptSet("sources/ocr", _file("test.txt"), 1_018, True, needs=_OCR),
    "hpd": PromptSet("sources/hpd", _file("prompts.txt")),
    "hpd_flux": PromptSet(
        "sources/hpd", lambda folder: without_chinese(lines(_read(folder / "prompts.txt")))
    ),
    "coco": PromptSet("sources/coco", lambda folder: coco_captions(_coco(folder)), 5_000),
    "mjhq": PromptSet("sources/mjhq", lambda folder: _mjhq(folder), 5_000, short=True),
}


def check(name: str, prompts: Sequence[str]) -> None:
    """Raise ValueError if a set differs from its known properties."""
    known = SETS[name]
    if not prompts:
        raise ValueError(f"prompt set {name}: its source has no prompts")
    if known.count is not None and len(prompts) != known.count:
        raise ValueError(
            f"prompt set {name}: {len(prompts)} prompts instead of {known.count}: its source is "
            "not the published file; fetch it again"
        )
    prompt_file.check(prompts, f"prompt set {name}: prompt", known.needs)
    if known.unique and len(set(prompts)) != len(prompts):
        raise ValueError(
            f"prompt set {name}: {len(prompts) - len(set(prompts))} prompts come twice"
        )


def build(name: str, root: Path) -> Path:
    """Write `root`/prompts/<name>.txt from the set's source below `root`; returns the file.

    Raises:
        ValueError: there is no such set, or its source is not as expected.
        FileNotFoundError: the source was not downloaded.
    """
    if name not in SETS:
        raise ValueError(f"no prompt set '{name}'; there are: {', '.join(SETS)}")
    source = SETS[name].source
    prompts = SETS[name].make(root / source if source else root)
    check(name, prompts)
    file = root / "prompts" / f"{name}.txt"
    write_text(file, "".join(prompt + "\n" for prompt in prompts))
    return file


def _read(file: Path) -> str:
    if not file.exists():
        raise FileNotFoundError(
            f"{file} is missing; fetch it: python -m pcpo.cli.assets fetch "
            f"sources/{file.parent.name}"
        )
    return prompt_file.decoded(file.read_bytes(), file)


def _coco(folder: Path) -> dict[str, Any]:
    file = folder / "annotations_trainval2017.zip"
    if not file.exists():
        _read(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return dict(json.loads(archive.read(COCO_CAPTIONS)))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"{file} holds no {COCO_CAPTIONS}: {error}") from error


def _mjhq(folder: Path) -> list[str]:
    from transformers import AutoTokenizer

    meta = json.loads(_read(folder / "meta_data.json"))
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    return mjhq_prompts(meta, tokenizer)
