"""Reference reproduction of PCPO: Proportionate Credit Policy Optimization (arXiv 2509.25774).

Importing the package imports nothing heavy: a Snakefile parses `pcpo.config` and `pcpo.paths`
in a fraction of a second, and torch is loaded only by the modules that compute with it.

The stable interface for a model of one's own has two names, loaded when they are first used:

    align(pipeline=..., reward=..., prompts=..., out=...) -> Aligned    (pcpo/own_model.py)

Everything else may change from version to version.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcpo.own_model import Aligned, align

__version__ = "0.1.0"
__all__ = ["Aligned", "align"]

# Variables that switch off the usage statistics of libraries. They must be set before a library is
# loaded. Every module of ours loads this one first, and a job gets the Snakefile's variables. ONNX
# Runtime would also keep a number for this machine in the user's folder of caches.
NO_STATISTICS = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK")
for _variable in NO_STATISTICS:
    if not os.environ.get(_variable):
        os.environ[_variable] = "1"


def __getattr__(name: str) -> Any:
    """Load a name of the stable interface, by name: an import would load torch for everyone."""
    if name in __all__:
        return getattr(import_module("pcpo.own_model"), name)
    raise AttributeError(f"module 'pcpo' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
