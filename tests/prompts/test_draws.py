import numpy as np
import pytest

from pcpo.config import Batch
from pcpo.prompts.draws import derive_seed, evaluation_prompts, iteration_prompts

GROUPS = Batch(
    prompts_per_iteration=4, images_per_prompt=3, images_per_iteration=12,
    gradient_updates=2, micro_batch=3,
)  # fmt: skip


def test_stream_is_a_function_of_seed_and_epoch():
    draws = [iteration_prompts(GROUPS, 20, s, e) for s, e in ((0, 1), (0, 1), (0, 2), (1, 1))]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draws[0] != draws[3]


def test_groups_are_whole_and_distinct():
    ids = iteration_prompts(GROUPS, 20, 0, 1)
    assert [len(set(ids[i : i + 3])) for i in range(0, 12, 3)] == [1] * 4
    shuffled = iteration_prompts(GROUPS.model_copy(update={"shuffle": True}), 20, 0, 1)
    assert sorted(shuffled) == sorted(ids)
    assert shuffled != ids
    assert set(np.unique(shuffled, return_counts=True)[1]) == {3}


def test_more_prompts_than_there_are():
    with pytest.raises(ValueError, match="prompts_per_iteration is 4"):
        iteration_prompts(GROUPS, 3, 0, 1)


def test_evaluation_prompts_take_each_noun_once():
    activity = [f"{noun} {activity}" for noun in range(45) for activity in range(3)]
    chosen = evaluation_prompts(activity, 45)
    assert [activity[i].split()[0] for i in chosen] == [str(n) for n in range(45)]
    assert {activity[i].split()[1] for i in chosen} == {"0", "1", "2"}
    assert evaluation_prompts(["a", "b"], 45) == [0, 1]
    assert len(set(evaluation_prompts(list("abcdefghij"), 4))) == 4


def test_seeds_are_stable():
    """SHA-256 of a text: the same on every machine."""
    import hashlib

    digest = hashlib.sha256(b"noise\x1fa cat\x1f3").digest()
    assert derive_seed("noise", "a cat", 3) == int.from_bytes(digest[:8], "little") >> 1
