"""Start a command of this package on free GPUs, in one process a GPU; with none, as it is.

python -m pcpo.cli.launch --gpus 2 pcpo.cli.train 01 pcpo --scale paper --out ...
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from types import FrameType

from pcpo.cli.console import run


def command(processes: int, module: str, arguments: list[str]) -> list[str]:
    """The command line that starts `processes` processes of a module."""
    if processes == 1:
        return [sys.executable, "-m", module, *arguments]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    # After SIGTERM a training saves at the end of its epoch; by default it has half a minute.
    torchrun += ["--shutdown-timeout", "3600"]
    return [*torchrun, "--nproc-per-node", str(processes), "--module", module, *arguments]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, required=True)
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    if args.gpus == 0:
        os.execv(sys.executable, command(1, args.module, args.arguments))
    from pcpo.workflow.devices import claim

    with claim(args.gpus) as devices:
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": ",".join(devices)}
        job = subprocess.Popen(command(args.gpus, args.module, args.arguments), env=environment)

        def forward(number: int, frame: FrameType | None) -> None:
            job.send_signal(number)

        signal.signal(signal.SIGTERM, forward)  # a cluster's warning: the training saves its state
        try:
            code = job.wait()
        except KeyboardInterrupt:  # the job got it too
            code = job.wait()
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    run(main, job=False)
