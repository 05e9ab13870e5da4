import multiprocessing

import numpy as np
import pytest
import torch

from pcpo import samplers
from pcpo.config import ModelSource
from pcpo.evaluation.generation import generate
from tests.small import experiment, policy

PROMPTS = ("red circle", "blue star", "green moon")
ITEMS = [(prompt, seed) for prompt in PROMPTS for seed in range(4)]
BATCH = 5  # divides neither the images of a prompt nor all of them


def images_of(models, items, number=1, batch=BATCH, stream="evaluation"):
    chosen = experiment(number)
    base = policy(models, chosen)
    sampler = samplers.build(chosen.sampler, base.scheduler_config)
    guidance = chosen.sampler.guidance_scale
    images = list(generate(base, sampler, guidance, items, batch, stream=stream))
    return torch.stack(images)


def in_another_process(folder, items):
    return images_of({"sd15": ModelSource(path=folder)}, items).numpy()


@pytest.fixture(scope="module")
def expected(models):
    images = images_of(models, ITEMS)
    assert images.shape == (12, 3, 32, 32)
    assert len({image.numpy().tobytes() for image in images}) == 12
    return images


@pytest.mark.parametrize("split", [[12], [1, 11], [5, 5, 2], [3, 4, 5]])
def test_images_do_not_depend_on_the_split_into_calls(models, expected, split):
    parts = torch.arange(12).split(split)
    images = torch.cat([images_of(models, [ITEMS[i] for i in part]) for part in parts])
    assert torch.equal(images, expected)


def test_images_do_not_depend_on_their_order(models, expected):
    order = np.random.default_rng(0).permutation(12)
    assert torch.equal(images_of(models, [ITEMS[i] for i in order]), expected[order])


@pytest.mark.parametrize("number", [6, 8])
def test_the_flow_models_neither(models, number):
    whole = images_of(models, ITEMS, number)
    assert torch.equal(images_of(models, ITEMS[::-1][:7], number), whole.flip(0)[:7])


def test_images_do_not_depend_on_the_process(models, expected):
    """One half here, the other in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        half = pool.apply_async(in_another_process, (models["sd15"].path, ITEMS[6:]))
        assert torch.equal(images_of(models, ITEMS[:6]), expected[:6])
        assert np.array_equal(half.get(), expected[6:].numpy())


@pytest.mark.parametrize("batch", [1, 12])
def test_another_forward_batch_moves_no_pixel_by_more_than_one_level(models, expected, batch):
    """Sums in floating point depend on the shape of a forward."""
    difference = (images_of(models, ITEMS, batch=batch).int() - expected.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.001


def test_streams_and_seeds_are_independent(models, expected):
    other = images_of(models, ITEMS, stream="alignment")
    assert not any(torch.equal(a, b) for a in other for b in expected)
