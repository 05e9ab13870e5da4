import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcpo.paths import Paths
from pcpo.records import frame_file, frames
from pcpo.records.frames import FrameSpec
from pcpo.records.sealed import UNSEALED, seal
from tests import fabricated

SPEC = FrameSpec(
    "example", ("name", "k"), {"name": "s", "k": "i", "value": "f", "good": "b", "note": "s"}
)


def example(**columns):
    data = {
        "name": ["a", "a", "b"],
        "k": [0, 1, 0],
        "value": [0.1 + 0.2, float("nan"), 1e-300],
        "good": [True, False, True],
        "note": ["", "", ""],
    }
    return pd.DataFrame(data | columns)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_round_trip_keeps_values_and_kinds(tmp_path, suffix):
    path = tmp_path / "deeper" / f"frame{suffix}"
    frame_file.write(example(extra=[1, 2, 3]), SPEC, path, "demo")
    back = frame_file.read(path, SPEC)
    assert list(back.columns) == [*SPEC.columns, "extra"]
    pd.testing.assert_frame_equal(back, example(extra=[1, 2, 3]), check_exact=True)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_texts_that_look_like_missing_values_stay_texts(tmp_path):
    texts = ["NA", "null", "1.5"]
    frame_file.write(example(note=texts), SPEC, tmp_path / "frame.csv", "demo")
    assert frame_file.read(tmp_path / "frame.csv", SPEC)["note"].tolist() == texts


def test_several_files_are_one_frame(tmp_path):
    paths = [tmp_path / "1.csv", tmp_path / "2.parquet"]
    frame_file.write(example(), SPEC, paths[0], "demo")
    frame_file.write(example(name=["c", "c", "d"]), SPEC, paths[1], "demo")
    assert frame_file.read(paths, SPEC)["name"].tolist() == ["a", "a", "b", "c", "c", "d"]
    assert list(frame_file.read([], SPEC).columns) == list(SPEC.columns)


def test_a_key_repeated_across_files_is_refused(tmp_path):
    for name in ("1.csv", "2.csv"):
        frame_file.write(example(), SPEC, tmp_path / name, "demo")
    frame_file.write(example(name=["c", "c", "d"]), SPEC, tmp_path / "3.csv", "demo")
    with pytest.raises(ValueError, match=r"1\.csv, [^,]*2\.csv: 3 duplicated rows"):
        frame_file.read([tmp_path / f"{n}.csv" for n in (1, 3, 2)], SPEC)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_missing_column_is_named_with_its_file(tmp_path, suffix):
    path = tmp_path / f"frame{suffix}"
    kept = {c: kind for c, kind in SPEC.columns.items() if c not in ("value", "note")}
    older = dataclasses.replace(SPEC, columns=kept)
    frame_file.write(example().drop(columns=["value", "note"]), older, path, "demo")
    with pytest.raises(ValueError, match=r"frame.*'example' lacks the columns \['value', 'note'\]"):
        frame_file.read(path, SPEC)


def test_duplicates_and_wrong_kinds_are_not_written(tmp_path):
    path = tmp_path / "frame.parquet"
    with pytest.raises(ValueError, match=r"frame.parquet: 1 duplicated rows .*'name': 'a'"):
        frame_file.write(example(k=[0, 0, 0]), SPEC, path, "demo")
    with pytest.raises(ValueError, match=r"frame.parquet: column 'k' has dtype"):
        frame_file.write(example(k=[0.0, 1.0, 0.0]), SPEC, path, "demo")
    assert not list(tmp_path.iterdir())


def test_missing_and_truncated_files_are_named(tmp_path):
    path = tmp_path / "frame.parquet"
    with pytest.raises(FileNotFoundError, match=r"frame\.parquet: the frame 'example' is missing"):
        frame_file.read(path, SPEC)
    frame_file.write(example(), SPEC, path, "demo")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"frame\.parquet: cannot be read .* delete the file"):
        frame_file.read(path, SPEC)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv: cannot be read"):
        frame_file.read(tmp_path / "empty.csv", SPEC)


def test_the_tidy_tables_take_their_own_rows(tmp_path):
    overall, per_prompt = fabricated.metrics([1, 2])
    cases = [
        (frames.UPDATES, fabricated.updates({"baseline": [1.0, 2.0]})),
        (frames.SELECTION, fabricated.selection([1, 2], matched=True)),
        (frames.METRICS_OVERALL, overall),
        (frames.METRICS_PER_PROMPT, per_prompt),
        (frames.ALIGNMENT, fabricated.alignment([5])),
        (frames.CREDIT, fabricated.credit([2])),
    ]
    for spec, frame in cases:
        frame_file.write(frame, spec, tmp_path / f"{spec.name}.csv", "demo")
        assert len(frame_file.read(tmp_path / f"{spec.name}.csv", spec)) == len(frame)


@pytest.mark.parametrize("kind", ["rows", "texts", "lists", "codec"])
def test_a_small_file_does_not_become_a_large_frame(tmp_path, kind, monkeypatch):
    """Constant columns take no room in Parquet: some kB can hold any number of rows."""
    rows = 10**7 if kind == "rows" else 1000
    column = pa.array(np.zeros(rows, np.int64))
    if kind == "texts":
        column = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["x" * 10**6])
    elif kind == "lists":
        column = pa.array([[0] * 1000] * rows)
    codec = "zstd" if kind == "codec" else "snappy"
    file = tmp_path / "credit.parquet"
    table = pa.table({"step": column}).replace_schema_metadata({"pcpo": UNSEALED})
    pq.write_table(table, file, compression=codec, row_group_size=rows)
    file.write_bytes(seal(file.read_bytes()))  # as who sends it can
    assert file.stat().st_size < 10**5
    opened = []
    monkeypatch.setattr(pd, "read_parquet", opened.append)
    message = {
        "rows": "10,000,000 values in",
        "texts": "texts are longer than 500,000,000",
        "lists": "columns of numbers and texts alone",
        "codec": "packed as ZSTD",
    }
    with pytest.raises(ValueError, match=rf"credit\.parquet: cannot be read .*{message[kind]}"):
        frame_file.read(file, frames.CREDIT)
    assert opened == []


def test_bounds_of_a_frame_are_far_from_real_ones(tmp_path):
    """The paper's longest training, with the least that a column can take, and a long text."""
    rows = [{"epoch": e, "update": u, "step": s} for e in range(300) for u in (1, 2)
            for s in range(50)]  # fmt: skip
    frame = pd.DataFrame(rows).assign(
        experiment="10_dancegrpo_flux_uniform", arm="half_timesteps", seed=0, timestep=0.0,
        terms=1, log_ratio_mean=0.0, log_ratio_std=0.0, clip_fraction=0.0,
    )  # fmt: skip
    for column in set(frames.TIMESTEPS.columns) - set(frame):
        frame[column] = 0.0
    frame_file.write(frame, frames.TIMESTEPS, tmp_path / "t.parquet", "demo")
    assert len(frame_file.read(tmp_path / "t.parquet", frames.TIMESTEPS)) == 30_000


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_flipped_bit_anywhere_is_refused(tmp_path, suffix):
    """In the header, in each column, in the footer, in the checksum itself."""
    path = tmp_path / f"frame.{suffix}"
    frame_file.write(example(), SPEC, path, "demo", seed=0)
    whole = path.read_bytes()
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"frame\.{suffix}: cannot be read .*delete the file"):
            frame_file.read(path, SPEC)
    path.write_bytes(whole)
    assert len(frame_file.read(path, SPEC)) == 3


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_frame_without_a_checksum_is_refused(tmp_path, suffix):
    path = tmp_path / f"frame.{suffix}"
    example().to_csv(path) if suffix == "csv" else example().to_parquet(path)
    with pytest.raises(ValueError, match=rf"frame\.{suffix}: .*no checksum.*delete the file"):
        frame_file.read(path, SPEC)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_text_may_look_like_a_checksum(tmp_path, suffix):
    path = tmp_path / f"frame.{suffix}"
    texts = ["sha256:" + "0" * 64, "sha256:", ""]
    frame_file.write(example(note=texts), SPEC, path, "demo")
    assert frame_file.read(path, SPEC)["note"].tolist() == texts


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in ("1.parquet", "2.parquet"):
        frame_file.write(example(), SPEC, tmp_path / name, "demo")
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_frame_of_another_scale_or_experiment_is_refused(tmp_path, suffix):
    path = tmp_path / f"selection.{suffix}"
    frame_file.write(fabricated.selection([5]), frames.SELECTION, path, "smoke")
    name = fabricated.selection([5])["experiment"].iloc[0]
    assert len(frame_file.read(path, frames.SELECTION, "smoke", [name, "other"])) == 2
    with pytest.raises(ValueError, match=rf"{suffix}: is of scale 'smoke', where 'demo' is needed"):
        frame_file.read(path, frames.SELECTION, "demo", [name])
    with pytest.raises(ValueError, match=rf"{suffix}: is of experiment '{name}', where 'other' is"):
        frame_file.read(path, frames.SELECTION, "smoke", ["other"])
    if suffix == "parquet":  # the same columns may mean something else
        twin = dataclasses.replace(frames.SELECTION, name="twin")
        with pytest.raises(ValueError, match=r"is of kind 'selection', where 'twin' is needed"):
            frame_file.read(path, twin)


def test_a_frame_in_the_place_of_another_run_is_refused(tmp_path):
    """Also where it has no rows to tell."""
    places = Paths("demo", f"{tmp_path}/")
    run = {"experiment": "05_a", "arm": "pcpo", "seed": 1}
    rows = pd.DataFrame([run | {"epoch": 0, "images": 4, "reward_mean": 0.5, "reward_std": 0.1}])
    for frame in (rows, rows.iloc[:0]):
        for wrong in ({"experiment": "06_a"}, {"arm": "baseline"}, {"seed": 0}, {}):
            [(key, value)] = wrong.items() or [("", "")]
            path = places.validation.format(**run | wrong)
            frame_file.write(frame, frames.VALIDATION, path, "demo", **run)
            if not wrong:
                assert len(frame_file.read(path, frames.VALIDATION, "demo", ["05_a"])) == len(frame)
                continue
            expected_error = (
                rf"validation\.parquet: is of {key} '{run[key]}', where '{value}' is needed"
            )
            with pytest.raises(ValueError, match=expected_error):
                frame_file.read(path, frames.VALIDATION)
