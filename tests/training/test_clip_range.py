"""Clip ranges that follow what was clipped: against planted distributions, and in a training."""

import pandas as pd
import pytest
import torch

from pcpo import samplers
from pcpo.credit import credit_schedule
from pcpo.objectives import clipped_terms
from pcpo.training.clip_range import ClipRange
from tests.small import policy
from tests.training.by_hand import off_policy, train_and_compare
from tests.training.runs import run, same_tensors, weights


def terms(log_ratio, sampler_log_ratio, sign, step=None):
    step = torch.zeros(len(log_ratio), dtype=torch.long) if step is None else step
    found = {"log_ratio": log_ratio, "sampler_log_ratio": sampler_log_ratio, "sign": sign}
    return {key: value.reshape(1, -1, 4) for key, value in (found | {"step": step}).items()}


def normal(count, seed):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("share", [None, torch.tensor([0.5, 1.5], dtype=torch.float64)])
def test_matched_clips_as_often_as_the_samplers_log_ratio(share):
    clip = ClipRange("matched", 1e-4, share)
    step = torch.arange(4000) % 2
    own, sampler = 3e-5 * normal(4000, 0), 1.2e-4 * normal(4000, 1)
    sign = normal(4000, 2).sign()
    for half in (slice(0, 2000), slice(2000, 4000)):
        clip.observe(terms(own[half], sampler[half], sign[half], step[half]))
    clip.end_epoch()
    bounds = clip.bounds(step, torch.float64)
    clipped, _ = clipped_terms(own, sign, bounds)
    target = (sampler.abs() > 1e-4).double().mean()
    assert 0.3 < target < 0.5
    assert clipped.double().mean() == pytest.approx(target.item(), abs=1e-3)
    assert clip.lower == clip.upper < 1
    kept = ClipRange("matched", 1e-4, share)
    kept.restore(clip.state())
    assert kept.state() == clip.state()


def test_balanced_has_the_same_share_of_each_sign():
    clip = ClipRange("balanced", 1e-4)
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(2000)
    # Positive terms move far more than negative ones.
    own = torch.where(sign > 0, 2e-4, 6e-5) * normal(4000, 3)
    before = (sign * own > 1e-4).double()
    assert before[sign > 0].mean() > 4 * before[sign < 0].mean()
    clip.observe(terms(own, own, sign))
    clip.end_epoch()
    _, gated = clipped_terms(own, sign, clip.bounds(torch.zeros(4000), torch.float64))
    for of_sign in (1, -1):
        share = gated[sign == of_sign].double().mean()
        assert share == pytest.approx(before.mean().item(), abs=1e-3)
    assert clip.upper > 1 > clip.lower


def test_balanced_gates_of_each_sign_the_share_that_all_terms_had():
    """Also where one sign has more terms than the other, and some have neither."""
    clip = ClipRange("balanced", 1e-4)
    sign = torch.tensor([1.0] * 3000 + [-1.0] * 1000 + [0.0] * 400, dtype=torch.float64)
    # Of the positive terms 600 are beyond the configured range, of the negative ones 500.
    ranks = torch.cat([torch.arange(n, 0, -1) - 0.5 for n in (3000, 1000, 400)]).double()
    widest = torch.tensor([1.25e-4] * 3000 + [2e-4] * 1000 + [9e-4] * 400, dtype=torch.float64)
    count = torch.tensor([3000] * 3000 + [1000] * 1000 + [400] * 400)
    own = torch.where(sign < 0, -1, 1) * widest * ranks / count
    clip.observe(terms(own, own, sign))
    clip.end_epoch()
    # 1100 of 4400 terms: a quarter of each sign.
    assert clip.upper == pytest.approx(0.75 * 1.25)
    assert clip.lower == pytest.approx(0.75 * 2)
    _, gated = clipped_terms(own, sign, clip.bounds(torch.zeros(4400), torch.float64))
    assert [int(gated[sign == of].sum()) for of in (1, -1, 0)] == [750, 250, 0]


def test_nothing_clipped_changes_nothing():
    for kind in ("matched", "balanced"):
        clip = ClipRange(kind, 1e-4)
        zeros = torch.zeros(40, dtype=torch.float64)
        clip.observe(terms(zeros, zeros, torch.ones(40, dtype=torch.float64)))
        clip.end_epoch()
        assert clip.state() == {"lower": 1.0, "upper": 1.0}


def test_other_kinds_are_fixed():
    for kind, upper in (("fixed", 1.0), ("higher", 1.4)):
        clip = ClipRange(kind, 1e-4)
        own = normal(400, 4)
        clip.observe(terms(own, own, own.sign()))
        clip.end_epoch()
        assert clip.state() == {"lower": 1.0, "upper": upper}


# --- in a training ----------------------------------------------------------------------------


def test_the_second_epoch_has_the_range_that_the_first_ones_terms_give(models, tmp_path):
    chosen = off_policy(epochs=2, clip_range=3e-4)
    updates, found = train_and_compare(models, tmp_path, chosen, "reweight_matched")
    native = samplers.build(chosen.sampler, policy(models, chosen).scheduler_config)
    pcpo = credit_schedule("reweight", native, skip_last=True).weights
    own = torch.cat([terms.log_ratio(pcpo, pcpo**2 / 2) for terms in found]).abs()
    density = torch.cat([terms.density_ratio for terms in found]).abs()
    clipped = int((density > 3e-4).sum())
    assert 0 < clipped != int((own > 3e-4).sum())
    largest = own.sort(descending=True).values
    expected = float(largest[clipped - 1] + largest[clipped]) / 2
    by_epoch = [of["clip_range"].unique().tolist() for _, of in updates.groupby("epoch")]
    assert by_epoch == [[3e-4], [pytest.approx(expected, rel=1e-3)]]


@pytest.mark.parametrize(
    ("arm", "clip_range"), [("reweight_matched", 3e-4), ("reweight_balanced", 1e-3)]
)
def test_a_clip_range_that_adapts_is_resumed(models, tmp_path, arm, clip_range):
    def trained(name, epochs):
        chosen = off_policy(epochs=epochs, checkpoint_every=1, clip_range=clip_range)
        return run(models, tmp_path / name, chosen, arm).drop(columns="seconds")

    whole = trained("whole", 2)
    assert whole["clip_range"].nunique() == 2
    trained("pieces", 1)
    pd.testing.assert_frame_equal(trained("pieces", 2), whole, check_exact=True)
    assert same_tensors(weights(tmp_path / "pieces", 2), weights(tmp_path / "whole", 2))
