"""`python -m pcpo COMMAND ...` is `python -m pcpo.cli.COMMAND ...`; without a command, a list."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "cli"
USAGE = "usage: python -m pcpo COMMAND ...   (COMMAND --help for more)"


def commands() -> dict[str, str]:
    """Every command and the first line of its module's docstring, read without importing any."""
    found = {}
    for file in sorted(FOLDER.glob("*.py")):
        source = file.read_text(encoding="utf-8")
        if '\nif __name__ == "__main__":' in source:
            text = ast.get_docstring(ast.parse(source)) or ""
            found[file.stem] = text.partition("\n")[0]
    return found


def main() -> None:
    known = commands()
    name = sys.argv[1].replace("-", "_") if len(sys.argv) > 1 else ""
    if name in known:
        del sys.argv[1]
        runpy.run_module(f"pcpo.cli.{name}", run_name="__main__", alter_sys=True)
        return
    width = max(map(len, known))
    listed = "\n".join(f"  {command:{width}}  {line}" for command, line in known.items())
    text = f"{USAGE}\n\n{listed}"
    if name in ("", "_h", "__help"):
        print(text)
        return
    print(f"{text}\n\nerror: unknown command '{sys.argv[1]}'", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
