import pytest

from pcpo.preference.checkpoints import bracket, published


def test_the_papers_epochs_are_taken_where_they_were_saved():
    saved = range(60, 241, 60)
    assert published(saved, saved) == (120, 180, 240)
    assert published(range(20, 241, 20), range(50, 241, 50)) is None
    assert published([100], saved) is None


REWARDS = {1: 0.1, 2: 0.3, 3: 0.2, 4: 0.6, 5: 0.5, 6: 0.9}


@pytest.mark.parametrize(
    ("start", "target", "expected"),
    [
        (1, 0.25, (1, 2)),  # forwards to the first crossing
        (3, 0.55, (3, 4)),
        (4, 0.55, (3, 4)),  # backwards
        (6, 0.55, (5, 6)),
        (5, 0.4, (3, 4)),
        (4, 0.6, (3, 4)),  # a reward equal to the target is not below it
    ],
)
def test_the_two_epochs_lie_on_either_side(start, target, expected):
    found = bracket([*REWARDS], start, target, REWARDS.__getitem__)
    assert found == expected
    lower, higher = found
    assert REWARDS[lower] < target <= REWARDS[higher]


def test_without_a_crossing_the_last_two_are_taken():
    assert bracket([*REWARDS], 4, 2.0, REWARDS.__getitem__) == (5, 6)
    assert bracket([*REWARDS], 4, 0.0, REWARDS.__getitem__) == (1, 2)
    assert bracket([1, 2], 2, 0.0, REWARDS.__getitem__) == (1, 2)


def test_only_what_is_needed_is_measured():
    measured = []
    bracket([*REWARDS], 3, 0.55, lambda e: measured.append(e) or REWARDS[e])
    assert set(measured) == {3, 4}


def test_one_checkpoint_is_too_few():
    with pytest.raises(ValueError, match="lower checkpoint_every"):
        bracket([2], 2, 0.5, REWARDS.__getitem__)
