"""Run git in a checkout without the user's settings, which would change its output.

`log.showSignature` adds lines before the requested ones, `status.showUntrackedFiles=no` hides
files, and a broken ~/.gitconfig or a GIT_DIR in the environment makes every command fail.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pcpo.paths import PACKAGE
from pcpo.records.programs import output_of

# The checkout may belong to another user (a clone mounted into a container). git then refuses it
# unless it is named here. Whoever runs its code trusts it.
CHECKOUT = PACKAGE.parent
# git does not start programs that the checkout's own settings name.
_SETTINGS = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "color.ui=false")


class NoAnswer(Exception):
    """Why git gives no answer for a folder, in a few words."""


def ask(folder: Path, *words: str) -> str:
    """The output of git with the arguments `words` in a folder; non-UTF-8 bytes become U+FFFD.

    Raises NoAnswer if there is no git, no checkout, or no answer in time.
    """
    return _answer(folder, *words).decode("utf-8", "replace")


def tracked(folder: Path) -> set[Path]:
    """The files at and below a folder that git tracks.

    Raises NoAnswer as `ask`.
    """
    names = _answer(folder, "ls-files", "-z").split(b"\0")
    return {folder / os.fsdecode(name) for name in names if name}


def _answer(folder: Path, *words: str) -> bytes:
    settings = (f"safe.directory={CHECKOUT}", *_SETTINGS)
    own = [word for setting in settings for word in ("-c", setting)]
    try:
        return output_of("git", *own, "-C", str(folder), *words, environment=_environment())
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise NoAnswer(last[-1] if last else "git gave no answer") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer("git gave no answer in time") from error
    except OSError as error:
        raise NoAnswer("git is not installed") from error


def _environment() -> dict[str, str]:
    """The variables of this process without those that redirect git, and no settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",  # read only: do not refresh the index
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
