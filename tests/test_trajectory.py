import pytest
import torch

from pcpo.samplers.flow_sde import flow_grpo_sde
from pcpo.trajectory import DTYPES, gaussian_noise, sample

SHAPE = (2, 8, 8)


def predict(x, timesteps):
    """A prediction that depends on both arguments."""
    return torch.tanh(x) * (1 + timesteps.float() / 1000).reshape(-1, 1, 1, 1)


def trajectory(storage="float32", keep="sampler"):
    sampler = flow_grpo_sde(5, 3.0, 0.7)
    initial = gaussian_noise([("initial", k) for k in range(3)], 1, SHAPE)[:, 0]
    noise = gaussian_noise([("steps", k) for k in range(3)], len(sampler), SHAPE)
    return sampler, sample(predict, sampler, initial, noise, DTYPES[storage], keep)


def on_policy_log_ratio(sampler, t):
    """New minus old log-probability with unchanged weights, `(B, T)`."""
    ratios = []
    for index in range(len(sampler)):
        step = torch.full((3,), index)
        x = t.latents[:, index]
        prediction = predict(x, sampler.timesteps[step])
        ratios.append(sampler.log_prob(step, x, prediction, t.next_latents[:, index]))
    return torch.stack(ratios, 1) - t.log_probs


def test_noise_depends_on_its_key_alone():
    many = gaussian_noise([("a", 1), ("a", 2), ("b", 1)], 2, SHAPE)
    assert many.shape == (3, 2, *SHAPE)
    assert torch.equal(gaussian_noise([("a", 2)], 2, SHAPE)[0], many[1])
    torch.manual_seed(5)
    assert torch.equal(gaussian_noise([("b", 1), ("a", 1)], 2, SHAPE), many[[2, 0]])
    assert not torch.equal(many[0], many[1])
    assert not torch.equal(many[0], many[2])
    # Names and numbers differ from their concatenation.
    assert not torch.equal(
        gaussian_noise([("a", 11, 2)], 1, SHAPE), gaussian_noise([("a", 1, 12)], 1, SHAPE)
    )


def test_noise_is_unit_gaussian():
    noise = gaussian_noise([("moments", k) for k in range(50)], 4, (4, 16, 16))
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(1, abs=0.01)


def test_shapes_and_the_chain_of_latents():
    sampler, t = trajectory()
    for name in ("latents", "next_latents"):
        assert getattr(t, name).shape == (3, 5, *SHAPE)
    assert t.log_probs.shape == (3, 5)
    assert torch.equal(t.latents[:, 1:], t.next_latents[:, :-1])
    assert torch.equal(t.final, t.next_latents[:, -1])
    step = torch.full((3,), 2)
    kept = trajectory(keep="matching")[1]
    for name in ("latents", "predictions_old", "noise"):
        assert getattr(kept, name).shape == (3, 5, *SHAPE)
    assert torch.equal(kept.latents, t.latents)
    assert torch.equal(
        sampler.step(step, kept.latents[:, 2], kept.predictions_old[:, 2], kept.noise[:, 2]),
        kept.latents[:, 3],
    )
    assert torch.equal(kept.inputs(step, "cpu"), kept.at(step, "cpu").latents)


@pytest.mark.parametrize(
    ("keep", "names"),
    [
        ("sampler", {"latents", "next_latents", "log_probs"}),
        ("matching", {"latents", "predictions_old", "noise"}),
        (None, set()),
    ],
)
def test_a_trajectory_has_what_its_log_ratio_compares_alone(keep, names):
    t = trajectory(keep=keep)[1]
    assert {name for name, value in vars(t).items() if value is not None} == {"final"} | names
    assert torch.equal(t.final, trajectory()[1].final)


def test_a_changed_step_takes_the_reference_and_its_share_of_the_change():
    sampler = flow_grpo_sde(5, 3.0, 0.7)
    initial = gaussian_noise([("initial", k) for k in range(3)], 1, SHAPE)[:, 0]
    noise = gaussian_noise([("steps", k) for k in range(3)], 5, SHAPE)
    change = torch.tensor([1.0, 0.5, 2.0, 0.0, 1.5], dtype=torch.float64)

    def reference(x, timesteps):
        return 0.1 * x

    changed = {"reference": reference, "change": change}
    t = sample(predict, sampler, initial, noise, keep="matching", **changed)
    for index in range(5):
        x, step = t.latents[:, index], torch.full((3,), index)
        own, base = predict(x, sampler.timesteps[step]), reference(x, None)
        assert torch.equal(t.predictions_old[:, index], own)
        taken = base + change[index].float() * (own - base)
        after = t.latents[:, index + 1] if index < 4 else t.final
        torch.testing.assert_close(sampler.step(step, x, taken, noise[:, index]), after)


def test_float32_storage_keeps_the_on_policy_ratio_exactly_at_one():
    assert torch.count_nonzero(on_policy_log_ratio(*trajectory("float32"))) == 0


@pytest.mark.parametrize("storage", ["float16", "bfloat16"])
def test_low_precision_storage_alone_moves_the_on_policy_ratio(storage):
    sampler, t = trajectory(storage)
    assert torch.equal(t.next_latents, t.next_latents.to(DTYPES[storage]).float())
    assert (on_policy_log_ratio(sampler, t) != 0).all()
