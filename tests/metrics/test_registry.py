"""Every metric of the folder, and sets that are larger than a block of memory."""

import importlib
from itertools import pairwise

import numpy as np
import pytest

from pcpo import metrics
from pcpo.evaluation.rows import Rows, RowWriter


def features(seed, count=60):
    return np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)


def of_rows():
    return [name for name in metrics.names() if metrics.load(name).of_rows]


def test_the_folder_is_the_registry():
    assert {"frechet", "inception_score", "diversity"} <= set(metrics.names())
    with pytest.raises(ValueError, match=r"No metric 'fid'; pcpo/metrics/ has diversity, frechet"):
        metrics.load("fid")


@pytest.mark.parametrize("name", metrics.names())
def test_every_metric_gives_a_number_that_depends_on_the_images(name):
    metric = metrics.load(name)
    values = []
    for seed in (1, 2):
        if metric.of_rows:
            values.append(metric.of_rows(features(seed), features(0)))
        else:
            running = metric.running()
            for part in np.split(features(seed), [20, 50]):
                running.update(part)
            values.append(running.value())
    assert np.isfinite(values).all() and values[0] != values[1]


@pytest.mark.parametrize("name", of_rows())
def test_blocks_and_files_give_the_value_of_the_whole(name, monkeypatch, tmp_path):
    own, base = features(1, count=61), features(2, count=61)
    metric = metrics.load(name).of_rows
    expected = metric(own, base)
    files = []
    for key, array in {"own": own, "base": base}.items():
        with RowWriter(tmp_path / f"{key}.npy", len(array)) as writer:
            writer.add(array)
        files.append(Rows(tmp_path / f"{key}.npy"))
    assert metric(*files) == expected
    monkeypatch.setattr(importlib.import_module(f"pcpo.metrics.{name}"), "BLOCK", 12)
    assert metric(*files) == pytest.approx(expected, rel=1e-12)
    asked = []
    monkeypatch.setattr(
        Rows, "__getitem__", lambda self, which: asked.append(which) or np.load(self.path)[which]
    )
    assert metric(*files) == pytest.approx(expected, rel=1e-12)
    sizes = [len(np.arange(61)[which]) for which in asked]
    assert max(sizes) <= 12 and len(sizes) > len(files)  # never the whole at once


def test_distance_of_many_blocks_is_exact_where_the_covariance_is_singular(monkeypatch):
    """Features that repeat and one that never varies: the roots of zeros must not add up."""
    from pcpo.metrics import frechet

    x, y = features(3, count=400).astype(float), features(4, count=400).astype(float)
    x, y = (np.column_stack([a, a[:, :3], np.full(400, 7.0)]) for a in (x, y))
    whole = frechet.frechet_distance(x, y)
    monkeypatch.setattr(frechet, "BLOCK", 1)
    assert frechet.frechet_distance(x, y) == pytest.approx(whole, rel=1e-12)
    # Repeating features scales the distance of the six: check against the doubled columns.
    scale = np.array([2, 2, 2, 1, 1, 1]) ** 0.5
    assert whole == pytest.approx(
        frechet.frechet_distance(x[:, :6] * scale, y[:, :6] * scale), rel=1e-9
    )


def test_a_block_of_rows_never_exceeds_what_it_should():
    from pcpo.metrics.frechet import _blocks

    sizes = [len(block) for block in _blocks(np.broadcast_to(np.float32(1), (10_000, 2048)))]
    assert sizes == [4096, 4096, 1808] and all(a >= b for a, b in pairwise(sizes))
