"""A gradient step by hand: clipping, AdamW, fp16's scale; and a resume state of another model."""

from types import SimpleNamespace

import pytest
import torch

from pcpo.training.learner import Learner
from pcpo.training.processes import Processes
from tests.small import experiment
from tests.training.runs import same_tensors


def learner(weights, *, precision="fp32", **optimizer):
    """Of a model of two layers with these weights each, and with a moving average."""
    parameters = {f"{layer}.weight": torch.nn.Parameter(torch.tensor(weights)) for layer in "ab"}
    policy = SimpleNamespace(trainable=lambda: parameters, device=torch.device("cpu"))
    return Learner.start(experiment(8, precision=precision, optimizer=optimizer), policy)


def step(of, gradients):
    """One update with these gradients of the first layer; the second one's are 0."""
    first, second = of.parameters.values()
    of.backward((first * torch.tensor(gradients)).sum() + 0 * second.sum())
    return of.step(Processes())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_long_gradient_is_shortened_to_the_limit_and_logged_as_it_was(precision):
    """fp16's are clipped after the loss's scale is taken out of them."""
    statistics, means = {}, {}
    for limit in (10.0, 2.5):
        own = learner([1.0, 2.0], precision=precision, max_grad_norm=limit, betas=(0.5, 0.5))
        statistics[limit] = step(own, [3.0, 4.0])
        means[limit] = own.optimizer.state[own.parameters["a.weight"]]["exp_avg"].tolist()
    assert means[10] == [1.5, 2.0]  # half of the gradient, by AdamW's first beta
    assert means[2.5] == pytest.approx([0.75, 1.0], rel=1e-6)
    expected = {"grad_norm": 5.0, "gradient_abs_mean": 3.5, "gradient_abs_var": 0.25}
    assert statistics[10] == statistics[2.5] == expected


def test_a_step_is_adamws_with_every_value_of_the_configuration():
    """By hand, in two steps: moments b m + (1 - b) g, each divided by 1 - b^steps."""
    lr, decay, epsilon = 0.5, 0.1, 0.25
    own = learner(
        [1.0, 2.0], learning_rate=lr, weight_decay=decay, epsilon=epsilon, betas=(0.5, 0.75),
        max_grad_norm=1e9,
    )  # fmt: skip
    step(own, [0.0, 3.0])
    # No gradient: the weight shrinks all the same.
    first = [1 - decay * lr, 2 * (1 - decay * lr) - lr * 3 / (3 + epsilon)]
    assert own.parameters["a.weight"].tolist() == pytest.approx(first, rel=1e-6)
    step(own, [0.0, 1.0])
    mean = (0.5 * 0.5 * 3 + 0.5 * 1) / (1 - 0.5**2)
    square = (0.75 * 0.25 * 9 + 0.25 * 1) / (1 - 0.75**2)
    second = [w * (1 - decay * lr) for w in first]
    second[1] -= lr * mean / (square**0.5 + epsilon)
    assert own.parameters["a.weight"].tolist() == pytest.approx(second, rel=1e-6)


def trained(weight, gradient):
    """A learner in fp16 after an update that its moving average takes."""
    own = learner([weight, 0.0], precision="fp16")
    step(own, [gradient, 0.0])
    own.ema.after_update(own.ema.config.every - 1)
    return own


def everything(of):
    return {name: value.clone() for name, value in of.tensors()}


WRONG = [
    (kind, f"{of}.b.weight")
    for kind in ("missing", "larger")
    for of in ("weight", "optimizer.exp_avg", "optimizer.exp_avg_sq", "ema")
]


@pytest.mark.parametrize(("wrong", "name"), [*WRONG, ("larger", "optimizer.step.b.weight")])
def test_a_state_of_another_model_is_refused_before_anything_changes(wrong, name):
    own, other = trained(1.0, 1.0), trained(2.0, -3.0)
    before, state = everything(own), everything(other)
    scaler, scale = own.scaler.state_dict(), other.scaler.state_dict() | {"scale": 4.0}
    assert state.keys() == before.keys() >= {name}
    damaged = {key: value for key, value in state.items() if key != name}
    if wrong == "larger":
        damaged[name] = torch.cat([state[name].reshape(-1), torch.zeros(1)])
    with pytest.raises((KeyError, RuntimeError), match=name):
        own.restore(damaged, scale)
    assert same_tensors(everything(own), before)
    assert own.scaler.state_dict() == scaler
    with pytest.raises(KeyError, match="gradient scaler"):  # of a precision without one
        own.restore(state, {})
    assert same_tensors(everything(own), before)
    own.restore(state, scale)
    assert same_tensors(everything(own), state) and not same_tensors(state, before)
    assert own.scaler.get_scale() == 4
