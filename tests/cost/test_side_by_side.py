"""The comparison of our loop with the official order of work; its ratios are not looked at."""

from functools import partial

import pytest
import torch

from pcpo.cost.side_by_side import ALGORITHMS, Comparison, compare, compared, markdown
from tests.small import brightness, experiment, policy


def test_each_pair_of_epochs_trains_as_many_images_in_forwards_of_the_given_sizes(models):
    calls = []

    def load(chosen):
        made = policy(models, chosen, train=True)
        inner = made._forward
        made._forward = lambda x, *rest: (
            calls.append((len(x), torch.is_grad_enabled())) or inner(x, *rest)
        )
        return made

    row = compare(experiment(6), "baseline", load, brightness, sample=4, train=2, pairs=2)
    assert len(row.ratios) == 2
    assert min(row.ratios) > 0
    steps = 1  # of the trained ones each image has 60 %, at least one
    ours = [(2, False)] * 4 * 3 + [(2, True)] * 4 * steps
    official = [(4, False)] * 2 * 3 + [(2, True)] * 4 * steps
    assert calls == 3 * (ours + official)


@pytest.mark.parametrize("number", ALGORITHMS)
def test_what_is_compared_has_the_originals_guidance(number):
    chosen = compared(experiment(number))
    assert chosen.ema is None
    # FLUX.1-dev has guidance as an input, so that its original has no second branch.
    assert (chosen.sampler.guidance_scale > 1) == (number != 6)


def test_a_line_has_the_arms_side_by_side():
    row = partial(Comparison, experiment(1), sample=8, train=4)
    lines = markdown([row("baseline", ratios=[1.2, 0.9, 1.0]), row("pcpo", ratios=[1.0])])
    assert lines.splitlines()[-1] == (
        "| DDPO Aes, half batch size | 8, 4 | 1.00 (0.90 to 1.20) | 1.00 (1.00 to 1.00) |"
    )
