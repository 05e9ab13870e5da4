"""What compiling for a GPU needs of the machine: Triton builds a small C extension as it starts."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path


def require_compiler() -> None:
    """Raise ValueError, with what to install, without a C compiler or Python's headers."""
    missing = []
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        missing.append("a C compiler (gcc or clang on the PATH, or CC)")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        missing.append(f"Python's headers ({header})")
    if missing:
        raise ValueError(
            f"compiling for the GPU needs {' and '.join(missing)}: install them (Debian: gcc "
            "python3-dev), or set execution: {compile: false} in the scale's file, which is slower"
        )
