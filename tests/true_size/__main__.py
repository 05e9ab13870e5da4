"""Run the stages of `make test-true-size`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pcpo.cli.console  # noqa: F401  (threads, before torch is imported)

# isort: split
from pcpo.records.lock import Busy, alone
from tests.true_size.place import Place
from tests.true_size.stages import Failure, Stage, forget, run_stages
from tests.true_size.steps import stages


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.true_size", description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder of weights and records")
    parser.add_argument("--stages", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--again", nargs="+", default=[], metavar="NAME", help="although done")
    parser.add_argument("--list", action="store_true", help="names the stages and ends")
    parser.add_argument(
        "--memory", type=float, default=20, help="GB that may be resident at a time"
    )
    parser.add_argument(
        "--cores", type=int, default=2, help="threads of each job; the same for all stages"
    )
    parser.add_argument(
        "--size", choices=("true", "small"), default="true", help="small: a rehearsal of minutes"
    )
    args = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: no command is left running
        if signal.getsignal(ending) is not signal.SIG_IGN:  # of nohup
            signal.signal(ending, signal.default_int_handler)
    place = Place(args.cache, args.size, args.cores, 1e9 * args.memory)
    every = stages(place)
    if args.list:
        for stage in every:
            done = "done" if place.record.done(stage.name) else ""
            print(f"{stage.name:18}{done:6}{stage.about}")
        return
    try:
        with alone(place.cache / "lock"):
            good = _run(place, every, args)
    except Busy as busy:
        print(f"error: {busy}: one run at a time in a folder", file=sys.stderr)
        sys.exit(2)
    except (Failure, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0 if good else 1)


def _run(place: Place, every: Sequence[Stage], args: argparse.Namespace) -> bool:
    wanted = place.check_disk()
    print(f"{place.cache}: {wanted:.0f} GB of disk are needed still, and are free")
    place.prepare()
    forget(every, args.again, place.record, place.results)
    return run_stages(every, place.record, args.stages, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
