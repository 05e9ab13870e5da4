"""A workflow of the three algorithms, killed with all its jobs at random moments.

`make soak` does the same to the whole smoke pipeline.
"""

import pytest

from tests.system.stop.soak import same_results

RUNS = "results/smoke/runs"
# DanceGRPO to a table; DDPO and Flow-GRPO, with its moving average, to their runs.
SMALL = (
    "--config", "scale=smoke", "experiments=[1,7,8]", "--", "table9", "compare",
    f"{RUNS}/01_ddpo_aesthetic_half/pcpo/seed0/checkpoints.csv",
    f"{RUNS}/08_flowgrpo_ocr/pcpo/seed0/checkpoints.csv",
)  # fmt: skip


@pytest.mark.slow
def test_killed_at_random_moments_the_results_are_the_same(tmp_path):
    same_results(tmp_path, SMALL, kills=6, seed=0, say=print, least=4)
