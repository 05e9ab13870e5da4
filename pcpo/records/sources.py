"""Which of the package's files a result depends on, computed from the imports.

A rule names the modules that it runs. Their imports, and the imports of those, are read here from
the sources, without importing anything. A registry imports a module by its name
(`importlib.import_module`), so that no import shows which: a rule names that one too. An edit of
one of these files runs the rule again (rules/*.smk), gives a warning for a training
(`pcpo.training.trained_code`), or makes a cache invalid. Only the standard library is used, because
each start of Snakemake runs this.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from pcpo.records.digest import SHORT, of_file

PACKAGE = Path(__file__).resolve().parents[1]
NAME = "pcpo"

# Packages and modules that do not count and are not followed. They read and check settings, name
# places, write and lock files, and report errors. The values that they handle are in a rule's
# params, in its input files or in a run's identity, where a change is seen anyway. An edit of a
# message must not run every job again. A rule that shows the output of one of them names it.
PLUMBING = (
    *("pcpo.cli.console", "pcpo.config", "pcpo.names", "pcpo.paths", "pcpo.records"),
    "pcpo.figures.registry",
    *("pcpo.prompts.file", "pcpo.prompts.sets"),
    *("pcpo.training.identity", "pcpo.training.run_folder"),
    *("pcpo.training.set_aside", "pcpo.training.stop_request", "pcpo.training.trained_code"),
)


def sources_of(*modules: str, without: Collection[str] = ()) -> tuple[str, ...]:
    """The files on which importing and using `modules` depends, e.g. "credit.py", sorted.

    Names are relative to the package's folder. Imports within functions count. Imports only for
    type checkers do not, nor does the `__init__` of a package if only a module of it is imported.
    A file that is not valid Python counts without its imports.

    without: packages and modules that are left out like `PLUMBING`. `modules` themselves always
    count. Raises ValueError for a module that does not exist.
    """
    left_out = (*PLUMBING, *without)
    found = {module: file_of(module) for module in modules}
    waiting = list(modules)
    passed: set[str] = set()
    while waiting:
        module = waiting.pop()
        for name in imports(PACKAGE / found[module]) - passed - found.keys():
            if within(name, left_out) or (file := _file(name)) is None:
                passed.add(name)
                continue
            found[name] = file.relative_to(PACKAGE).as_posix()
            waiting.append(name)
    return tuple(sorted(found.values()))


def file_of(module: str) -> str:
    """The file of a module, relative to the package's folder. Raises ValueError if it has none."""
    if (file := _file(module)) is None:
        raise ValueError(f"there is no module '{module}' in {PACKAGE.parent}")
    return file.relative_to(PACKAGE).as_posix()


def exists(module: str) -> bool:
    """Whether a file of the package is this module."""
    return _file(module) is not None


@cache
def digests(files: tuple[str, ...]) -> dict[str, str]:
    """File, as `sources_of` names it -> the first digits of its digest."""
    return {name: of_file(PACKAGE / name)[:SHORT] for name in files}


def members(package: str) -> tuple[str, ...]:
    """A package and all of its modules, sorted: for code that loads any of them by its name."""
    folder = PACKAGE.joinpath(*package.split(".")[1:])
    stems = sorted(file.stem for file in folder.glob("*.py"))
    return (package, *(f"{package}.{stem}" for stem in stems if stem != "__init__"))


def within(module: str, packages: Collection[str]) -> bool:
    """Whether a module is one of these, or is in one of these packages."""
    return any(module == name or module.startswith(f"{name}.") for name in packages)


@cache
def imports(file: Path) -> frozenset[str]:
    """Names of the modules that a file of the package imports, of this package and of others."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return frozenset()  # half-written; loading it reports the error
    folder = (NAME, *file.relative_to(PACKAGE).parent.parts)
    names: set[str] = set()
    for node in _statements(tree.body):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            relative = folder[: len(folder) - node.level + 1] if node.level else ()
            module = ".".join((*relative, *([node.module] if node.module else [])))
            whole = {f"{module}.{alias.name}" for alias in node.names}
            names |= {name if _file(name) else module for name in whole}
    return frozenset(names)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements, also within functions and blocks, except those only for type checkers."""
    for node in body:
        yield node
        checked = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for field in ("orelse",) if checked else ("body", "orelse", "finalbody"):
            yield from _statements(getattr(node, field, []))
        for part in (*getattr(node, "handlers", []), *getattr(node, "cases", [])):
            yield from _statements(part.body)


def _file(module: str) -> Path | None:
    """The file of a module of this package; None for anything else."""
    first, *parts = module.split(".")
    if first != NAME:
        return None
    place = PACKAGE.joinpath(*parts)
    for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if (parts or file.name == "__init__.py") and file.is_file():
            return file
    return None
