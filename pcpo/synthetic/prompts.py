"""The demo's prompt sets: text files, one prompt a line, under the names of the real sets.

The 180 captions are split by a fixed rule into prompts to train on and prompts to evaluate on, so
that evaluation prompts combine known colours, shapes and activities in ways not trained on by RL.
"""

from __future__ import annotations

from pathlib import Path

from pcpo.records.replace import write_text
from pcpo.synthetic import drawing, words


def is_held_out(text: str) -> bool:
    """Whether a caption belongs to the evaluation prompts: one in four, spread over all classes."""
    scene = drawing.parse_caption(text)
    activity = drawing.NO_ACTIVITY if scene.activity is None else scene.activity
    return (scene.colour + 3 * scene.shape + 2 * activity + scene.shape // 4) % 4 == 0


def one_activity_each() -> list[str]:
    """45 activity prompts: each noun once, with the three activities in turn.

    Advantages are normalised by prompt, and small batches would see each of 135 prompts too rarely.
    """
    activities = len(drawing.ACTIVITIES)
    nouns = range(len(drawing.NOUNS))
    return [drawing.ACTIVITY_PROMPTS[k * activities + k % activities] for k in nouns]


def prompt_sets() -> dict[str, tuple[str, ...]]:
    """Name of each prompt file -> its prompts."""
    held_out = tuple(text for text in drawing.CAPTIONS if is_held_out(text))
    train = tuple(text for text in drawing.CAPTIONS if not is_held_out(text))
    return {
        "animal": drawing.NOUNS,
        "activity": tuple(one_activity_each()),
        "hpd": train,
        "pick": train,
        "pick_sfw": train,
        "ocr": tuple(words.prompt(word) for word in words.WORDS),
        "coco": tuple(text for text in held_out if text in drawing.NOUNS),
        "mjhq": tuple(text for text in held_out if text in drawing.ACTIVITY_PROMPTS),
        "pick_eval": held_out,
    }


def write_prompts(folder: Path) -> None:
    """Write `<folder>/<name>.txt` for every prompt set (UTF-8, one prompt a line)."""
    for name, prompts in prompt_sets().items():
        write_text(folder / f"{name}.txt", "\n".join(prompts) + "\n")
