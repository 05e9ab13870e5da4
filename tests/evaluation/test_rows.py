"""Arrays on disk: what is written comes back, and half a file does not."""

import numpy as np
import pytest

from pcpo.evaluation.rows import Rows, RowWriter


@pytest.fixture
def expected():
    return np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)


@pytest.fixture
def path(tmp_path, expected):
    with RowWriter(tmp_path / "a.npy", len(expected)) as writer:
        for part in np.split(expected, [7, 8, 19]):
            writer.add(part)
    return tmp_path / "a.npy"


def test_numpy_reads_what_was_written(path, expected):
    np.testing.assert_array_equal(np.load(path), expected)
    assert [file.name for file in path.parent.iterdir()] == ["a.npy"]


@pytest.mark.parametrize(
    "which",
    [slice(3, 9), slice(15, 99), slice(4, 4), slice(None, None, 3), [3, 1, 2, 3, 19], [5]],
    ids=str,
)
def test_rows_are_those_of_the_array(path, expected, which):
    rows = Rows(path)
    assert rows.shape == expected.shape and len(rows) == 20
    found = rows[which]
    np.testing.assert_array_equal(found, expected[which])
    assert found.dtype == np.float32
    found[:] = 0  # a copy
    np.testing.assert_array_equal(np.asarray(rows, dtype=np.float64), expected.astype(float))


def test_a_file_of_numpys_own_is_read(tmp_path, expected):
    np.save(tmp_path / "b.npy", expected)
    np.testing.assert_array_equal(Rows(tmp_path / "b.npy")[4:6], expected[4:6])


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="truncated|EOF"):
        Rows(path)


def test_other_arrays_are_refused(tmp_path, expected):
    for name, array in {"fortran": np.asfortranarray(expected), "flat": expected[0]}.items():
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(ValueError, match=r"not an array \(N, d\)"):
            Rows(tmp_path / f"{name}.npy")


def test_an_error_leaves_the_file_that_was_there(path, expected):
    def stopped():
        with RowWriter(path, 4) as writer:
            writer.add(expected[:2])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [file.name for file in path.parent.iterdir()] == ["a.npy"]
    assert len(Rows(path)) == 20
