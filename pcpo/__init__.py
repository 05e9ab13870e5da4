"""Reference reproduction of PCPO: Proportionate Credit Policy Optimization (arXiv 2509.25774).

Importing the package imports nothing heavy: a Snakefile parses `pcpo.config` and `pcpo.paths`
in a fraction of a second, and torch is loaded only by the modules that compute with it.
"""

import os

__version__ = "0.1.0"

# Variables that switch off the usage statistics of libraries. They must be set before a library is
# loaded. Every module of ours loads this one first, and a job gets the Snakefile's variables. ONNX
# Runtime would also keep a number for this machine in the user's folder of caches.
NO_STATISTICS = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK")
for _variable in NO_STATISTICS:
    if not os.environ.get(_variable):
        os.environ[_variable] = "1"
