"""Compile a denoiser, and check that the machine can."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn


def compile_forwards(modules: Iterable[nn.Module], device: torch.device) -> None:
    """Compile the forwards of modules in place, once for rollout and update.

    Raises ValueError if the machine lacks the tools to compile for a GPU.
    """
    if device.type == "cuda":
        require_compiler()
    # Adapter on or off, training or evaluation, and two batch shapes need separate graphs. Beyond
    # the limit (8) the compiler runs a module uncompiled without a warning.
    torch._dynamo.config.recompile_limit = 32
    for module in modules:
        module.compile(dynamic=False)


def require_compiler() -> None:
    """Raise ValueError that names what to install if a C compiler or Python's headers are missing.

    Triton builds a small C extension when it starts.
    """
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
