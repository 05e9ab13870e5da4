"""Text files are UTF-8 whatever the locale: every call that opens one says so."""

import ast
import os
import subprocess
import sys

import pytest

from tests.system.pipeline import ROOT

# Files of other formats.
OPENERS = {"os", "Image", "archive", "_opener()"}


def without_encoding(source):
    """Lines of calls that read or write text in the locale's encoding."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    for call in calls:
        named = {k.arg for k in call.keywords}
        if "encoding" not in named and _is_of_text(call):
            yield call.lineno


def _is_of_text(call):
    name, owner = _name(call.func)
    if name == "open":
        return owner not in OPENERS and "b" not in _mode(call, bool(owner))
    if name in ("read_text", "write_text"):
        return bool(owner)
    return any(_true(k) for k in call.keywords if k.arg in ("text", "universal_newlines"))


def _name(function):
    if isinstance(function, ast.Attribute):
        return function.attr, ast.unparse(function.value)
    return getattr(function, "id", ""), ""


def _mode(call, method):
    modes = [k.value for k in call.keywords if k.arg == "mode"] + call.args[0 if method else 1 :]
    return ast.unparse(modes[0]) if modes else "r"


def _true(keyword):
    return isinstance(keyword.value, ast.Constant) and keyword.value.value is True


@pytest.mark.parametrize("folder", ["pcpo", "envs"])
def test_every_text_file_is_opened_as_utf_8(folder):
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for line in without_encoding(file.read_text(encoding="utf-8"))
    ]
    assert not found


def test_rules_open_no_file():
    for file in [ROOT / "Snakefile", *ROOT.glob("rules/*.smk")]:
        text = file.read_text(encoding="utf-8")
        assert not any(word in text for word in (" open(", "read_text(", "write_text(")), file


@pytest.mark.parametrize(
    "line",
    [
        *("open(p)", "open(p, 'w')", "p.open()", "p.open(mode='a')", "Path(p).read_text()"),
        *("p.write_text(t)", "run(c, text=True)", "run(c, universal_newlines=True)"),
    ],
)
def test_the_reading_of_calls_sees_what_must_be_seen(line):
    assert list(without_encoding(line)) == [1]
    separator = "" if line.endswith("()") else ", "
    assert not list(without_encoding(f"{line[:-1]}{separator}encoding='utf-8')"))
    assert not list(without_encoding("open(p, 'rb'); p.open('wb'); os.open(p, f); run(c)"))


PRINTED = """
import pcpo.cli.console
print("caf\\u00e9 \\u2264 \\u4e2d \\udcc3")
"""


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C.UTF-8"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_a_sign_that_the_terminal_lacks_ends_no_command(variables):
    done = subprocess.run(
        [sys.executable, "-c", PRINTED], env=os.environ | variables, capture_output=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in (
        rb"caf\xe9 \u2264 \u4e2d \udcc3",
        "café ≤ 中 ".encode() + rb"\udcc3",
    )
