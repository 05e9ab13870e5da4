"""Requirements of a reward on its prompts, checked before any compute is spent.

A reward with a requirement has a line in `NEEDS`. Functions here need neither torch nor weights:
Snakemake calls them while it reads its files, also for `-n`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pcpo.names import shown
from pcpo.prompts.file import Need, read_prompts

if TYPE_CHECKING:
    from pcpo.config import Experiment, Scale

_OTHER_QUOTES = set("“”„‟«»″‶＂〝〞「」『』")


def quoted_text(prompt: str) -> str:
    """The text to draw: the text between the first pair of straight double quotes.

    Flow-GRPO's OCR reward takes it so and normalises nothing: it does not recognise curly quotes,
    and full-width letters differ from the letters that the OCR reads. Both are refused.

    Raises:
        ValueError: there is no such text, or it is invisible or has full-width letters.
    """
    parts = prompt.split('"')
    if len(parts) < 3:
        others = _OTHER_QUOTES & set(prompt)
        hint = f"; {' '.join(sorted(others))} are others: replace them" if others else ""
        raise ValueError(
            'the OCR reward needs the text to draw in straight double quotes ("..."), and the '
            f"prompt {shown(prompt)} quotes no text so{hint}"
        )
    target = parts[1]
    if all(unicodedata.category(character)[0] in "ZC" for character in target):
        raise ValueError(
            "the OCR reward needs a text to draw, and that in double quotes is empty: "
            f"{shown(prompt)}"
        )
    if wide := [c for c in target if unicodedata.east_asian_width(c) == "F"]:
        raise ValueError(
            f"the text in double quotes has the full-width {shown(wide[0])}, which the OCR reward "
            f"reads as another letter; write {shown(unicodedata.normalize('NFKC', target))}"
        )
    return target


# Module of pcpo/rewards -> function that raises ValueError for a prompt that it cannot score.
NEEDS: dict[str, Need] = {"ocr": quoted_text}


def needs_of(scale: Scale, *rewards: str) -> list[Need]:
    """The requirements of these rewards (keys of the scale's `rewards`) on a prompt."""
    modules = {scale.rewards[key].implementation or key for key in rewards}
    return [NEEDS[module] for module in sorted(modules) if module in NEEDS]


def scored_prompts(scale: Scale, experiment: Experiment) -> Iterator[tuple[str, list[Need]]]:
    """Each prompt file whose images the experiment scores, and its rewards' requirements."""
    own = needs_of(scale, experiment.reward.name)
    yield scale.prompts[experiment.prompts], own
    if experiment.validation is not None:
        yield scale.prompts[experiment.validation.prompts], own
    if experiment.reward_guidance is not None:
        yield scale.prompts[experiment.reward_guidance.prompts], own
    for name in experiment.alignment:
        yield scale.prompts[name], needs_of(scale, *scale.alignment[name].values())


def check_prompts(scale: Scale, experiments: Iterable[Experiment]) -> None:
    """Read every existing prompt file; raises ValueError with the file and the line."""
    asked: dict[str, list[Need]] = {}
    for experiment in experiments:
        for file, needs in scored_prompts(scale, experiment):
            known = asked.setdefault(file, [])
            known += [need for need in needs if need not in known]
    for file, needs in asked.items():
        if Path(file).exists():
            read_prompts(file, needs)
