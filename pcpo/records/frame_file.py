"""The file of a frame: a table of `pcpo.records.frames`, written and read.

Rows are Parquet; files for people are CSV. `write` and `read` check the columns and the
uniqueness of the key, so tables and figures can trust every frame. A file names its scale and run,
and has a checksum (`pcpo.records.sealed`): Parquet in its metadata, under `pcpo`; CSV in its last
two columns, `scale` and `checksum`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcpo.paths import run_of
from pcpo.records.frames import SELECTION, FrameSpec
from pcpo.records.replace import write_bytes
from pcpo.records.sealed import UNSEALED, check_seal, seal

# Here and within the functions that use them: most of the package names frames, and a training
# reads and writes none before its first step.
if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Bounds of a file, which may come from someone else's archive. Our files have less than one
# value per byte; the largest, steps of 300 epochs at the paper's scale, has 300,000.
MOST_BYTES = 1_000_000_000
MOST_CELLS = 50_000_000
CELLS_PER_BYTE = 100
MOST_TEXT = 500_000_000  # characters: the columns' longest texts, times the rows
_PHYSICAL = ("BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE", "BYTE_ARRAY")

_KINDS = {"i": "iu", "f": "f", "s": "OUT", "b": "b"}
_DTYPES = {"i": "int64", "f": "float64", "s": "str", "b": "bool"}


def of_rows(rows: list[dict[str, Any]], spec: FrameSpec) -> pd.DataFrame:
    """A frame of rows with the dtypes of `spec`, even without any row."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(spec.columns))
    return frame.astype({column: _DTYPES[kind] for column, kind in spec.columns.items()})


def check(frame: pd.DataFrame, spec: FrameSpec, source: str | Path) -> None:
    """Raise ValueError if `frame` does not match `spec`; `source` names it in the message."""
    import pandas as pd

    missing = [c for c in spec.columns if c not in frame.columns]
    if missing:
        raise ValueError(
            f"{source}: the frame '{spec.name}' lacks the columns {missing}; "
            "delete the file so that the workflow makes it again"
        )
    for column, kind in spec.columns.items():
        dtype = frame[column].dtype
        found = "s" if isinstance(dtype, pd.StringDtype) else dtype.kind
        # Of pandas' own types only that of texts: others may lack values where none may.
        plain = found == "s" or not pd.api.types.is_extension_array_dtype(dtype)
        if not plain or (found != kind and found not in _KINDS[kind]):
            raise ValueError(f"{source}: column '{column}' has dtype {dtype}, expected {kind}")
    duplicated = frame.duplicated(list(spec.key))
    if duplicated.any():
        row = frame.loc[duplicated, list(spec.key)].iloc[0].to_dict()
        raise ValueError(
            f"{source}: {int(duplicated.sum())} duplicated rows for key {spec.key}, first: {row}"
        )


def write(
    frame: pd.DataFrame, spec: FrameSpec, path: str | Path, scale: str, **run: str | int
) -> None:
    """Check and write `frame` as Parquet or CSV (by the ending of `path`), all or nothing.

    scale: the scale of the results. run: experiment, arm and seed, for a file of one run, which
    may have no rows.
    """
    path = Path(path)
    check(frame, spec, path)
    frame = frame[[*spec.columns, *(c for c in frame.columns if c not in spec.columns)]]
    about = {"frame": spec.name, "scale": scale, **run, "checksum": UNSEALED}
    data = _to_csv(frame, about) if path.suffix == ".csv" else _to_parquet(frame, about)
    write_bytes(path, seal(data))


def _to_csv(frame: pd.DataFrame, about: Mapping[str, str | int]) -> bytes:
    """Each row repeats what the file is, so that any program can read the CSV."""
    described = {column: about[column] for column in _IN_CSV}
    return frame.assign(**described).to_csv(index=False).encode()


def _to_parquet(frame: pd.DataFrame, about: Mapping[str, str | int]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, data = pa.Table.from_pandas(frame, preserve_index=False), io.BytesIO()
    with pq.ParquetWriter(data, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_IN_PARQUET: json.dumps(about)})
    return data.getvalue()


_IN_PARQUET = "pcpo"  # the key of a file's own description
_IN_CSV = ["scale", "checksum"]


def _read_csv(data: bytes, spec: FrameSpec) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Text columns stay text: an empty cell is "", and "NA" is no missing value."""
    import pandas as pd

    texts = {c: "str" for c, kind in spec.columns.items() if kind == "s"}
    texts |= dict.fromkeys(_IN_CSV, "str")
    others = [c for c in pd.read_csv(io.BytesIO(data), nrows=0).columns if c not in texts]
    missing = {c: ["", "nan"] for c in others}
    frame = pd.read_csv(io.BytesIO(data), dtype=texts, na_values=missing, keep_default_na=False)
    return frame.drop(columns=_IN_CSV), {"frame": spec.name, "scale": frame["scale"].iloc[0]}


def _read_parquet(data: bytes, spec: FrameSpec) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A Parquet file of at most MOST_CELLS and MOST_TEXT. Raises ValueError for any other.

    Constant columns take no room in a file, so a file of a few kB can contain any number of rows.
    The size is therefore checked before rows are read: the number of rows, plain columns, a low
    compression ratio, and then the longest text of each column.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(data)) as file:
        about = file.metadata
    cells, size = about.num_rows * about.num_columns, len(data)
    if cells > min(MOST_CELLS, CELLS_PER_BYTE * size):
        raise ValueError(f"{cells:,} values in {size:,} bytes are more than a frame has")
    columns = [about.schema.column(i) for i in range(about.num_columns)]
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    codecs = {group.column(i).compression for group in groups for i in range(len(columns))}
    if any(c.max_repetition_level or c.physical_type not in _PHYSICAL for c in columns):
        raise ValueError("a frame has columns of numbers and texts alone")
    if not codecs <= {"SNAPPY", "UNCOMPRESSED"}:
        raise ValueError(f"packed as {', '.join(sorted(codecs))}, where a frame is as SNAPPY")
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    if texts:
        distinct = pq.read_table(pa.BufferReader(data), columns=texts, read_dictionary=texts)
        length = sum(_longest(distinct.column(name)) for name in texts)
        if length * about.num_rows > MOST_TEXT:
            raise ValueError(f"its texts are longer than {MOST_TEXT:,} characters")
    return pd.read_parquet(io.BytesIO(data)), _description(about.metadata or {})


def _description(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """A Parquet file's description of itself."""
    text = metadata.get(_IN_PARQUET.encode(), b"")
    described = json.loads(text) if len(text) <= 10_000 else None
    if not isinstance(described, dict):
        raise ValueError("it has no description of its content")
    return described


def _longest(column: pa.ChunkedArray) -> int:
    """Bytes of the longest text of a column that was read as a dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = [c.dictionary if pa.types.is_dictionary(c.type) else c for c in column.chunks]
    return max((pc.max(pc.binary_length(chunk)).as_py() or 0 for chunk in chunks), default=0)


def read(
    paths: str | Path | Iterable[str | Path],
    spec: FrameSpec,
    scale: str | None = None,
    experiments: Collection[str] | None = None,
) -> pd.DataFrame:
    """Read one file or several into one checked frame.

    scale: the scale that every file must have. experiments: each file must have rows of one of
    them. Also, a file in a run's place in the workflow must be of that run.

    Raises FileNotFoundError for a missing file, and ValueError for a file that is damaged, of
    another scale or run, cannot be read, lacks a column, or repeats a key.
    """
    import pandas as pd

    places = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    frames = [_read_one(path, spec, scale, experiments) for path in places]
    if not frames:
        return pd.DataFrame({c: pd.Series(dtype=object) for c in spec.columns})
    frame = pd.concat(frames, ignore_index=True)
    if len(frames) > 1:
        check(frame, spec, ", ".join(_sharing(places, frames, spec.key)))
    return frame


def _read_one(
    path: Path, spec: FrameSpec, scale: str | None, experiments: Collection[str] | None
) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(f"{path}: the frame '{spec.name}' is missing")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path}: has more than the {MOST_BYTES:,} bytes that a frame may have")
    data = path.read_bytes()
    try:
        check_seal(data)
        frame, described = (_read_csv if path.suffix == ".csv" else _read_parquet)(data, spec)
    except (MemoryError, ImportError):  # not damaged
        raise
    except Exception as error:
        raise ValueError(
            f"{path}: cannot be read as the frame '{spec.name}' ({error}); "
            "delete the file so that the workflow makes it again"
        ) from error
    check(frame, spec, path)
    _check_whose(path, frame, described, spec, scale, experiments)
    return frame


def _check_whose(
    path: Path,
    frame: pd.DataFrame,
    described: Mapping[str, Any],
    spec: FrameSpec,
    scale: str | None,
    experiments: Collection[str] | None,
) -> None:
    """Raise ValueError for a frame of the wrong kind, scale or run."""
    if described.get("frame") != spec.name:
        raise _of_another(path, "kind", [str(described.get("frame"))], [spec.name])
    if scale is not None and spec.of_scale and described.get("scale") != scale:
        raise _of_another(path, "scale", [str(described.get("scale"))], [scale])
    found = _held(frame, described, "experiment")
    if experiments is not None and found and not found & set(experiments):
        raise _of_another(path, "experiment", found, experiments)
    for key, name in run_of(path).items():
        if (found := _held(frame, described, key)) - {name}:
            raise _of_another(path, key, found, [name])


def _held(frame: pd.DataFrame, described: Mapping[str, Any], key: str) -> set[str]:
    """The experiments, arms or seeds of a frame: from its rows, else from its description."""
    if key in frame and len(frame):
        return set(map(str, frame[key].unique()))
    return {str(described[key])} if key in described else set()


def _of_another(
    path: Path, key: str, found: Collection[str], needed: Collection[str]
) -> ValueError:
    names = [", ".join(f"'{n}'" for n in sorted(some)[:3]) for some in (found, needed)]
    return ValueError(
        f"{path}: is of {key} {names[0]}, where {names[1]} is needed; if it is in the place of "
        "another, delete it so that the workflow makes that again"
    )


def _sharing(places: list[Path], frames: list[pd.DataFrame], key: Collection[str]) -> list[str]:
    """The files that have a key in common; all files if none have."""
    import pandas as pd

    parts = zip(places, frames, strict=True)
    rows = pd.concat([f[list(key)].assign(**{_FILE: str(path)}) for path, f in parts])
    repeated = rows[rows.duplicated(list(key), keep=False)][_FILE].unique()
    return sorted(repeated) or [str(path) for path in places]


_FILE = "the file"  # not a column of any frame


def selected_epoch(path: str | Path, arm: str, scale: str, experiment: str) -> int:
    """The epoch that a selection file gives an arm; ValueError if it does not have the arm."""
    selection = read(path, SELECTION, scale, [experiment])
    epochs = dict(zip(selection["arm"], selection["epoch"].astype(int).tolist(), strict=True))
    if arm not in epochs:
        raise ValueError(f"{path}: has no row for arm '{arm}', only {', '.join(epochs)}")
    return epochs[arm]
