"""Our REML against lme4 and lmerTest themselves; skipped where R does not have them."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pcpo.stats.reml import fit_reml
from tests.stats import simulated

pytestmark = pytest.mark.r

SCRIPT = Path(__file__).with_name("fit.R")
BALANCED = "value ~ algorithm * batch"
ONE = {"groups": "prompt"}
SLOPE = ONE | {"slope": "algorithm"}
RUNS = ONE | {"crossed": "run"}


def cases():
    """Name -> (frame, fixed effects, keywords of `fit_reml`, random effects in lme4's words)."""
    sleep = simulated.sleepstudy()
    subject = {"groups": "Subject"}
    found = {
        "sleepstudy": (sleep, "Reaction ~ Days", subject, "(1 | Subject)"),
        "sleepstudy_slope": (
            sleep,
            "Reaction ~ Days",
            subject | {"slope": "Days"},
            "(Days | Subject)",
        ),
    }
    for seed in (0, 1):
        interior = simulated.factorial(seed, prompt_sd=30)
        found[f"balanced_{seed}"] = (interior, BALANCED, ONE, "(1 | prompt)")
        uneven = simulated.unbalanced(interior, seed)
        found[f"unbalanced_{seed}"] = (uneven, BALANCED, ONE, "(1 | prompt)")
        small = uneven.assign(value=uneven["value"] * 1e-4)
        found[f"small_values_{seed}"] = (small, BALANCED, ONE, "(1 | prompt)")
        slopes = simulated.factorial(seed, prompt_sd=30, slope_sd=25)
        found[f"slope_{seed}"] = (slopes, BALANCED, SLOPE, "(algorithm | prompt)")
        uneven_slopes = simulated.unbalanced(slopes, seed)
        found[f"unbalanced_slope_{seed}"] = (
            uneven_slopes,
            BALANCED,
            SLOPE,
            "(algorithm | prompt)",
        )
        runs = simulated.with_runs(seed, run_sd=10)
        found[f"runs_{seed}"] = (runs, BALANCED, RUNS, "(1 | prompt) + (1 | run)")
        found[f"runs_slope_{seed}"] = (
            runs,
            BALANCED,
            SLOPE | RUNS,
            "(algorithm | prompt) + (1 | run)",
        )
        found[f"singular_slope_{seed}"] = (interior, BALANCED, SLOPE, "(algorithm | prompt)")
        equal = simulated.with_runs(seed, run_sd=0)
        found[f"equal_runs_{seed}"] = (equal, BALANCED, RUNS, "(1 | prompt) + (1 | run)")
    for seed in (3, 7):  # no variance between prompts in these draws
        flat = simulated.factorial(seed, prompt_sd=0)
        found[f"boundary_{seed}"] = (flat, BALANCED, ONE, "(1 | prompt)")
    return found


CASES = cases()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder of R's answers: one call of R for all cases."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    probe = subprocess.run(["Rscript", "-e", "library(lmerTest)"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip("R has no package lmerTest")
    folder = tmp_path_factory.mktemp("r")
    rows = []
    for name, (frame, fixed, _, random) in CASES.items():
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.17g")
        rows.append((name, f"{fixed} + {random}"))
    pd.DataFrame(rows, columns=["case", "formula"]).to_csv(folder / "cases.csv", index=False)
    done = subprocess.run(["Rscript", str(SCRIPT), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_lme4_and_lmertest(case, reference):
    theirs = pd.read_csv(reference / "fits.csv").query("case == @case")
    frame, fixed, keywords, _ = CASES[case]
    ours = fit_reml(frame, fixed, **keywords)
    assert ours["converged"].all()
    assert len(theirs) == len(ours)
    np.testing.assert_allclose(ours["coef"], theirs["coef"], rtol=1e-8)
    np.testing.assert_allclose(ours["std_error"], theirs["std_error"], rtol=1e-6)
    np.testing.assert_allclose(ours["df"], theirs["df"], rtol=1e-6)
    np.testing.assert_allclose(ours["p_satterthwaite"], theirs["p"], rtol=1e-5)
    np.testing.assert_allclose(ours["residual_variance"], theirs["residual_variance"], rtol=1e-6)
    np.testing.assert_allclose(ours["log_likelihood"], theirs["log_likelihood"], rtol=1e-10)
    if case.startswith("boundary"):
        assert (ours["group_variance"] == 0.0).all(), "the seed must give a boundary case"


def test_the_committed_sleepstudy_is_lme4s(reference):
    theirs = pd.read_csv(reference / "lme4_sleepstudy.csv")
    pd.testing.assert_frame_equal(simulated.sleepstudy().astype(theirs.dtypes), theirs)
