import socket

import numpy as np
import pytest

from pcpo.evaluation.score_cache import KeptScores
from pcpo.records.digest import SUMS


@pytest.fixture
def checkpoint(tmp_path):
    (tmp_path / "epoch").mkdir()
    (tmp_path / "epoch" / SUMS).write_text("abc  weights\n")
    return tmp_path / "epoch"


class Scorer:
    """Counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return np.array([0.5, float(self.asked)])


def test_what_was_scored_is_not_scored_again(tmp_path, checkpoint):
    score, about = Scorer(), {"sampler": "ddim", "images": [["a", 0], ["a", 1]]}
    for _ in range(2):  # the second one as another process would
        values = KeptScores(tmp_path / "kept", about).of("pcpo_all", checkpoint, score)
        np.testing.assert_array_equal(values, [0.5, 1.0])
    assert score.asked == 1


def test_another_checkpoint_or_setting_is_scored(tmp_path, checkpoint):
    score = Scorer()
    KeptScores(tmp_path / "kept", {"layer": 0}).of("pcpo_all", checkpoint, score)
    KeptScores(tmp_path / "kept", {"layer": 1}).of("pcpo_all", checkpoint, score)
    KeptScores(tmp_path / "kept", {"layer": 1}).of("pcpo_few", checkpoint, score)
    (checkpoint / SUMS).write_text("abd  weights\n")
    KeptScores(tmp_path / "kept", {"layer": 1}).of("pcpo_few", checkpoint, score)
    assert score.asked == 4


def test_a_flipped_bit_anywhere_is_scored_again(tmp_path, checkpoint):
    kept = KeptScores(tmp_path / "kept", {})
    first = kept.of("pcpo_all", checkpoint, Scorer())
    [file] = (tmp_path / "kept").iterdir()
    whole = file.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        file.write_bytes(damaged)
        score = Scorer()
        np.testing.assert_array_equal(kept.of("pcpo_all", checkpoint, score), first)
        assert score.asked == 1
        assert file.read_bytes() == whole


def test_a_torn_file_is_scored_again(tmp_path, checkpoint):
    score = Scorer()
    kept = KeptScores(tmp_path / "kept", {})
    kept.of("pcpo_all", checkpoint, score)
    [file] = (tmp_path / "kept").iterdir()
    for torn in (file.read_bytes()[:-8], b""):
        file.write_bytes(torn)
        assert len(kept.of("pcpo_all", checkpoint, score)) == 2
    assert score.asked == 3
    (tmp_path / "kept" / f"x.npy.{socket.gethostname()}-4194399.part").touch()  # no such process
    kept.tidy()
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [file.name]
