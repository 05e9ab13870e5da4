"""A training on a GPU, and its memory: python -m tests.true_size.gpu_training OUT <its arguments>.

OUT gets, as JSON, the bytes that tensors took at most, those that torch held for them, and the
seconds of the process.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pcpo.cli.console import run
from pcpo.cli.train import main


def measured() -> None:
    out, started = Path(sys.argv.pop(1)), time.monotonic()
    main()
    import torch

    found = {"whole": time.monotonic() - started}
    if torch.cuda.is_available():
        found["allocated"] = torch.cuda.max_memory_allocated()
        found["reserved"] = torch.cuda.max_memory_reserved()
        found["gpu"] = torch.cuda.get_device_name()
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    run(measured)
