"""The tidy tables that rules pass to one another: columns, units and keys, in one place.

Rows are Parquet; files for people are CSV. `write` and `read` check the columns and the
uniqueness of the key, so tables and figures can trust every frame. A file names its scale and run,
and has a checksum (`pcpo.records.sealed`): Parquet in its metadata, under `pcpo`; CSV in its last
two columns, `scale` and `checksum`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcpo.paths import run_of
from pcpo.records.replace import write_bytes
from pcpo.records.sealed import UNSEALED, check_seal, seal

# Here and within the functions that use them: most of the package names frames, and a training
# reads and writes none before its first step.
if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class FrameSpec:
    """`columns` maps a column's name to its dtype kind: i(nteger), f(loat), s(tring), b(oolean).

    of_scale: False for a frame that is the same at every scale.
    """

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]
    of_scale: bool = True


_RUN = {"experiment": "s", "arm": "s", "seed": "i"}

# One row per gradient update of a training run.
UPDATES = FrameSpec(
    "updates",
    ("experiment", "arm", "seed", "epoch", "update"),
    _RUN
    | {
        "epoch": "i",  # 1-based; sampling and the gradient updates on it: the paper's iteration
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
        "terms": "i",  # images that trained this step
        "log_ratio_mean": "f",
        "log_ratio_std": "f",
        "clip_fraction": "f",  # two-sided, as in UPDATES
        "gated_fraction": "f",  # one-sided
    },
)

# One row per validation: the reward on fixed prompts, with the weights that checkpoints contain.
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

# The on-policy gradient of each trained step at a checkpoint (`pcpo.training.step_gradients`), and
# of all of them together: their sum, with neither timestep nor weight.
WHOLE = -1  # the step of that row
GRADIENTS = FrameSpec(
    "gradients",
    ("experiment", "arm", "seed", "epoch", "step"),
    _RUN
    | {
        "epoch": "i",  # of the checkpoint; 0: the base model
        "step": "i",  # 0-based, sampling order (noisy first); WHOLE: all together
        "timestep": "f",  # 0..1000
        "weight": "f",  # w with which the arm trains
        "groups": "i",  # groups of images whose gradients were compared
        "grad_norm": "f",  # of the mean gradient over all images
        "gradient_abs_mean": "f",  # mean and variance of its |g| over all trained parameters
        "gradient_abs_var": "f",
        "cosine": "f",  # with the gradient of all trained steps together
        # |mean|^2 over its variance, as the groups have it: 1 is noise alone. NaN: no variance.
        "signal_to_noise": "f",
    },
)

# At which sampler steps a reward is decided, on images of a base model (`pcpo.cli.decided`).
DECIDED = FrameSpec(
    "decided",
    ("experiment", "reward", "steps"),
    {
        "experiment": "s",
        "reward": "s",
        "steps": "i",  # how many of the sampler's, the noisiest first; 0: the initial noise alone
        "share": "f",  # of the reward's variance within a prompt that is decided by them
        "se": "f",  # of the share, over prompts
        "images": "i",
    },
)

_SCHEDULE = {
    "step": "i",  # 0-based, sampling order (noisy first)
    "timestep": "f",  # 0..1000
    "interval": "f",  # integration interval: 1/T for diffusion, dt for flow
    "sigma": "f",  # standard deviation added by the step
    "native_sigma": "f",
    "native_weight": "f",  # w of Eq. (4) / (8)
    "weight": "f",  # w with which the arm trains
    "own_weight": "f",  # w of the sampler with the arm's sigma
    "sum_weight": "f",  # DDIM: (c1 + c2) / sigma of that sampler; NaN for flow
    "trained": "b",
    "feasible": "b",  # whether the arm's equation has a solution sigma
}

# One row per timestep of a sampler under an arm's credit schedule.
CREDIT = FrameSpec(
    "credit",
    ("experiment", "arm", "step"),
    {"experiment": "s", "arm": "s"} | _SCHEDULE,
)

# The same on the paper's own samplers, at every scale (Figure 2).
READINGS = FrameSpec(
    "readings",
    ("sampler", "reading", "step"),
    {"sampler": "s", "reading": "s"}  # ddim_50, dance_16, flow_10; an arm
    | _SCHEDULE
    | {"target": "f"},  # the number that defines the schedule (pcpo.credit.CreditSchedule)
    of_scale=False,
)

# One row per experiment and arm: which checkpoint is selected, and why.
SELECTION = FrameSpec(
    "selection",
    ("experiment", "arm", "seed"),
    _RUN
    | {
        "level": "f",  # reward level tau at which the runs are compared
        "level_reached": "b",
        "crossing_epoch": "i",  # first crossing of the trailing mean; -1 if never
        "epoch": "i",  # the selected checkpoint
        "selection_reward": "f",
        "selection_reward_se": "f",
        "difference": "f",  # to the baseline's selection reward, paired by (prompt, image seed)
        "difference_se": "f",
        "tolerance": "f",
        "matched": "b",
        "bracketed": "b",  # sparse checkpoints: nearest with a reward not below the baseline's
        "reason": "s",
    },
)

# Metrics of a policy's evaluation images against the base model's, one row per metric.
# arm is "base", "baseline", "pcpo", ...; `metric` is the column of the paper's table
# (fid, fd_dinov2, is_star, lpips_diversity), `measured` names the metric that was computed.
_METRIC = _RUN | {
    "metric": "s",
    "measured": "s",
    "value": "f",
    "images": "i",
    "reference_images": "i",
    "dimensions": "i",  # of the features
}
METRICS_OVERALL = FrameSpec("metrics_overall", ("experiment", "arm", "seed", "metric"), _METRIC)
# The same of a base model's images by other samplers than its native one, whose images they are
# compared with (`pcpo.cli.samplers_compared`). The sampler `native` is that one with other noise.
SAMPLERS = FrameSpec(
    "samplers",
    ("experiment", "sampler", "metric"),
    {"experiment": "s", "sampler": "s"}
    | {key: kind for key, kind in _METRIC.items() if key not in _RUN},
)
METRICS_PER_PROMPT = FrameSpec(
    "metrics_per_prompt",
    ("experiment", "arm", "seed", "metric", "prompt_id"),
    _METRIC | {"prompt_id": "i", "prompt": "s"},
)

# Alignment scores of Tables 5 and 9, one row per image and score. `checkpoint` names the pair of
# the arm's checkpoint: "published" (the epochs that the paper compares, or the last checkpoints up
# to them), "matched" (those of `SELECTION`); "base" for the base model. A checkpoint in both pairs
# has both rows, with the same values.
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
        "image": "i",  # image seed within the prompt
        "value": "f",
    },
)

# Answers of people in the preference study (appendix B.3.3), one row per question and category.
# The rows of a rater are one session; nobody knows who it was.
PREFERENCE = FrameSpec(
    "preference",
    ("experiment", "rater", "position", "category"),
    {
        "experiment": "s",
        "rater": "i",  # 1, 2, ...
        "device": "s",  # phone, tablet, desktop
        "position": "i",  # of the question in the session, from 1
        # pair; repeat: an earlier pair with its sides exchanged; check: an image and a damaged copy
        "kind": "s",
        "category": "s",  # overall, quality, alignment
        # Of the baseline's checkpoint: lower_reward or higher_reward than PCPO's; none for checks.
        "comparison": "s",
        "seed": "i",  # of the training runs that made the images
        "pcpo_epoch": "i",
        "baseline_epoch": "i",
        "prompt_id": "i",
        "image_seed": "i",  # image of the prompt
        "side": "s",  # left or right: where PCPO's image was, in a check the intact one
        "preferred": "s",  # pcpo, baseline or tie; in a check intact, damaged or tie
        "seconds": "f",  # from the question to the answer, for all categories together
    },
)

# Images between a base model and aligned ones (`pcpo.config.reward_guidance`), one row per point of
# strengths, measure and prompt; a distance is over all images, with prompt_id -1.
REWARD_GUIDANCE = FrameSpec(
    "reward_guidance",
    ("experiment", "seed", "strength", "beside_strength", "measure", "prompt_id"),
    _RUN
    | {
        "strength": "f",  # of the experiment's aligned model: 0 is the base model, 1 that model
        "beside_strength": "f",  # of the model that it is mixed with; 0 where there is none
        "measure": "s",  # a reward, or a metric column: the distance to the base model's images
        "measured": "s",  # what was computed
        "prompt_id": "i",  # -1: over all images
        "value": "f",  # of a reward: the mean of the prompt's images
        "images": "i",
    },
)

# The names that rules and commands use for the frames of tables, figures and claims.
BY_NAME = {
    "updates": UPDATES,
    "timesteps": TIMESTEPS,
    "validation": VALIDATION,
    "gradients": GRADIENTS,
    "overall": METRICS_OVERALL,
    "per_prompt": METRICS_PER_PROMPT,
    "selection": SELECTION,
    "alignment": ALIGNMENT,
    "credit": CREDIT,
    "readings": READINGS,
    "preference": PREFERENCE,
    "reward_guidance": REWARD_GUIDANCE,
}

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
        if found != kind and found not in _KINDS[kind]:
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
    except PermissionError:  # not damaged
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
