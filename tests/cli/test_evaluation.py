"""What selection, generation and alignment share."""

import numpy as np
import pytest
import torch

from pcpo import samplers
from pcpo.cli.evaluation import (
    evaluation_rows,
    last_checkpoint,
    load_policy,
    load_reward,
    score,
)
from pcpo.config import RewardSource, load_experiments, load_scale
from pcpo.evaluation.generation import generate
from tests.rewards.tiny_models import BUILDERS, noise_images
from tests.small import PROMPTS, brightness, experiment, policy


@pytest.fixture(scope="module")
def scale(tmp_path_factory, models):
    """The smoke scale with small models and rewards in place of those that it trains."""
    smoke, rewards = load_scale("smoke"), {}
    root = tmp_path_factory.mktemp("rewards")
    for key, source in smoke.rewards.items():
        folder = root / key
        folder.mkdir()
        options = BUILDERS[source.implementation or key](folder)
        rewards[key] = source.model_copy(
            update={"path": source.path and str(folder), "options": options | source.options}
        )
    (root / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    prompts = dict.fromkeys(smoke.prompts, str(root / "prompts.txt"))
    return smoke.model_copy(update={"models": models, "rewards": rewards, "prompts": prompts})


@pytest.mark.parametrize("chosen", load_experiments("smoke"), ids=lambda e: e.name)
def test_every_experiments_reward_loads_with_its_options(scale, chosen):
    assert callable(load_reward(scale, chosen.reward.name, "cpu", **chosen.reward.options))


def test_options_of_the_experiment_win(scale):
    source = RewardSource(path=scale.rewards["pickscore"].path, options={"scale": "logit"})
    own = scale.model_copy(update={"rewards": {"pickscore": source}})
    images = noise_images(2)
    logit = load_reward(own, "pickscore", "cpu")(images, PROMPTS[:2])
    other = load_reward(own, "pickscore", "cpu", scale="logit/26")(images, PROMPTS[:2])
    torch.testing.assert_close(logit / 26, other)


def test_every_scores_reward_loads(scale):
    wanted = {reward for columns in scale.alignment.values() for reward in columns.values()}
    for key in wanted:
        assert callable(load_reward(scale, key, "cpu"))


def test_evaluation_takes_the_native_sampler(scale):
    chosen = experiment(1)
    base, sampler = load_policy(chosen, scale, "cpu")
    native = samplers.build(chosen.sampler, base.scheduler_config)
    assert torch.equal(sampler.sigma, native.sigma)
    assert not base.trainable()


def test_an_epoch_selects_the_last_checkpoint_up_to_it(tmp_path):
    """Table 9's epoch 200, at scales that end earlier too."""
    (tmp_path / "checkpoints.csv").write_text("epoch,folder\n5,a\n10,b\n")
    for folder in "ab":
        (tmp_path / folder).mkdir()
    assert [last_checkpoint(tmp_path, upto) for upto in (5, 9, 10, 200)] == [5, 5, 10, 10]
    with pytest.raises(ValueError, match=r"checkpoints.csv: .* no checkpoint up to epoch 4"):
        last_checkpoint(tmp_path, 4)


def test_rows_are_grouped_by_prompt(scale):
    rows = evaluation_rows(experiment(1), scale, 2)
    assert rows == [(i, prompt, seed) for i, prompt in enumerate(PROMPTS) for seed in (0, 1)]


def test_scores_are_those_of_the_generated_images(models):
    chosen = experiment(1, evaluation={"batch": 4})
    base = policy(models, chosen)
    sampler = samplers.build(chosen.sampler, base.scheduler_config)
    items = [(prompt, seed) for prompt in PROMPTS[:2] for seed in range(3)]  # a short last batch
    functions = {"bright": brightness, "length": lambda x, p: torch.tensor([len(t) for t in p])}
    scores = score(base, sampler, chosen, functions, items)
    images = torch.stack(list(generate(base, sampler, chosen.sampler.guidance_scale, items, 4)))
    np.testing.assert_array_equal(scores["bright"], brightness(images, []).numpy())
    assert scores["length"].tolist() == [len(prompt) for prompt, _ in items]
