"""Write what each reading of PCPO's credit gives on the paper's own samplers (Figure 2)."""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import run, setup, uses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    uses(wrote=[args.out])

    from pcpo.analysis.readings import readings
    from pcpo.records import frame_file, frames

    setup()
    frame_file.write(readings(), frames.READINGS, args.out, "")  # the same at every scale


if __name__ == "__main__":
    run(main, printing=True)
