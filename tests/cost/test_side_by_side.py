"""The comparison of our loop with the official order of work; its ratios are not looked at."""

import pytest
import torch

from pcpo.cost.side_by_side import ALGORITHMS, Comparison, compare, compared, markdown
from tests.small import brightness, experiment, policy


@pytest.mark.parametrize("arm", ["baseline", "pcpo"])
def test_each_pair_of_epochs_has_forwards_of_the_given_sizes(models, arm):
    calls = []

    def load(chosen):
        made = policy(models, chosen, train=True)
        inner = made._forward
        made._forward = lambda x, *rest: (
            calls.append((len(x), torch.is_grad_enabled())) or inner(x, *rest)
        )
        return made

    row = compare(experiment(6), arm, load, brightness, sample=4, train=2, own=2, pairs=2)
    assert len(row.ours) == len(row.official) == 2
    assert min(*row.ours, *row.official) > 0
    sampled, trained = [(4, False)] * 2 * 3, [(2, True)] * 4  # 60 % of two steps: one
    official = sampled + trained
    ours = official if arm == "baseline" else [(2, False)] * 4 * 3 + trained
    assert calls == 3 * (ours + official)


@pytest.mark.parametrize("number", ALGORITHMS)
def test_what_is_compared_has_the_originals_guidance(number):
    chosen = compared(experiment(number))
    assert chosen.ema is None
    # FLUX.1-dev has guidance as an input, so that its original has no second branch.
    assert (chosen.sampler.guidance_scale > 1) == (number != 6)


def test_a_line_has_the_arms_side_by_side():
    rows = [
        Comparison(experiment(1), arm, 8, 4, 4, ours, [1.0, 2.0, 4.0])
        for arm, ours in (("baseline", [1.1, 1.8, 9.0]), ("pcpo", [1.5, 1.0, 6.0]))
    ]
    assert markdown(rows).splitlines()[-1] == (
        "| DDPO Aes, half batch size | 8, 4 | 4 | 1.10 (1.10) | 1.00 (1.50) |"
    )
