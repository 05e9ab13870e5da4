"""The format of every prompt file: UTF-8, one prompt a line.

Only `\\n` ends a line: U+2028, NEL, form feed and similar characters are part of a prompt. A byte
order mark at the start of the file and the `\\r` of a Windows line end are not. Within a line a
`\\r` is refused, and so is a NUL: other programs end the line or text there.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pcpo.names import shown

# Raises ValueError, a sentence, for a prompt that a reward cannot score (pcpo.prompts.needs).
Need = Callable[[str], object]


def read_prompts(path: str | Path, needs: Iterable[Need] = ()) -> list[str]:
    """The prompts of a file, unchanged, including spaces at their ends.

    Raises FileNotFoundError, or ValueError with file and line: not UTF-8 (with the byte), no
    prompts, an empty line, a `\\r` or NUL within a line, or what one of `needs` refuses.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: the prompt file is missing")
    lines = decoded(path.read_bytes(), path).split("\n")
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise ValueError(f"{path}: the prompt file is empty")
    prompts = [line.removesuffix("\r") for line in lines]
    check(prompts, f"{path}: line", needs)
    return prompts


def decoded(data: bytes, path: str | Path) -> str:
    """The text of a file, without the mark at its start; ValueError names line and byte."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        raise ValueError(
            f"{path} is not UTF-8 text: line {line}, byte {error.start} of the file "
            f"(0x{data[error.start]:02x}, counted from 0){', as in UTF-16' if wide else ''}; "
            "save the file as UTF-8"
        ) from error


def check(prompts: Sequence[str], where: str, needs: Iterable[Need] = ()) -> None:
    """Raise ValueError for an invalid prompt; it begins with `where` and a number from 1.

    Text with a `\\n` is invalid: it would be two prompts in a file.
    """
    tests = (_is_prompt, *needs)
    for number, prompt in enumerate(prompts, start=1):
        for test in tests:
            try:
                test(prompt)
            except ValueError as error:
                raise ValueError(f"{where} {number}: {error}") from error


def _is_prompt(text: str) -> None:
    if not text.strip():
        raise ValueError("the prompt is empty; remove it")
    for character, name in (("\n", "newline"), ("\r", "carriage return"), ("\0", "NUL")):
        if character in text:
            raise ValueError(f"a {name} within the prompt {shown(text)}; remove it")
