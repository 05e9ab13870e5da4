"""Samples between a base model and aligned ones: the ends bit for bit, and linear between them."""

import pytest
import torch

from pcpo import samplers
from pcpo.evaluation.checkpoints import Checkpoints
from pcpo.evaluation.generation import generate
from pcpo.evaluation.reward_guidance import guided, mixed
from pcpo.trajectory import sample
from tests.small import experiment, perturb, policy

# LoRA under each sampler, and two trainings of all weights.
DDIM, DANCE_SDE, FLOW_GRPO = 2, 6, 8
WHOLE = 5
ITEMS = [(prompt, seed) for prompt in ("red circle", "blue star") for seed in (0, 1)]


def checkpoint(models, number, folder, seed):
    """A folder with weights that are far from the base model's."""
    chosen = experiment(number)
    trained = policy(models, chosen, train=True, seed=seed)
    perturb(trained, seed, size=0.3 if chosen.lora else 0.05)
    folder.mkdir()
    trained.save_weights(folder)
    return folder


def images(models, number, folders=(), strengths=None, loaded=None):
    """With strengths under guidance; else of the base model, or of the policy that loaded one."""
    chosen = experiment(number)
    own = policy(models, chosen)
    if loaded is not None:
        own.load_weights(loaded)
    sampler = samplers.build(chosen.sampler, own.scheduler_config)
    mixture = None if strengths is None else guided(Checkpoints(own, folders), strengths)
    made = generate(own, sampler, 2.0, ITEMS, 3, conditioned=mixture)
    return torch.stack(list(made))


@pytest.fixture(scope="module")
def folders(models, tmp_path_factory):
    """Two checkpoints of each configuration."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {
        number: [checkpoint(models, number, root / f"{number}_{seed}", seed) for seed in (1, 2)]
        for number in (DDIM, DANCE_SDE, FLOW_GRPO, WHOLE)
    }


@pytest.mark.parametrize("number", [DDIM, DANCE_SDE, FLOW_GRPO, WHOLE])
def test_the_ends_are_the_base_model_and_each_aligned_model_bit_for_bit(models, folders, number):
    base = images(models, number)
    both = folders[number]
    aligned = [images(models, number, loaded=folder) for folder in both]
    assert not any(torch.equal(base, other) for other in aligned)
    assert not torch.equal(*aligned)
    assert torch.equal(images(models, number, both, (0, 0)), base)
    assert torch.equal(images(models, number, both, (1, 0)), aligned[0])
    assert torch.equal(images(models, number, both, (0, 1)), aligned[1])
    half = images(models, number, both, (0.5, 0))
    assert not torch.equal(half, base) and not torch.equal(half, aligned[0])


def test_one_step_takes_the_mixed_noise_of_the_formula(models, folders):
    """Appendix F, against predictions of policies that know nothing of each other."""
    chosen = experiment(DDIM)
    own = policy(models, chosen)
    conditioning = own.encode(["red circle", "blue star"])
    x, times = torch.randn(2, *own.latent_shape), torch.tensor([700.0, 700.0])

    def alone(folder=None):
        one = policy(models, chosen)
        if folder is not None:
            one.load_weights(folder)
        with torch.no_grad():
            return one.predict(x, times, conditioning, 3.0)

    reference, first, second = alone(), *map(alone, folders[DDIM])
    expected = reference + 0.7 * (first - reference) - 0.4 * (second - reference)
    with torch.no_grad():
        found = guided(Checkpoints(own, folders[DDIM]), (0.7, -0.4))(conditioning, 3.0)(x, times)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_an_adapter_and_a_whole_denoiser_mix(models, folders):
    """SD1.5 and SD1.4 are one model here."""
    both = [folders[DDIM][0], folders[WHOLE][0]]
    assert torch.equal(images(models, DDIM, both, (0, 0)), images(models, DDIM))
    for place, strengths in enumerate([(1, 0), (0, 1)]):
        found = images(models, DDIM, both, strengths)
        assert torch.equal(found, images(models, DDIM, loaded=both[place]))


@pytest.mark.parametrize("number", [DDIM, DANCE_SDE, FLOW_GRPO])
def test_linear_models_give_latents_linear_in_the_strength(number):
    """A prediction that does not depend on x: every sampler is linear in it."""
    chosen = experiment(number)
    config = {"beta_start": 8.5e-4, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    sampler = samplers.build(chosen.sampler, config | {"steps_offset": 1})
    generator = torch.Generator().manual_seed(0)
    constants = torch.randn(3, 4, 8, 8, generator=generator, dtype=torch.float64)
    base, *aligned = [lambda x, t, c=c: c.expand_as(x) for c in constants]
    noise = torch.randn(2, len(sampler) + 1, 4, 8, 8, generator=generator, dtype=torch.float64)

    def final(*strengths):
        predict = mixed(base, aligned, strengths)
        return sample(predict, sampler, noise[:, 0], noise[:, 1:]).final

    origin, one, other = final(0, 0), final(1, 0), final(0, 1)
    for s, r in ((0.25, 0), (1.5, 0), (0.5, 0.5), (1.2, -0.3)):
        expected = origin + s * (one - origin) + r * (other - origin)
        torch.testing.assert_close(final(s, r), expected, rtol=1e-4, atol=1e-4)


def test_a_model_with_factor_0_is_not_asked():
    def never(x, t):
        raise AssertionError

    x = torch.ones(2, 3)
    assert torch.equal(mixed(never, [lambda x, t: 2 * x, never], (1, 0))(x, x), 2 * x)
    assert torch.equal(mixed(lambda x, t: x, [never], (0,))(x, x), x)


@pytest.mark.parametrize(
    ("strengths", "message"), [((1,), "1 strengths for 2"), ((1, float("nan")), "finite")]
)
def test_wrong_strengths_are_refused(strengths, message):
    with pytest.raises(ValueError, match=message):
        mixed(lambda x, t: x, [lambda x, t: x] * 2, strengths)
