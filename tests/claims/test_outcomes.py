from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import pcpo.claims.claim  # noqa: F401 - it registers the procedures
from pcpo.claims.estimate import PROCEDURES
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.claims.verdict import Assertion, decide
from pcpo.config import load_experiments
from pcpo.figures.parts_of_gain import steps_of
from tests.claims import planted

SEEDS = range(8)
TRUE = {"baseline": 100.0, "log_hinge": 38.0, "matching": 38.0, "pcpo": 20.0}  # epochs to reward 1


@pytest.fixture(scope="module")
def one():
    return load_experiments("paper")[:1]


def curves(one, length, true=TRUE):
    """Validation rewards that rise by a line, eight seeds of slightly unlike speed."""
    epochs = np.arange(0, length + 1, 2)
    return pd.concat(
        pd.DataFrame({"epoch": epochs, "reward_mean": epochs / time / (1 + 0.001 * seed)}).assign(
            experiment=one[0].name, arm=arm, seed=seed, images=8, reward_std=0.1
        )
        for arm, time in true.items()
        for seed in SEEDS
    )


def larger_step(one, length, than="log_hinge"):
    """With the level at reward 1, whatever the baseline's final reward is."""
    mean_final = length / 100 * np.mean([1 / (1 + 0.001 * seed) for seed in SEEDS])
    evidence = Evidence(one, {"validation": curves(one, length)})
    options = {"chain": (*TRUE,), "than": than, "fraction": 1 / mean_final}
    return PROCEDURES["larger_step"].function(evidence, 1, **options)


@pytest.mark.parametrize("column", ["reward_mean", "ratio_mean", "native_weight"])
def test_one_value_that_is_no_number_is_not_run_and_ends_nothing(column):
    given = planted.frames(load_experiments("paper")[1:2], 1, (0, 1))
    frame, options, name = {
        "reward_mean": ("validation", {}, "validation_area"),
        "ratio_mean": ("updates", {"of": "ratio_mean", "arm": "baseline"}, "arm_mean"),
        "native_weight": ("credit", {}, "clipping_follows_weight"),
    }[column]
    rows = given[frame] = given[frame].reset_index(drop=True)
    procedure = PROCEDURES[name].function

    def found():
        return procedure(Evidence(load_experiments("paper")[1:2], given), 2, **options)

    assert found().low <= found().value
    if column == "native_weight":  # no rank
        rows[column] = 1.0
        assert "1 different weights" in found().blocked
        return
    last = rows[rows["arm"] == "baseline"].index[-1]
    rows.loc[last - 1 : last, column] = np.nan  # both updates of the last epoch
    with pytest.raises(NotRun, match="no finite number|is no number at epoch"):
        found()


def test_an_estimate_as_a_share_of_another_difference(one):
    """Lines from 0 to reward end / time: the area is half of that, and shares are of areas."""
    procedure = PROCEDURES["validation_area"].function
    evidence = Evidence(one, {"validation": curves(one, 40)})
    arms, whole = ("pcpo", "log_hinge"), ("pcpo", "baseline")
    found = procedure(evidence, 1, arms=arms, share_of=whole)
    share = 100 * (1 / 20 - 1 / 38) / (1 / 20 - 1 / 100)  # the same in each seed
    assert f"{share:.3g} % ({share:.3g} to {share:.3g}) of pcpo minus baseline" in found.why
    assert replace(found, why="") == replace(procedure(evidence, 1, arms=arms), why="")
    nothing = procedure(evidence, 1, arms=arms, share_of=("matching", "log_hinge"))
    assert "no share of matching minus log_hinge: that is not told from 0" in nothing.why
    missing = procedure(evidence, 1, arms=arms, share_of=("reweight", "baseline"))
    assert "no share of reweight minus baseline: configuration 1 has no rows" in missing.why


def test_a_step_that_is_cut_decides_nothing_about_the_larger_one(one):
    """The last step is 28 % smaller than the first. Runs of 40 epochs cut the first step alone."""
    truth = 100 * (38 / 20 / (100 / 38) - 1)
    whole = larger_step(one, 120)
    assert whole.value == pytest.approx(truth, abs=0.1)
    assert decide(whole, Assertion("higher")).word == "fails"
    cut = larger_step(one, 40)
    assert cut.low > 0  # the wrong sign
    assert decide(cut, Assertion("higher")).word == "undecided"
    assert cut.blocked.startswith("8 of 8 runs of baseline end below the level")
    # The step to matching has no cut run.
    other = larger_step(one, 40, than="matching")
    assert not other.blocked
    assert other.value == pytest.approx(90.0, abs=0.1)


def test_a_run_counts_up_to_the_last_epoch_that_its_seed_shares(one):
    """Straight lines; the level is 0.39 above the base model (tests of `pcpo.analysis.outcomes`).

    The baseline of seed 0 is there at epoch 32.5 of its 40, after PCPO's last one.
    """
    rows = []
    for arm, seed, rate, end in (
        ("baseline", 0, 0.012, 40),
        ("baseline", 1, 0.04, 20),
        ("pcpo", 0, 0.05, 30),
        ("pcpo", 1, 0.06, 40),
    ):
        epochs = np.array([0, end / 2, end])
        frame = pd.DataFrame({"epoch": epochs, "reward_mean": 1 + rate * epochs})
        rows.append(frame.assign(experiment=one[0].name, arm=arm, seed=seed))
    evidence = Evidence(one, {"validation": pd.concat(rows)})
    found = PROCEDURES["epochs_to_level"].function(evidence, 1)
    assert found.value == pytest.approx(100 * (np.sqrt(30 / 7.8 * 9.75 / 6.5) - 1))
    assert found.censored
    assert found.why.endswith("1 of 2 runs of baseline end below it and count as the last epoch")
    assert "validation reward 1.39; epochs: baseline 17.1, pcpo 7.12" in found.why
    area = PROCEDURES["validation_area"].function(evidence, 1)
    assert area.value == pytest.approx((0.75 - 0.18 + 0.6 - 0.4) / 2)
    assert area.reference == pytest.approx((0.18 + 0.4) / 2)
    assert area.why == "to epoch 20 to 30"


def test_what_a_change_adds_to_one_arm_and_not_to_another(one):
    """Rewards are lines from 0: an area is half of the reward at the end."""
    evidence = Evidence(one, {"validation": curves(one, 40)})
    given = {"arms": ("pcpo", "matching"), "beside": ("log_hinge", "baseline")}
    found = PROCEDURES["area_interaction"].function(evidence, 1, **given)
    slower = np.array([1 / (1 + 0.001 * seed) for seed in SEEDS])
    truth = 40 / 2 * (1 / 20 - 1 / 38 - 1 / 38 + 1 / 100) * slower
    assert found.value == pytest.approx(truth.mean())
    assert found.reference == pytest.approx(40 / 2 / 38 * slower.mean())
    with_itself = {"arms": ("pcpo", "matching"), "beside": ("pcpo", "matching")}
    assert PROCEDURES["area_interaction"].function(evidence, 1, **with_itself).value == 0


def test_the_same_as_a_ratio_and_only_where_all_gain(one):
    evidence = Evidence(one, {"validation": curves(one, 40)})
    given = {"arms": ("pcpo", "matching"), "beside": ("log_hinge", "baseline"), "compare": "ratio"}
    found = PROCEDURES["area_interaction"].function(evidence, 1, **given)
    assert found.value == pytest.approx(38 / 20 / (100 / 38))
    assert found.null == 1
    falling = curves(one, 40).assign(reward_mean=lambda rows: -rows["reward_mean"])
    none = PROCEDURES["area_interaction"].function(
        Evidence(one, {"validation": falling}), 1, **given
    )
    assert "no ratio" in none.blocked


def test_the_steps_of_a_chain_have_the_seeds_of_all_its_arms_and_add_up(one):
    rows = curves(one, 40)
    fewer = rows[(rows["arm"] != "matching") | (rows["seed"] < 3)]
    evidence = Evidence(one, {"validation": fewer})
    area = PROCEDURES["validation_area"].function
    steps = [area(evidence, 1, arms=pair[::-1], chain=(*TRUE,)) for pair in pairwise(TRUE)]
    whole = area(evidence, 1, arms=("pcpo", "baseline"), chain=(*TRUE,))
    assert {step.runs for step in (*steps, whole)} == {3}
    assert sum(step.value for step in steps) == pytest.approx(whole.value)
    assert area(evidence, 1, arms=("pcpo", "baseline")).runs == 8
    found = steps_of(fewer, [*TRUE])
    np.testing.assert_allclose(found.mean(axis=1), [step.value for step in steps])
    assert not steps_of(fewer[fewer["arm"] != "pcpo"], [*TRUE]).size


def test_a_share_of_the_reference_is_tested_run_by_run(one):
    """Both arms vary by half from seed to seed, and the one is always 0.9 of the other."""
    true = {"baseline": 100.0, "pcpo": 100 / 0.9}
    rows = curves(one, 40, true)
    varied = rows.assign(reward_mean=rows["reward_mean"] * (1 + rows["seed"] % 2))
    found = PROCEDURES["validation_area"].function(Evidence(one, {"validation": varied}), 1)
    fixed = Assertion("none", margin=0.12, relative=True)
    assert decide(found, fixed).word == "undecided"  # the mean difference is uncertain
    paired = Assertion("none", margin=0.12, relative=True, paired=True)
    verdict = decide(found, paired)
    assert (verdict.word, verdict.because) == (
        "holds", "the effect lies within 12% of the reference, run by run",
    )  # fmt: skip
    assert decide(found, Assertion("none", margin=0.05, relative=True, paired=True)).word == "fails"
    without = replace(found, pairs=())
    assert decide(without, paired).because == "no reference of each run"
