"""Questions on the gradients of timesteps, on planted runs."""

import math

import numpy as np
import pandas as pd
import pytest

from pcpo.claims.claim import read_claims
from pcpo.claims.estimate import PROCEDURES
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.claims.ledger import evaluate
from pcpo.config import load_experiment
from pcpo.config.files import CONFIG
from pcpo.records import frame_file, frames
from tests import fabricated

SEEDS = range(6)
GROUP = "Gradients of flow models"
QUESTIONS = read_claims(CONFIG / "questions2.yaml")
CLAIMS = [c for c in QUESTIONS if c.group == GROUP and c.test != "norm_below_limit"]
# Native weights: 4 of 7 parts at the largest step, 1 of 3 under PCPO.
LARGEST, SHARE = 4 / 2, 4 / 7 - 1 / 3


@pytest.fixture(scope="module")
def experiments():
    return [load_experiment(number, "smoke") for number in (6, 8)]


def planted(experiments, effect):
    """Six runs of matching and PCPO; effect 1: as the questions have it, 0: no difference, -1."""
    arms = ("matching", "pcpo")
    frame = pd.concat(fabricated.gradients(e.name, arms, SEEDS) for e in experiments)
    frame = frame.reset_index(drop=True)
    rng = np.random.default_rng(0)
    steps, native = frame["step"] != frames.WHOLE, frame["arm"] == "matching"
    largest, end = frame["step"] == 0, frame["epoch"] == 20
    core = {1: 1.0, 0: 0.5, -1: 0.1}[effect]  # 4 x 0.5: as large as the second step's
    noise = np.exp(rng.normal(0, 0.02, len(frame)))
    frame.loc[steps, "grad_norm"] *= noise[steps]
    frame.loc[native & largest, "grad_norm"] *= (
        core * np.where(end, 2.0**effect, 1.0)[native & largest]
    )
    if effect == 0:  # the same steps in both arms
        for column in ("weight", "grad_norm"):
            values = frame.loc[native, column].to_numpy() * np.exp(rng.normal(0, 0.02, sum(native)))
            frame.loc[~native, column] = values
    whole = (frame["step"] == frames.WHOLE) & ~native
    frame.loc[whole, "signal_to_noise"] *= 1.5**effect
    frame.loc[~steps, "signal_to_noise"] *= noise[~steps]
    return frame


def ledger(experiments, frame):
    return evaluate(CLAIMS, Evidence(experiments, {"gradients": frame}))


def found(experiments, frame, name, **options):
    return PROCEDURES[name].function(Evidence(experiments, {"gradients": frame}), 8, **options)


def test_planted_frames_are_valid(experiments):
    for effect in (1, 0, -1):
        frame_file.check(planted(experiments, effect), frames.GRADIENTS, "planted")


@pytest.mark.parametrize(("effect", "verdict"), [(1, "holds"), (-1, "fails")])
def test_a_planted_effect_is_found_and_a_reversed_one_too(experiments, effect, verdict):
    rows = ledger(experiments, planted(experiments, effect))
    assert set(rows["verdict"]) == {verdict}, rows[["id", "estimate", "low", "high"]].to_string()
    assert set(rows["n"]) == {"6 runs per arm"}


def test_without_an_effect_nothing_is_decided(experiments):
    rows = ledger(experiments, planted(experiments, 0))
    assert (rows["verdict"] == "undecided").mean() > 0.8, rows[["id", "verdict"]].to_string()
    assert set(rows["claim_verdict"]) <= {"undecided", "fails"}


def test_the_numbers_of_exact_frames(experiments):
    """Norms are weight x (1 + epoch), along one direction, in every run."""
    name = experiments[1].name
    frame = fabricated.gradients(name, ("matching", "pcpo"), (0, 1))

    def value(procedure, **options):
        return found(experiments, frame, procedure, **options).value

    for checkpoint in ("start", "early", "end"):
        assert value("gradient_of_largest", checkpoint=checkpoint) == pytest.approx(LARGEST)
        assert value("share_of_largest", checkpoint=checkpoint) == pytest.approx(SHARE)
    assert value("rise_of_largest") == pytest.approx(1.0)
    assert value("gradient_signal", checkpoint="end") == pytest.approx(1.0)
    grown = frame["grad_norm"].where((frame["step"] != 0) | (frame["epoch"] != 20), 3 * 4 * 21)
    frame["grad_norm"] = grown
    assert value("rise_of_largest") == pytest.approx(3.0)
    assert value("gradient_of_largest", checkpoint="early") == pytest.approx(LARGEST)
    assert value("gradient_of_largest", checkpoint="end") == pytest.approx(3 * LARGEST)


def test_the_step_is_that_of_the_native_weights_in_both_arms(experiments):
    """Even where PCPO's own largest weight is at another step."""
    frame = fabricated.gradients(experiments[1].name, ("matching", "pcpo"), (0, 1))
    pcpo = frame["arm"] == "pcpo"
    own = {0: 1.0, 1: 1.0, 2: 8.0}
    frame.loc[pcpo & (frame["step"] >= 0), "grad_norm"] = frame["step"].map(own)
    frame.loc[pcpo & (frame["step"] == 2), "weight"] = 8.0
    share = found(experiments, frame, "share_of_largest", checkpoint="end")
    assert share.value == pytest.approx(4 / 7 - 1 / 10)
    dropped = frame[~(pcpo & (frame["step"] == 0))]  # not trained there: no share
    share = found(experiments, dropped, "share_of_largest", checkpoint="end")
    assert share.value == pytest.approx(4 / 7)


def test_a_step_against_the_whole_has_a_negative_share(experiments):
    frame = fabricated.gradients(experiments[1].name, ("matching", "pcpo"), (0, 1))
    against = (frame["arm"] == "matching") & (frame["step"] == 2)
    frame.loc[against, "cosine"] = -1.0
    # 4, 2, -1: along the whole, 5.
    share = found(experiments, frame, "share_of_largest", checkpoint="end")
    assert share.value == pytest.approx(4 / 5 - 1 / 3)


def test_one_seed_has_a_value_and_no_interval(experiments):
    frame = fabricated.gradients(experiments[1].name, ("matching", "pcpo"))
    one = found(experiments, frame, "gradient_of_largest", checkpoint="end")
    assert one.value == pytest.approx(LARGEST)
    assert math.isnan(one.low)
    assert one.runs == 1


@pytest.mark.parametrize(
    ("change", "checkpoint", "reason"),
    [
        ({"grad_norm": 0.0}, "end", "no finite number"),
        ({"epochs": (0, 20)}, "early", "no checkpoint 'early'"),
        ({"epochs": (20,)}, "end", "no checkpoint 'end'"),
        ({"weights": (1.0,)}, "end", "a single timestep"),
    ],
)
def test_what_cannot_be_estimated_is_not_run(experiments, change, checkpoint, reason):
    keys = {k: v for k, v in change.items() if k in ("epochs", "weights")}
    frame = fabricated.gradients(experiments[1].name, ("matching",), (0, 1), **keys)
    frame = frame.assign(**{k: v for k, v in change.items() if k not in keys})
    with pytest.raises(NotRun, match=reason):
        found(experiments, frame, "gradient_of_largest", checkpoint=checkpoint)


def test_without_frames_all_are_not_run(experiments):
    rows = evaluate(CLAIMS, Evidence(experiments, {}))
    assert set(rows["verdict"]) == {"not run at this scale"}
    assert len(rows) == 7 + 5  # in 8, and in 6 without the share of the largest step
