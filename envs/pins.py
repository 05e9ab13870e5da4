"""Writes envs/*.yaml: what an environment's commands import and all that this needs, as locked.

python envs/pins.py            after `make lock`, which calls it
python envs/pins.py --check    name the files that differ, and end with 1

Only the lists below are edited by hand. What a package needs is read from the metadata of the
installed packages, which must therefore be those of requirements.lock.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import cast

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENVS = Path(__file__).resolve().parent
LOCK = ENVS.parent / "requirements.lock"

# The lock is made for this platform (Makefile, `lock`), whatever Python asks here.
PYTHON = "3.11"
PLATFORM: dict[str, str] = {
    **cast(dict[str, str], default_environment()),
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": f"{PYTHON}.0",
    "python_version": PYTHON,
    "sys_platform": "linux",
}

# Some are imported by no file of ours: accelerate and sentencepiece by diffusers and transformers,
# onnxruntime by rapidocr, pyarrow by pandas, tensorboardx by accelerate.
FRAMES = ("numpy", "pandas", "pyarrow", "pydantic", "pyyaml")
MODELS = (
    *("accelerate", "diffusers", "huggingface-hub", "peft", "pillow", "safetensors", "scipy"),
    *("sentencepiece", "torch", "torchvision", "tqdm", "transformers"),
)
REWARDS = ("onnxruntime", "open-clip-torch", "rapidfuzz", "rapidocr")
ENVIRONMENTS = {
    "train": (
        "Training, checkpoint selection and image generation.",
        (*FRAMES, *MODELS, *REWARDS, "tensorboardx"),
    ),
    "evaluate": (
        "Features, metrics and alignment scores.",
        (*FRAMES, *MODELS, *REWARDS, "lpips", "torch-fidelity"),
    ),
    "report": (
        "Mixed models, tables, figures, the comparison with the paper and the report.",
        (
            *(*FRAMES, "jinja2", "krippendorff", "markdown-it-py", "markupsafe", "matplotlib"),
            *("pillow", "scipy", "statsmodels"),
        ),
    ),
}


def locked() -> dict[str, str]:
    """Package -> version, of requirements.lock."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE))


def required(name: str, extras: frozenset[str], version: str) -> list[Requirement]:
    """What an installed package of this version needs on PLATFORM, with these extras.

    Raises:
        ValueError: it is not installed, or in another version than the lock's.
    """
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise ValueError(f"{name} is not installed; install requirements.lock first") from None
    if package.version != version:
        raise ValueError(
            f"{name} {package.version} is installed, requirements.lock has {version}; install it"
        )
    found = [Requirement(line) for line in package.requires or ()]
    return [
        requirement
        for requirement in found
        if requirement.marker is None
        or any(requirement.marker.evaluate(PLATFORM | {"extra": e}) for e in ("", *extras))
    ]


def closure(names: tuple[str, ...]) -> dict[str, str]:
    """Package -> version of these packages and of all that they need, sorted by name.

    Raises:
        ValueError: one of them is not in the lock, or not installed as locked.
    """
    versions = locked()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(str(canonicalize_name(name)), frozenset[str]()) for name in names]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        if name not in versions:
            raise ValueError(f"{name} is not in requirements.lock; see envs/pins.py")
        seen.add((name, extras))
        waiting += [
            (str(canonicalize_name(requirement.name)), frozenset(requirement.extras))
            for requirement in required(name, extras, versions[name])
        ]
    return {name: versions[name] for name in sorted({name for name, _ in seen})}


def environment(name: str) -> str:
    """The text of an environment's file.

    Raises:
        ValueError: as `closure`.
    """
    purpose, direct = ENVIRONMENTS[name]
    pins = closure(direct)
    own = [f"      - {package}=={pins[package]}" for package in sorted(direct)]
    rest = [f"      - {p}=={version}" for p, version in pins.items() if p not in direct]
    return "\n".join(
        [
            f"# {purpose}",
            "# Written by envs/pins.py from requirements.lock: change the lists there.",
            "channels:",
            "  - conda-forge",
            "  - nodefaults",
            "dependencies:",
            f"  - python ={PYTHON}",
            "  - pip",
            "  - pip:",
            *own,
            "      # what these need",
            *rest,
            "",
        ]
    )


def main(arguments: list[str]) -> int:
    changed = False
    for name in ENVIRONMENTS:
        path, text = ENVS / f"{name}.yaml", environment(name)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        changed = True
        if "--check" in arguments:
            print(f"envs/{name}.yaml is not what the lock gives; run `python envs/pins.py`")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"envs/{name}.yaml written")
    return int(changed and "--check" in arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ValueError as error:
        sys.exit(f"error: {error}")
