"""Which checkpoints the alignment scores are of."""

import pytest

from pcpo.cli.align import checkpoints
from pcpo.config import load_experiment
from pcpo.records import frame_file, frames
from tests import fabricated


@pytest.fixture
def runs(tmp_path):
    """Checkpoints every 5 epochs up to 20; the selection has epochs 20 and 14."""
    found = {}
    for arm in fabricated.ARMS:
        found[arm] = tmp_path / arm
        (found[arm] / "weights").mkdir(parents=True)
        rows = "".join(f"{epoch},weights\n" for epoch in (5, 10, 14, 20))
        (found[arm] / "checkpoints.csv").write_text(f"epoch,folder\n{rows}")
    frame_file.write(
        fabricated.selection([6]), frames.SELECTION, tmp_path / "selection.csv", "demo"
    )
    return found


def test_a_checkpoint_of_both_pairs_is_sampled_once(runs, tmp_path):
    six = load_experiment(6, "demo")  # Table 5: epochs 180 and 120; both are the last one, 20
    assert checkpoints(six, "demo", tmp_path / "selection.csv", runs) == {
        ("base", 0): ["base"],
        ("baseline", 20): ["published", "matched"],
        ("pcpo", 20): ["published"],
        ("pcpo", 14): ["matched"],
    }
    early = six.alignment_checkpoint.model_copy(update={"baseline": 12, "pcpo": 19})
    own = six.model_copy(update={"alignment_checkpoint": early})
    found = checkpoints(own, "demo", tmp_path / "selection.csv", runs)
    assert found["baseline", 10] == ["published"]
    assert found["pcpo", 14] == ["published", "matched"]


def test_without_published_epochs_the_matched_pair_is_scored(runs, tmp_path):
    own = load_experiment(6, "demo").model_copy(update={"alignment_checkpoint": None})
    found = checkpoints(own, "demo", tmp_path / "selection.csv", runs)
    assert list(found.values()) == [["base"], ["matched"], ["matched"]]
