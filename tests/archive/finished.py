"""A finished run of three experiments, with planted frames and drawn noise for images."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from pcpo.archive.bundle import FORMAT, digests, write
from pcpo.cli import archive, claims, compare, figure, pictures, report, table
from pcpo.config import load_experiment, load_experiments, load_scale
from pcpo.config.files import CONFIG
from pcpo.evaluation.images import write_images
from pcpo.paths import Paths
from pcpo.records import frame_file, frames, strips
from pcpo.workflow.frames import frame_options
from pcpo.workflow.targets import Targets
from tests.claims import planted

NAMES = ("04_ddpo_bertscore", "07_dancegrpo_sd15_pickscore", "02_ddpo_aesthetic")
FRAMES = ("updates", "timesteps", "validation", "overall", "per_prompt", "selection", "alignment")
P = Paths("smoke")
TABLE, FIGURE, GUIDED = "table9", "samples_bertscore", "figure14"
PICTURED, PREVIEWS = NAMES[2], 16  # its runs have previews of so many epochs


def targets():
    """What the workflow makes of these experiments."""
    experiments = {name: load_experiment(name, "smoke") for name in NAMES}
    return Targets(load_scale("smoke"), experiments, [0], P)


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
            for epoch in range(PREVIEWS) if experiment.name == PICTURED else ():
                noise = np.random.default_rng(epoch).integers(0, 256, (2, 3, 8, 8), np.uint8)
                strips.write(Path(run), epoch, ["a <b>*", "红色圆"], noise)
    credit = planned["credit"]
    put(P.credit, credit[credit["experiment"].isin(NAMES)], frames.CREDIT)
    put(P.readings, planned["readings"], frames.READINGS)
    (mixed,) = targets().guidance.frames()
    put(
        mixed,
        planned["reward_guidance"].query(f"experiment == '{NAMES[2]}'"),
        frames.REWARD_GUIDANCE,
    )
    for number, index in enumerate(targets().grid_images()):
        noise = np.random.default_rng(number).integers(0, 256, (24, 3, 8, 8), np.uint8)
        prompts = 1 if "reward_guidance" in index else 6  # figures show all of them
        names = [(i, f"prompt {i}", seed) for i in range(prompts) for seed in range(4)]
        write_images(Path(index).parent, names, list(noise[: len(names)]))
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
    for name, spec in targets().figures.items():
        options = [*map(str, targets().figure_options(name, spec))]
        given = frame_options(targets().figure_inputs(spec))
        place = P.figure.format(figure=name)
        figure.main([spec.kind, "--scale", "smoke", *options, *given, "--out", place])
    for e in targets().pictured():
        named = {"experiment": e.name, "seed": 0}
        arms = [w for a in e.arms for w in ("--arm", a, P.run.format(arm=a, **named))]
        pictures.main([e.name, "--scale", "smoke", *arms, "--out", P.pictures.format(**named)])
    tables = ["--tables", f"{P.table.format(table=TABLE)}.csv"]
    compare.main(["--scale", "smoke", *tables, "--out", P.compare])
    given = frame_options(targets().all_frames())
    claims.main(["--scale", "smoke", *given, "--out", P.claims])
    asked = ["--claims", str(CONFIG / "questions.yaml")]
    claims.main(["--scale", "smoke", *asked, *given, "--out", P.questions])
    report.main([*NAMES, "--scale", "smoke", "--out", P.report])


def pack(out=P.archive):
    """The archive of the current folder's run."""
    archive.main([*NAMES, "--scale", "smoke", *targets().grid_options(), "--out", str(out)])
    return Path(out)


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
        frame_file.write(frame, spec, path, "smoke")


def text(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text(content)


def small(path, contents):
    """An archive of these bytes, beside what every archive has."""
    about = {"format": FORMAT, "scale": "demo", "experiments": ["a"], "seeds": [0]}
    whole = {"archive.json": json.dumps(about).encode()} | contents
    write(path, whole, digests(whole))
    return path
