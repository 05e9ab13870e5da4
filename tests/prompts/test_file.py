"""A file of prompts: lines end at \\n alone, and mistakes are named with line and byte."""

import pytest

from pcpo.prompts.file import read_prompts
from tests.hostile_prompts import HOSTILE, write


@pytest.fixture
def file(tmp_path):
    return tmp_path / "prompts.txt"


def test_prompts_come_back_as_they_were_written(file):
    assert read_prompts(write(file)) == HOSTILE
    file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    assert read_prompts(file) == HOSTILE


def test_a_mark_at_the_start_and_windows_line_ends_are_no_part_of_a_prompt(file):
    file.write_bytes("\ufeff".encode() + "\r\n".join(HOSTILE).encode() + b"\r\n")
    assert read_prompts(file) == HOSTILE


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\n\nb\n", "line 2: the prompt is empty"),
        (b"a\n \t\n", "line 2: the prompt is empty"),
        (b"", "the prompt file is empty"),
        (b"\xef\xbb\xbf", "the prompt file is empty"),
        (b"one\rtwo\rthree", r"line 1: a carriage return within the prompt 'one\\rtwo\\rthree'"),
        (b"a\nb\0c\n", r"line 2: a NUL within the prompt 'b\\x00c'"),
        (b"a\ncaf\xe9\n", r"not UTF-8 text: line 2, byte 5 of the file \(0xe9, .*; save the file"),
        ("a\n".encode("utf-16"), r"line 1, byte 0 of the file \(0xff, .*, as in UTF-16; save"),
        (b"a\n\xed\xa0\x80\n", "line 2, byte 2 of the file"),  # half of a pair
    ],
)
def test_a_mistake_is_named_with_its_line(file, data, message):
    file.write_bytes(data)
    with pytest.raises(ValueError, match=rf"prompts\.txt.*{message}"):
        read_prompts(file)


def test_a_file_that_is_missing(file):
    with pytest.raises(FileNotFoundError, match=r"prompts\.txt: the prompt file is missing"):
        read_prompts(file)
