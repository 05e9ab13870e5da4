"""A training under torch's FLOP counter: python -m tests.true_size.counted OUT <its arguments>.

OUT gets the count as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pcpo.cli.console import run
from pcpo.cli.train import main


def counted() -> None:
    out = Path(sys.argv.pop(1))
    from torch.utils.flop_counter import FlopCounterMode

    from pcpo.cost.counting import FLOPS

    with FlopCounterMode(display=False, custom_mapping=FLOPS) as counter:
        main()
    out.write_text(json.dumps({"flops": int(counter.get_total_flops())}), encoding="utf-8")


if __name__ == "__main__":
    run(counted)
