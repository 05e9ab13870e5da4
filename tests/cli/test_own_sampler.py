"""Evaluation images by each arm's own sampler: the sensitivity run beside the native one."""

import pytest
import torch

from pcpo import samplers
from pcpo.cli import evaluation, generate, select, train
from pcpo.cli.evaluation import load_policy, sampler_of, sigmas
from pcpo.config import load_arm, load_scale
from pcpo.credit import arm_sampler
from pcpo.evaluation.generation import generate as images_of
from pcpo.evaluation.images import MADE_BY, read_images, read_index
from tests.cli import test_select
from tests.small import PROMPTS, experiment

command = test_select.command  # its fixture: commands on configuration 1 with small models


@pytest.fixture(scope="module")
def loaded(models):
    """(experiment, base model, native sampler) of configuration 1."""
    chosen = experiment(1)
    scale = load_scale("smoke").model_copy(update={"models": models})
    policy, native = load_policy(chosen, scale, "cpu")
    return chosen, policy, native


def images(loaded, arm, evaluation_sampler):
    chosen, policy, native = loaded
    sampler = sampler_of(arm, evaluation_sampler, native, chosen, policy)
    items = [(prompt, seed) for prompt in PROMPTS[:2] for seed in range(2)]
    return torch.stack(list(images_of(policy, sampler, chosen.sampler.guidance_scale, items, 2)))


def test_an_arm_with_other_sigmas_has_other_images(loaded):
    assert not torch.equal(images(loaded, "pcpo", "own"), images(loaded, "pcpo", "native"))


@pytest.mark.parametrize("arm", ["base", "baseline", "matching", "reweight"])
def test_the_base_and_arms_of_the_native_sampler_have_the_same_images(loaded, arm):
    assert torch.equal(images(loaded, arm, "own"), images(loaded, arm, "native"))


def test_the_own_sampler_is_that_of_the_training(loaded):
    chosen, policy, native = loaded
    trained, schedule = arm_sampler(chosen, load_arm("pcpo"), policy.scheduler_config)
    own = sampler_of("pcpo", "own", native, chosen, policy)
    assert torch.equal(own.sigma, trained.sigma)
    assert torch.equal(own.sigma, schedule.sigmas)
    assert torch.equal(own.timesteps, native.timesteps)
    assert (
        sigmas(own) != sigmas(native) == sigmas(sampler_of("base", "own", native, chosen, policy))
    )


@pytest.mark.parametrize("number", [6, 8, 10])
def test_flow_arms_keep_the_native_sampler(number):
    """PCPO reweighs a flow's loss and leaves its sampler: own and native are one run there."""
    chosen = experiment(number)
    native = samplers.build(chosen.sampler, {"shift": 3.0})
    for arm in chosen.measured:
        assert torch.equal(
            arm_sampler(chosen, load_arm(arm), {"shift": 3.0})[0].sigma, native.sigma
        )


def test_kept_scores_and_images_are_of_the_sampler_that_made_them(command, tmp_path, monkeypatch):
    for arm in ("baseline", "pcpo"):
        command(train, arm, "--out", arm)
    made, score = [], evaluation.score

    def counting(policy, sampler, experiment, rewards, items, **options):
        made.append(tuple(sampler.sigma.tolist()))
        return score(policy, sampler, experiment, rewards, items, **options)

    monkeypatch.setattr(evaluation, "score", counting)
    runs = ("--run", "baseline", "--run", "pcpo", "--out", "selection.csv")
    own = ("--evaluation-sampler", "own")
    sizes = {
        "selection_images_per_prompt": 2,
        "screening_images_per_prompt": 1,
        "candidate_window": 10,
        "images_per_prompt": 2,
    }
    command(select, *runs, **sizes)
    [native] = set(made)
    made.clear()
    # PCPO's checkpoints are scored again, the baseline's, whose sampler is native, are not.
    command(select, *runs, *own, **sizes)
    assert len(set(made)) == 1 and native not in made
    made.clear()
    command(select, *runs, **sizes)
    assert made == []

    def generated(arm, *options):
        chosen = ("--arm", arm, "--run", arm, "--selection", "selection.csv") if arm else ()
        out = f"images_{arm or 'base'}"
        command(generate, *chosen, "--out", out, *options, **sizes)
        return (tmp_path / out / MADE_BY).read_text(), read_images(
            tmp_path / out, read_index(tmp_path / out)
        )

    for arm, differs in (("pcpo", True), ("baseline", False), ("", False)):
        (before, first), (after, second) = generated(arm), generated(arm, *own)
        assert (before != after) == differs
        assert (first != second).any() == differs
