"""The whole smoke pipeline, killed again and again, beside a run of it that nothing disturbs.

    python -m tests.system.stop.soak --kills 24 --seed 1

The undisturbed run has one core and one job at a time, the other two. Ends with 0 only if both
leave the same results, byte for byte, and each run did each of its steps once.
"""

import argparse
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.system.pipeline import copy_sources, snakemake
from tests.system.stop.killing import Killed
from tests.system.stop.sameness import assert_each_step_once, assert_same_results, contents

LEAST = 20  # kills that must have happened


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0, help="of the moments; printed, to repeat it")
    parser.add_argument("--folder", type=Path, help="where to run; kept, unlike the one made here")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="pcpo_soak_"))
    began = time.monotonic()

    def say(message):
        print(f"{time.monotonic() - began:6.0f} s  {message}", flush=True)

    say(f"{args.kills} kills with seed {args.seed} in {folder}")
    same_results(folder, ("--config", "scale=smoke"), args.kills, args.seed, say)
    results = folder / "killed" / "results" / "smoke"
    say(f"{len(contents(results))} files are the same with and without kills")
    if args.folder is None:
        shutil.rmtree(folder)


def same_results(folder, arguments, kills, seed, say, least=LEAST):
    """Run the workflow undisturbed and killed, side by side, and hold them against each other."""
    reference, killed = copy_sources(folder / "whole"), copy_sources(folder / "killed")
    disturbed = Killed(killed, ["--cores", "2", *arguments], kills, seed, say=say)
    with ThreadPoolExecutor(1) as beside:
        whole = beside.submit(snakemake, reference, "--cores", "1", *arguments)
        disturbed.run()
        code, output = whole.result()
    assert code == 0, output[-6000:]
    say("the undisturbed run is done")
    assert disturbed.kills >= min(kills, least), f"only {disturbed.kills} kills"
    results = [place / "results" / "smoke" for place in (reference, killed)]
    assert not list(results[1].rglob("*.part")), "a half-written file was left"
    assert_same_results(*results)
    starts = assert_each_step_once(results[1])
    resumed = sum(epoch > 0 for epoch in starts)
    say(f"{resumed} of {len(starts)} starts of trainings resumed from a saved state")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"error: {error}")
