"""The tidy tables that rules hand to one another: columns, units and keys, in one place.

Rows go to Parquet, what a person opens goes to CSV. `write` and `read` check the columns and the
uniqueness of the key, so a table or a figure can trust any frame that it was given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pcpo.replace import new_file


@dataclass(frozen=True)
class FrameSpec:
    """`columns` maps a column's name to its dtype kind: i(nteger), f(loat), s(tring), b(oolean)."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]


_RUN = {"experiment": "s", "arm": "s", "seed": "i"}

# One row per gradient update of a training run.
UPDATES = FrameSpec(
    "updates",
    ("experiment", "arm", "seed", "epoch", "update"),
    _RUN
    | {
        "epoch": "i",  # 1-based; one epoch is one iteration of sampling and updates
        "update": "i",  # 1-based within the epoch; update 1 is on-policy
        "loss": "f",
        "reward_mean": "f",  # over all images of the epoch (the same in each of its updates)
        "reward_std": "f",
        "images": "i",  # images sampled in the epoch
        "ratio_from": "s",  # sampler or matching: how the arm computes its log ratio
        "clip_fraction": "f",  # two-sided: mean(|log ratio| > clip range) over this update
        "gated_fraction": "f",  # one-sided: share of terms whose gradient is off
        "log_ratio_mean": "f",
        "log_ratio_std": "f",
        "ratio_mean": "f",
        "ratio_std": "f",
        "log_ratio_q00": "f",  # quantiles of the log ratio over images and trained timesteps
        "log_ratio_q01": "f",
        "log_ratio_q05": "f",
        "log_ratio_q25": "f",
        "log_ratio_q50": "f",
        "log_ratio_q75": "f",
        "log_ratio_q95": "f",
        "log_ratio_q99": "f",
        "log_ratio_q100": "f",
        "clip_range": "f",
        "grad_norm": "f",  # before clipping
        "gradient_abs_mean": "f",  # mean and variance of |g| over the denoiser's first trained
        "gradient_abs_var": "f",  # layer, before clipping (Figure 11)
        "kl": "f",  # Flow-GRPO's estimate; NaN where the experiment has no KL term
        "learning_rate": "f",
        "seconds": "f",  # wall time of the update; update 1 includes the sampling of the epoch
    },
)

# One row per gradient update and sampler step that it trained.
TIMESTEPS = FrameSpec(
    "timesteps",
    ("experiment", "arm", "seed", "epoch", "update", "step"),
    _RUN
    | {
        "epoch": "i",
        "update": "i",
        "step": "i",  # 0-based, sampling order (noisy first)
        "timestep": "f",  # 0..1000
        "terms": "i",  # images whose step this was
        "log_ratio_mean": "f",
        "log_ratio_std": "f",
        "clip_fraction": "f",  # two-sided, as in UPDATES
        "gated_fraction": "f",  # one-sided
    },
)

# One row per validation: the reward on fixed prompts, by the weights that checkpoints hold.
VALIDATION = FrameSpec(
    "validation",
    ("experiment", "arm", "seed", "epoch"),
    _RUN
    | {
        "epoch": "i",  # 0: the base model
        "images": "i",
        "reward_mean": "f",
        "reward_std": "f",
    },
)

_SCHEDULE = {
    "step": "i",  # 0-based, sampling order (noisy first)
    "timestep": "f",  # 0..1000
    "interval": "f",  # integration interval: 1/T for diffusion, dt for flow
    "sigma": "f",  # standard deviation added by the step
    "native_sigma": "f",
    "native_weight": "f",  # w of Eq. (4) / (8)
    "weight": "f",  # w that the arm trains with
    "own_weight": "f",  # w of the sampler that runs, under the arm's sigma
    "sum_weight": "f",  # DDIM: (c1 + c2) / sigma of that sampler; NaN for flow
    "trained": "b",
    "feasible": "b",  # whether a sigma exists that solves the arm's equation
}

# One row per timestep of a sampler under an arm's credit schedule.
CREDIT = FrameSpec(
    "credit",
    ("experiment", "arm", "step"),
    {"experiment": "s", "arm": "s"} | _SCHEDULE,
)

# The same on the paper's own samplers, whatever the scale (Figure 2).
READINGS = FrameSpec(
    "readings",
    ("sampler", "reading", "step"),
    {"sampler": "s", "reading": "s"}  # ddim_50, dance_16, flow_10; an arm
    | _SCHEDULE
    | {"target": "f"},  # the number that the schedule is made from (pcpo.credit.CreditSchedule)
)

# One row per experiment and arm: which checkpoint stands for it, and why.
SELECTION = FrameSpec(
    "selection",
    ("experiment", "arm", "seed"),
    _RUN
    | {
        "level": "f",  # reward level tau at which the runs are compared
        "level_reached": "b",
        "crossing_epoch": "i",  # first crossing of the trailing mean; -1 where never
        "epoch": "i",  # the selected checkpoint
        "validation_reward": "f",
        "validation_se": "f",
        "difference": "f",  # to the baseline's validation reward, paired by (prompt, seed)
        "difference_se": "f",
        "tolerance": "f",
        "matched": "b",
        "bracketed": "b",  # sparse checkpoints: nearest with a reward not below the baseline's
        "reason": "s",
    },
)

# Metrics of a policy's evaluation images against the base model's, one row per metric.
# arm is "base", "baseline", "pcpo", ...; `metric` is the slot of the paper's table
# (fid, fd_dinov2, is_star, lpips_diversity), `measured` says what was really computed.
_METRIC = _RUN | {
    "metric": "s",
    "measured": "s",
    "value": "f",
    "images": "i",
    "reference_images": "i",
    "dimensions": "i",  # of the features
}
METRICS_OVERALL = FrameSpec("metrics_overall", ("experiment", "arm", "seed", "metric"), _METRIC)
METRICS_PER_PROMPT = FrameSpec(
    "metrics_per_prompt",
    ("experiment", "arm", "seed", "metric", "prompt_id"),
    _METRIC | {"prompt_id": "i", "prompt": "s"},
)

# Alignment scores of Tables 5 and 9, one row per image and score. `checkpoint` says which pair the
# arm's checkpoint belongs to: "published" (the epochs that the paper compares, or the last
# checkpoints up to them), "matched" (those of `SELECTION`); "base" for the base model. A checkpoint
# that is of both pairs has both rows, with the same values.
ALIGNMENT = FrameSpec(
    "alignment",
    ("experiment", "arm", "seed", "checkpoint", "dataset", "score", "prompt_id", "image"),
    _RUN
    | {
        "checkpoint": "s",  # published, matched or base
        "epoch": "i",  # of the checkpoint; 0 for the base model
        "dataset": "s",  # coco, mjhq, pick_eval
        "score": "s",  # hpsv2_1, hpsv2, aesthetic, clipscore, pickscore, imagereward
        "prompt_id": "i",
        "image": "i",  # image number (seed) within the prompt
        "value": "f",
    },
)

# What rules and commands call the frames that tables, figures and claims are made of.
BY_NAME = {
    "updates": UPDATES,
    "timesteps": TIMESTEPS,
    "validation": VALIDATION,
    "overall": METRICS_OVERALL,
    "per_prompt": METRICS_PER_PROMPT,
    "selection": SELECTION,
    "alignment": ALIGNMENT,
    "credit": CREDIT,
    "readings": READINGS,
}

# Bounds of a Parquet file, which may come from an archive of someone else. Ours have less than one
# value a byte; the largest, steps of 300 epochs at the paper's scale, has 300,000.
MOST_CELLS = 50_000_000
CELLS_PER_BYTE = 100
MOST_TEXT = 500_000_000  # characters: of the longest texts in each of its rows
_PHYSICAL = ("BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE", "BYTE_ARRAY")

_KINDS = {"i": "iu", "f": "f", "s": "OUT", "b": "b"}
_DTYPES = {"i": "int64", "f": "float64", "s": "str", "b": "bool"}


def of_rows(rows: list[dict[str, Any]], spec: FrameSpec) -> pd.DataFrame:
    """A frame of rows with the dtypes of `spec`, also where there is none."""
    frame = pd.DataFrame(rows, columns=list(spec.columns))
    return frame.astype({column: _DTYPES[kind] for column, kind in spec.columns.items()})


def check(frame: pd.DataFrame, spec: FrameSpec, source: str | Path) -> None:
    """Raise ValueError if `frame` is not what `spec` says; `source` names it in the message."""
    missing = [c for c in spec.columns if c not in frame.columns]
    if missing:
        raise ValueError(
            f"{source}: the frame '{spec.name}' lacks the columns {missing}; "
            "delete the file so that the workflow makes it anew"
        )
    for column, kind in spec.columns.items():
        dtype = frame[column].dtype
        found = "s" if isinstance(dtype, pd.StringDtype) else dtype.kind
        if found != kind and found not in _KINDS[kind]:
            raise ValueError(f"{source}: column '{column}' has dtype {dtype}, expected {kind}")
    duplicated = frame.duplicated(list(spec.key))
    if duplicated.any():
        row = frame.loc[duplicated, list(spec.key)].iloc[0].to_dict()
        raise ValueError(
            f"{source}: {int(duplicated.sum())} duplicated rows for key {spec.key}, first: {row}"
        )


def write(frame: pd.DataFrame, spec: FrameSpec, path: str | Path) -> None:
    """Check and write `frame` as Parquet or CSV (by the ending of `path`), all or nothing."""
    path = Path(path)
    check(frame, spec, path)
    frame = frame[[*spec.columns, *(c for c in frame.columns if c not in spec.columns)]]
    with new_file(path) as part:
        if path.suffix == ".csv":
            frame.to_csv(part, index=False)
        else:
            frame.to_parquet(part, index=False)


def _read_csv(path: Path, spec: FrameSpec) -> pd.DataFrame:
    """Columns of texts stay texts: an empty one is "", and "NA" is no missing value."""
    texts = {c: "str" for c, kind in spec.columns.items() if kind == "s"}
    others = [c for c in pd.read_csv(path, nrows=0).columns if c not in texts]
    missing = {c: ["", "nan"] for c in others}
    return pd.read_csv(path, dtype=texts, na_values=missing, keep_default_na=False)


def _read_parquet(path: Path) -> pd.DataFrame:
    """A Parquet file of at most MOST_CELLS and MOST_TEXT. Raises ValueError for any other.

    Constant columns take no room in a file, so that one of some kB can stand for any number of
    rows. What says how much there is, is checked before rows are read: their number, plain columns,
    a compression that gains little; then the longest text of each column.
    """
    with pq.ParquetFile(path) as file:
        about = file.metadata
    cells, size = about.num_rows * about.num_columns, path.stat().st_size
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
        distinct = pq.read_table(path, columns=texts, read_dictionary=texts)
        length = sum(_longest(distinct.column(name)) for name in texts)
        if length * about.num_rows > MOST_TEXT:
            raise ValueError(f"its texts are longer than {MOST_TEXT:,} characters")
    return pd.read_parquet(path)


def _longest(column: pa.ChunkedArray) -> int:
    """Bytes of the longest text of a column that was read as a dictionary."""
    chunks = [c.dictionary if pa.types.is_dictionary(c.type) else c for c in column.chunks]
    return max((pc.max(pc.binary_length(chunk)).as_py() or 0 for chunk in chunks), default=0)


def read(paths: str | Path | Iterable[str | Path], spec: FrameSpec) -> pd.DataFrame:
    """Read one file or several into one checked frame.

    Raises FileNotFoundError for a missing file and ValueError for one that cannot be read, lacks a
    column, or repeats a key.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    frames = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: the frame '{spec.name}' is missing")
        try:
            frame = _read_csv(path, spec) if path.suffix == ".csv" else _read_parquet(path)
        except Exception as error:
            raise ValueError(
                f"{path}: cannot be read as the frame '{spec.name}' ({error}); "
                "delete the file so that the workflow makes it anew"
            ) from error
        check(frame, spec, path)
        frames.append(frame)
    if not frames:
        return pd.DataFrame({c: pd.Series(dtype=object) for c in spec.columns})
    frame = pd.concat(frames, ignore_index=True)
    check(frame, spec, f"{len(frames)} files of '{spec.name}'")
    return frame


def selected_epoch(path: str | Path, arm: str) -> int:
    """The epoch that a selection file gives an arm; ValueError if it does not have the arm."""
    selection = read(path, SELECTION)
    epochs = dict(zip(selection["arm"], selection["epoch"].astype(int).tolist(), strict=True))
    if arm not in epochs:
        raise ValueError(f"{path}: has no row for arm '{arm}', only {', '.join(epochs)}")
    return epochs[arm]
