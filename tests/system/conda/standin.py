"""The command `conda`, as far as Snakemake 9 calls it; a test double on py-rattler.

It refuses what it does not know, so that a call it has never seen cannot pass for a success.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from rattler import Channel, ChannelPriority, MatchSpec, Platform, VirtualPackage, install, solve

VERSION = "24.7.1"  # the lowest conda that Snakemake 9 takes


def channels(names: list[str]) -> list[Channel]:
    """Channels by address, or by name below $CONDA_CHANNEL_ALIAS, as conda looks them up."""
    alias = os.environ["CONDA_CHANNEL_ALIAS"]
    return [Channel(n if "://" in n else f"{alias}/{n}") for n in names if n != "nodefaults"]


async def link(packages: list[str], sources: list[Channel], prefix: Path) -> None:
    """Solve, download and link the conda packages of an environment."""
    records = await solve(
        sources=sources,
        specs=[MatchSpec(package, strict=True) for package in packages],
        virtual_packages=VirtualPackage.detect(),
        channel_priority=ChannelPriority.Strict,
    )
    await install(records=records, target_prefix=prefix, show_progress=False)


def pip_install(requirements: list[str], prefix: Path, folder: Path) -> None:
    """The `pip:` section, as conda does it: a requirements file, the environment's own pip."""
    with tempfile.NamedTemporaryFile("w", suffix=".requirements.txt", dir=folder) as file:
        file.write("".join(f"{requirement}\n" for requirement in requirements))
        file.flush()
        pip = [prefix / "bin" / "python", "-m", "pip", "install", "-U", "-r", file.name]
        outside = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
        environment = {k: v for k, v in os.environ.items() if k not in outside}
        subprocess.run([*pip, "--exists-action=b"], check=True, cwd=folder, env=environment)


def create(arguments: list[str]) -> None:
    """`conda env create --file FILE --prefix PREFIX`."""
    parser = argparse.ArgumentParser(prog="conda env create")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--no-default-packages", action="store_true")
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--prefix", type=Path, required=True)
    args = parser.parse_args(arguments)
    asked = yaml.safe_load(args.file.read_text())
    if unknown := set(asked) - {"name", "channels", "dependencies"}:
        raise ValueError(f"{args.file}: unknown key {', '.join(sorted(unknown))}")
    packages = [entry for entry in asked["dependencies"] if isinstance(entry, str)]
    prefix = args.prefix.resolve()
    asyncio.run(link(packages, channels(asked["channels"]), prefix))
    for entry in asked["dependencies"]:
        if isinstance(entry, dict):
            pip_install(entry["pip"], prefix, args.file.resolve().parent)


def main(arguments: list[str]) -> int:
    home = Path(os.environ["CONDA_STANDIN_HOME"])
    match arguments:
        case ["--version"]:
            print(f"conda {VERSION}")
        case ["info", "--json"]:
            facts = {"conda_prefix": str(home), "platform": str(Platform.current())}
            print(json.dumps(facts | {"standin": "py-rattler, not conda"}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *rest]:
            create(rest)
        case ["clean", "-y", "--tarballs"]:
            pass  # rattler keeps no archives, only what it unpacked
        case _:
            print(f"conda's test double does not know: {' '.join(arguments)}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except Exception as error:  # rattler has many kinds; conda, too, prints one message
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 1
    # rattler's threads sometimes crash an interpreter that shuts down, so leave without that.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
