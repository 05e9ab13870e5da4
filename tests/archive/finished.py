"""A finished run of two experiments, with planted frames and drawn noise for images."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from pcpo.archive.bundle import FORMAT, digests, write
from pcpo.cli import archive, claims, compare, figure, report, table
from pcpo.config import load_experiment, load_experiments
from pcpo.evaluation.images import write_images
from pcpo.paths import FIGURES, Paths
from pcpo.records import frames
from tests.claims import planted

NAMES = ("04_ddpo_bertscore", "07_dancegrpo_sd15_pickscore")
FRAMES = ("updates", "timesteps", "validation", "overall", "per_prompt", "selection", "alignment")
P = Paths("smoke")
TABLE, FIGURE = "table9", "samples_bertscore"


def finish():
    """Fill results/smoke of the current folder as a run of `NAMES` leaves it, to the report."""
    experiments = [load_experiment(name, "smoke") for name in NAMES]
    # Of all, as some frames have rows of some experiments only.
    planned = planted.frames(load_experiments("smoke"), 1)
    for experiment in experiments:
        named = {"experiment": experiment.name, "seed": 0}
        for frame in FRAMES:
            rows, spec = planned[frame], frames.BY_NAME[frame]
            rows = rows[rows["experiment"] == experiment.name]
            if frame in ("updates", "timesteps", "validation"):
                for arm in experiment.arms:
                    put(getattr(P, frame).format(arm=arm, **named), rows[rows["arm"] == arm], spec)
            elif frame != "alignment" or experiment.alignment:
                put(getattr(P, frame).format(**named), rows, spec)
        for arm in experiment.arms:
            rows = pd.DataFrame({"epoch": [1, 2], "folder": ["a", "b"]})
            put(P.manifest.format(arm=arm, **named), rows)
            run = P.run.format(arm=arm, **named)
            text(f"{run}/checkpoints/epoch_00002/model.safetensors", "weights")
            text(f"{run}/resume/epoch_00002/state.safetensors", "state")
            event = {"time": "2026-01-31T12:00:00+00:00", "event": "finished", "process": "1"}
            text(f"{run}/history.jsonl", json.dumps(event) + "\n")
    credit = planned["credit"]
    put(P.credit, credit[credit["experiment"].isin(NAMES)], frames.CREDIT)
    put(P.readings, planned["readings"], frames.READINGS)
    for number, folder in enumerate(rows_of_grid().values()):
        noise = np.random.default_rng(number).integers(0, 256, (24, 3, 8, 8), np.uint8)
        names = [(i, f"prompt {i}", seed) for i in range(6) for seed in range(4)]
        write_images(Path(folder), names, list(noise))
    for name in ("accuracy", "rewards", "headroom"):
        put(P.synthetic(f"{name}.csv"), pd.DataFrame({"model": ["sd14"], "colour": [0.5]}))
    text(P.synthetic("sd14/unet/weights.safetensors"), "weights")
    text(f"{P.root}/embeddings/x/prompt.safetensors", "features")
    text(f"{P.root}/tables/table1.csv", "of a run with other experiments\n")
    run = P.run.format(arm="pcpo", experiment=NAMES[0], seed=0)
    record("train", "04_ddpo_bertscore_pcpo_0", 1, wrote=[run],
           command=["04_ddpo_bertscore", "pcpo", "--out", run])  # fmt: skip
    frame, stem = P.alignment.format(experiment=NAMES[1], seed=0), P.table.format(table=TABLE)
    record("table", TABLE, 3, read=[frame], wrote=[stem],
           command=[TABLE, "--alignment", frame, "--out", stem])  # fmt: skip
    draw()


def draw():
    """The reporting commands, as the rules call them."""
    of7 = {"experiment": NAMES[1], "seed": 0}
    frames = ["--alignment", P.alignment.format(**of7), "--selection", P.selection.format(**of7)]
    table.main([TABLE, "--scale", "smoke", *frames, "--out", P.table.format(table=TABLE)])
    rows = [f"--row={arm}={folder}" for arm, folder in rows_of_grid().items()]
    chosen = P.selection.format(experiment=NAMES[0], seed=0)
    figure.main(["sample_grid", "--scale", "smoke", "--figure", FIGURE, "--experiments", "4", *rows,
                 "--selection", chosen, "--out", P.figure.format(figure=FIGURE)])  # fmt: skip
    arms = ["--arms", *FIGURES["figure2"].arms, *FIGURES["figure2"].also]
    figure.main(["credit_weights", "--scale", "smoke", *arms, "--readings", P.readings,
                 "--out", P.figure.format(figure="figure2")])  # fmt: skip
    tables = ["--tables", f"{P.table.format(table=TABLE)}.csv"]
    compare.main(["--scale", "smoke", *tables, "--out", P.compare])
    given = ["--credit", P.credit, "--readings", P.readings]
    for frame in FRAMES:
        found = Path(P.root).rglob(f"{frame}*/*_seed0.parquet")
        if frame in ("updates", "timesteps", "validation"):
            found = Path(P.root).glob(f"runs/*/*/*/{frame}.parquet")
        elif frame == "selection":
            found = Path(P.root).glob("selection/*/*.csv")
        given += [f"--{frame.replace('_', '-')}", *sorted(map(str, found))]
    claims.main(["--scale", "smoke", *given, "--out", P.claims])
    report.main([*NAMES, "--scale", "smoke", "--out", P.report])


def pack(out=P.archive):
    """The archive of the current folder's run."""
    rows = [f"{arm}={folder}" for arm, folder in rows_of_grid().items()]
    archive.main([*NAMES, "--scale", "smoke", "--grid", FIGURE, *rows, "--out", str(out)])
    return Path(out)


def rows_of_grid():
    experiment = load_experiment(NAMES[0], "smoke")
    arms = {a: P.images.format(experiment=NAMES[0], arm=a, seed=0) for a in ("baseline", "pcpo")}
    return {"base": P.base_images.format(base=experiment.base_images)} | arms


def record(rule, job, hour, command, read=(), wrote=()):
    """A job's record as `pcpo.records.provenance` leaves it."""
    times = {
        "start": f"2026-01-31T{hour:02}:00:00+00:00",
        "end": f"2026-01-31T{hour:02}:30:00+00:00",
    }
    line = ["python", "-m", f"pcpo.cli.{rule}", *command]
    files = {"read": list(read), "wrote": list(wrote)}
    about = {"rule": rule, "job": job, "command": line, **files, **times}
    about["git"] = {"commit": "c0ffee"}
    text(f"{P.root}/provenance/{rule}/{job}.json", json.dumps(about))
    text(f"{P.root}/logs/{rule}/{job}.log", "done\n")


def put(path, frame, spec=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if spec is None:
        frame.to_csv(path, index=False)
    else:
        frames.write(frame, spec, path, "smoke")


def text(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text(content)


def small(path, contents):
    """An archive of these bytes, beside what every archive has."""
    about = {"format": FORMAT, "scale": "demo", "experiments": ["a"], "seeds": [0]}
    whole = {"archive.json": json.dumps(about).encode()} | contents
    write(path, whole, digests(whole))
    return path
