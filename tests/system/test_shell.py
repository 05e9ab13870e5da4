"""Commands of rules: every value in them is quoted, whatever it is."""

import ast
import io
import string
import tokenize
from pathlib import Path

import pytest
from snakemake.utils import format as fill

FILES = [Path("Snakefile"), *sorted(Path("rules").glob("*.smk"))]


def commands(source):
    """(line, text) of every `shell:` in a Snakefile's text."""
    words = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for position, word in enumerate(words):
        if word.string == "shell" and words[position + 1].string == ":":
            parts = []
            for part in words[position + 2 :]:
                if part.type == tokenize.STRING:
                    parts.append(ast.literal_eval(part.string))
                elif part.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT):
                    break
            yield word.start[0], "".join(parts)


def unquoted(source):
    """(line, value) of each value that a command takes as it is."""
    return [
        (line, field)
        for line, text in commands(source)
        for _, field, form, _ in string.Formatter().parse(text)
        if field is not None and form != "q"
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_value_in_a_command_is_quoted(file):
    assert unquoted(file.read_text()) == []


def code(source):
    """A Snakefile's tokens in one line, without its comments and the text of its strings."""
    words = tokenize.generate_tokens(io.StringIO(source).readline)
    return " ".join(
        word.string for word in words if word.type not in (tokenize.COMMENT, tokenize.STRING)
    )


def test_every_command_is_looked_at():
    text = " ".join(code(file.read_text()) for file in FILES)
    found = [command for file in FILES for _, command in commands(file.read_text())]
    assert len(found) == text.count(" shell :") > 20
    assert all("python -m pcpo.cli." in command for command in found)
    for other in ("script :", "run :", "shell (", "wrapper :", "notebook :", "cwl :"):
        assert f" {other}" not in text, other


def test_a_comment_is_not_a_command():
    assert " run :" not in code("rule a:\n    # With the run: its folder.\n    input: 'run: a'\n")
    assert " run :" in code("rule a:\n    run:\n        pass\n")


def test_a_value_that_is_not_quoted_is_found():
    rule = 'rule a:\n    shell:\n        "x {wildcards.b:q} {{}}"\n        " {params.c} {log:>q}"\n'
    assert unquoted(rule) == [(2, "params.c"), (2, "log")]


def test_quoting_is_of_each_word_of_a_list():
    words = ["plain", "two words", "$(id)", "a;b", "it's"]
    line = fill("echo {words:q} {one:q} {number:q}", words=words, one="`id`", number=3)
    assert line == """echo plain 'two words' '$(id)' 'a;b' 'it'"'"'s' '`id`' 3"""
