"""Exact claims: of the credit schedules, against the samplers' formulas, and of every update."""

import numpy as np
import pytest

from pcpo.analysis.readings import readings
from pcpo.claims.claim import read_claims
from pcpo.claims.estimate import PROCEDURES
from pcpo.claims.evidence import Evidence
from pcpo.claims.ledger import evaluate
from pcpo.config import load_experiments
from pcpo.config.files import CONFIG
from tests.claims import planted


def ddim():
    """SD1.5 at 50 steps: c1, 1 - ap, sigma at eta = 1, and the weights (c1 - c2) / sigma."""
    bars = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    steps = np.arange(981, 0, -20)
    a, ap = bars[steps], bars[np.maximum(steps - 20, 0)]
    c1, b = np.sqrt(ap * (1 - a) / a), 1 - ap
    sigma = np.sqrt(b / (1 - a) * (1 - a / ap))
    return c1, b, sigma, (c1 - np.sqrt(b - sigma**2)) / sigma


def dance():
    """16 steps after a shift of 3, sigma 0.3: the native weights and the intervals."""
    s = np.linspace(1, 0, 17)
    t = 3 * s / (1 + 2 * s)
    t, dt = t[:-1], -np.diff(t)
    return np.sqrt(dt) / 0.3 * (1 + (1 - t) * 0.3**2 / (2 * t)), dt


def test_claims_on_the_schedules_are_judged_by_the_samplers_formulas():
    """Only the constants, the authors' equation and the preference for short steps hold."""
    c1, b, sigma, native = ddim()
    # The authors' root of (c1 + c2) / sigma = 4.5, in a sampler that keeps the sign of c2.
    theirs = (4.5 * c1 + np.sqrt(b * (1 + 4.5**2) - c1**2)) / (1 + 4.5**2)
    own = (c1 - np.sqrt(b - theirs**2)) / theirs
    # Eq. (6): the smaller root of (c1 - c2) / sigma = w, where there is one.
    w = native.mean()
    solved = native <= w
    root = c1 * w - np.sqrt(np.maximum(b * (1 + w**2) - c1**2, 0))
    text = (root / (1 + w**2) / sigma)[solved]
    assert solved.sum() == 43
    weights, dt = (values[:-1] for values in dance())  # the last step is not trained
    assert (np.diff(dt) > 0).all() and (np.diff(weights / dt) < 0).all()
    expected = {
        "weights_span_orders": (native.max() / native.min(), "fails"),  # 8.75, not 10
        "variance_exists_everywhere-pcpo": (1.0, "holds"),
        "variance_exists_everywhere-pcpo_exact": (43 / 50, "fails"),
        "variance_yields_constant_weight-pcpo": (own.max() / own.min(), "fails"),  # 8.75
        "variance_yields_constant_weight-pcpo_exact": (native.max() / w, "fails"),  # 6.34
        # 0.508 and 0.193; the standard deviation of the first, 0.713, would be within 1.5.
        "variance_changes_little-pcpo": (((theirs / sigma) ** 2).min(), "fails"),
        "variance_changes_little-pcpo_exact": ((text**2).min(), "fails"),
        "published_constants-weight": (w, "holds"),
        "published_constants-zeta_dancegrpo": (dance()[0].sum(), "holds"),
        "published_constants-zeta_flow_grpo": (4.3152134639895925, "holds"),
        "short_steps_weigh_more": (-1.0, "holds"),
    }
    claims = [c for c in read_claims(CONFIG / "claims.yaml") if c.group == "Credit weights"]
    found = evaluate(claims, Evidence(load_experiments("paper"), {"readings": readings()}))
    found = found.set_index("id")
    assert list(found.index) == [*expected]
    values, verdicts = zip(*expected.values(), strict=True)
    np.testing.assert_allclose(found["estimate"], values, rtol=1e-7)  # the betas are float32
    assert tuple(found["verdict"]) == verdicts
    assert found.loc["variance_changes_little-pcpo_exact", "n"] == "43 steps"


def test_a_norm_above_the_limit_is_found():
    experiments = load_experiments("paper")[:1]
    given = planted.frames(experiments, 1)
    procedure = PROCEDURES["norm_below_limit"].function
    rows = given["updates"] = given["updates"].reset_index(drop=True)
    rows["grad_norm"] = 0.5
    below = procedure(Evidence(experiments, given), 1, arm="pcpo")
    assert (below.value, below.exact) == (0.5, True)
    last = rows[rows["arm"] == "pcpo"].index[-1]
    rows.loc[last, "grad_norm"] = 1.5
    above = procedure(Evidence(experiments, given), 1, arm="pcpo")
    assert (above.value, above.exact) == (1.5, False)
    assert "above the limit of 1 in 1 updates" in above.why
    assert procedure(Evidence(experiments, given), 1, arm="baseline").exact


@pytest.mark.parametrize(
    ("name", "limit", "spoilt", "value", "why"),
    [
        # 5e-4 in a clip range of 2.5e-5; elsewhere one clip range.
        ("ratio_near_one", {"clip_ranges": 10}, {"ratio_std": 5e-4, "clip_range": 2.5e-5}, 20,
         "largest ratio sd 0.0005, clip range 0.0001; the limit is 10 clip ranges"),
        # x / (exp(x) - 1) is 1 - x / 2 + x^2 / 12.
        ("taylor_error", {"percent": 1.2}, {"log_ratio_q00": -0.03}, 1.5075,
         "log-ratios from -0.03 to "),
    ],
)  # fmt: skip
def test_one_update_beyond_a_limit_is_enough(name, limit, spoilt, value, why):
    experiments = load_experiments("paper")[:1]
    given = planted.frames(experiments, 1)
    procedure = PROCEDURES[name].function
    rows = given["updates"] = given["updates"].reset_index(drop=True)
    assert procedure(Evidence(experiments, given), 1, arm="pcpo", **limit).exact
    last = rows[rows["arm"] == "pcpo"].index[-1]
    rows.loc[last, [*spoilt]] = [*spoilt.values()]
    beyond = procedure(Evidence(experiments, given), 1, arm="pcpo", **limit)
    assert (beyond.value, beyond.exact) == (pytest.approx(value, rel=1e-6), False)
    assert beyond.why.startswith(why)
    assert procedure(Evidence(experiments, given), 1, arm="baseline", **limit).exact
