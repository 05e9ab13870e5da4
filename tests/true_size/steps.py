"""The stages of `make test-true-size`, in order.

The full fine-tuning comes before most of the weights are written, so that its 14 GB and theirs are
never on the disk together. What is least known comes early.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from pcpo.assets.folders import MANIFEST
from pcpo.config import Experiment, load_arm
from pcpo.cost import architectures, plan
from pcpo.cost.counting import count_as_on, flops
from pcpo.cost.memory import predict_call
from pcpo.workflow.inputs import alignment_rewards
from tests.true_size import flux, held
from tests.true_size.place import Place
from tests.true_size.stages import Facts, Failure, Stage
from tests.true_size.updates import ARM, checked
from tests.true_size.watching import Usage

# Numbers of the scale's configurations
ADAPTER, PICKSCORE, OCR, FLOW, FULL = 1, 7, 8, 9, 14
FIRST_WEIGHTS = ("models/sd15", "rewards/aesthetic")
LAST_WEIGHTS = ("models/sd35m",)
# Seconds from the line with which a training goes on to its kill: within its next epoch.
GRACE = {"true": 5.0, "small": 0.0}


def stages(place: Place) -> list[Stage]:
    """All of them, for a cache folder."""
    steps = _Steps(place)
    sd15, rewards, sd35m = "weights_sd15", "weights_rewards", "weights_sd35m"
    return [
        Stage("flux", "FLUX.1-dev on the meta device: shapes, keys, adapter, memory", flux.check),
        Stage("libraries", "memory of the libraries alone", steps.libraries),
        Stage("plan", "the plan of the scale: FLOPs and memory", steps.plan),
        Stage(sd15, "write SD1.5 and the aesthetic reward", steps.weights_sd15),
        Stage("adapter_sd15", "configuration 1: train an adapter on SD1.5", steps.adapter_sd15,
              (sd15,), True),
        Stage("kill_and_resume", "kill that training, resume it, compare", steps.kill_and_resume,
              ("adapter_sd15",)),
        Stage("flops", "count the FLOPs of that training's second epoch", steps.flops,
              ("adapter_sd15",)),
        Stage("full_fine_tuning", "train all weights of SD1.5", steps.full_fine_tuning,
              ("plan", sd15), True),
        Stage(sd35m, "write SD3.5-M with its T5-XXL", steps.weights_sd35m),
        Stage("train_8", "configuration 8: an adapter on SD3.5-M by OCR", steps.train_8,
              (sd35m,), True),
        Stage(rewards, "write the other rewards and features", steps.weights_rewards),
        Stage("train_9", "configuration 9: the same by PickScore", steps.train_9,
              (sd35m, rewards), True),
        Stage("train_7", "configuration 7: train both arms by PickScore", steps.train_7,
              (sd15, rewards), True),
        Stage("select", "configuration 7: match checkpoints in reward", steps.select,
              ("train_7",), True),
        Stage("generate", "configuration 7: images of base model and arms", steps.generate,
              ("select",), True),
        Stage("evaluate", "configuration 7: features and metrics", steps.evaluate,
              ("generate",), True),
        Stage("align", "configuration 7: five alignment scores", steps.align, ("select",), True),
        Stage("tables", "tables of configuration 7", steps.tables, ("evaluate", "align")),
        Stage("compare", "the plan against what was measured", steps.compare,
              ("libraries", "plan")),
    ]  # fmt: skip


class _Steps:
    def __init__(self, place: Place) -> None:
        self.place = place

    # --- before any training --------------------------------------------------------------------

    def libraries(self) -> Facts:
        output = self.place.cache / "logs" / "libraries.log"
        output.unlink(missing_ok=True)
        self.place.python("libraries", "-m", "tests.true_size.libraries")
        return {"bytes": int(output.read_text(encoding="utf-8").split()[-1])}

    def plan(self) -> Facts:
        usage = self.place.python(
            "plan", "-m", "pcpo.cli.plan", "--scale", "true_size", "--out", "results/plan"
        )
        every, scale = self.place.experiments, self.place.scale
        arm, seven, one = load_arm(ARM), every[PICKSCORE], every[ADAPTER]
        planned = {
            "full_fine_tuning": held.training(every[FULL], arm),
            "adapter_sd15": held.training(one, arm),
            "train_7": held.training(seven, arm),
            "select": held.sampling(seven, scale, [seven.reward.name]),
            "generate": held.sampling(seven, scale),
            "align": held.sampling(seven, scale, alignment_rewards(scale, seven)),
            "train_8": held.training(every[OCR], arm),
            "train_9": held.training(every[FLOW], arm),
        }
        trained = plan.trained_steps(one, arm) * _update_tflop(one)
        epoch = one.images_per_iteration * (plan.sampling_tflop(one) + trained)
        floor = one.images_per_iteration * (
            plan.sampling_tflop(one) + plan.training_tflop(one, arm)
        )
        tflop = {"epoch_tflop": epoch, "floor_tflop": floor}
        return {"planned_gb": planned, "seconds_alone": usage.seconds} | tflop

    def _write(self, assets: Iterable[str]) -> Facts:
        started = time.monotonic()
        wanted = [a for a in assets if not (self.place.data / a / MANIFEST).exists()]
        self.place.write_weights(wanted)
        files = [f for a in wanted for f in (self.place.data / a).rglob("*") if f.is_file()]
        inodes = {file.stat().st_ino: file.stat().st_size for file in files}
        return {"bytes": sum(inodes.values()), "writing": time.monotonic() - started}

    def weights_sd15(self) -> Facts:
        return self._write(FIRST_WEIGHTS)

    def weights_rewards(self) -> Facts:
        return self._write(set(self.place.assets) - {*FIRST_WEIGHTS, *LAST_WEIGHTS})

    def weights_sd35m(self) -> Facts:
        return self._write(LAST_WEIGHTS)

    # --- trainings ------------------------------------------------------------------------------

    def full_fine_tuning(self) -> Facts:
        wanted = 1e9 * self.place.record.facts("plan")["planned_gb"]["full_fine_tuning"]
        if wanted > self.place.most and self.place.size == "true":
            return {"left_out": f"{wanted / 1e9:.1f} GB by the plan, of {self.place.most / 1e9:g}"}
        folder = self.place.run_folder(self.place.experiments[FULL], ARM)
        try:
            facts = self._train(FULL, [ARM], "full_fine_tuning")
            kept = [*folder.rglob("*.safetensors")]
            return facts | {"saved_bytes": sum(file.stat().st_size for file in kept)}
        finally:  # 14 GB that nothing needs later; the training is done again from its start
            shutil.rmtree(folder, ignore_errors=True)

    def adapter_sd15(self) -> Facts:
        experiment = self.place.experiments[ADAPTER]
        folder, copy = self.place.run_folder(experiment, ARM), self._first_epoch
        if not (folder / "checkpoints.csv").exists():  # a finished training is not done again
            shutil.rmtree(copy, ignore_errors=True)

        def keep_the_first_epoch() -> bool:
            """Beside the training, which goes on."""
            if not copy.exists() and (folder / "resume/epoch_00001").is_dir():
                for part in ("checkpoints", "resume"):
                    state = folder / part / "epoch_00001"
                    shutil.copytree(state, copy / part / "epoch_00001")
            return False

        facts = self._train(ADAPTER, [ARM], "adapter_sd15", keep_the_first_epoch)
        if not (copy / "resume").exists():
            raise Failure(f"{folder}: the state of the first epoch was not seen")
        return facts

    @property
    def _first_epoch(self) -> Path:
        """What a kill after the first epoch of configuration 1 would leave of its run."""
        return self.place.cache / "first_epoch"

    def _again(self, name: str) -> tuple[Path, list[str], Path]:
        """A copy of `_first_epoch`, the arguments of a training that goes on from it, its log."""
        folder, log = self.place.cache / name, self.place.cache / "logs" / f"{name}_training.log"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._first_epoch, folder)
        log.unlink(missing_ok=True)
        arguments = [
            self.place.experiments[ADAPTER].name, ARM, "--seed", "0", "--scale", "true_size",
            "--out", str(folder), "--log", str(log),
        ]  # fmt: skip
        return folder, arguments, log

    def kill_and_resume(self) -> Facts:
        """A training that is killed in its second epoch ends as the one that was not."""
        folder, arguments, log = self._again("killed")
        seen: list[float] = []

        def under_way() -> bool:
            if not seen and log.exists() and "resuming after epoch 1" in log.read_text("utf-8"):
                seen.append(time.monotonic())
            return bool(seen) and time.monotonic() - seen[0] > GRACE[self.place.size]

        command = ("kill_and_resume", "-m", "pcpo.cli.train", *arguments)
        self.place.python(*command, at_times=under_way, killed=True)
        usage = self.place.python(*command)
        whole = self.place.run_folder(self.place.experiments[ADAPTER], ARM)
        for file in (
            "resume/epoch_00002/state.safetensors",
            "checkpoints/epoch_00002/pytorch_lora_weights.safetensors",
        ):
            if (whole / file).read_bytes() != (folder / file).read_bytes():
                raise Failure(f"{file} of the killed training differs from the other's: {folder}")
        return {"equal": True} | _memory(usage, "pcpo.cli.train")

    def flops(self) -> Facts:
        """By torch's counter, under which sums are rounded differently: it is a run of its own."""
        _, arguments, _ = self._again("counted")
        out = self.place.cache / "logs" / "flops.json"
        self.place.python("flops", "-m", "tests.true_size.counted", str(out), *arguments)
        return {"tflop": json.loads(out.read_text(encoding="utf-8"))["flops"] / 1e12}

    def train_7(self) -> Facts:
        return self._train(PICKSCORE, self.place.experiments[PICKSCORE].arms, "train_7")

    def train_8(self) -> Facts:
        return self._train(OCR, [ARM], "train_8")

    def train_9(self) -> Facts:
        return self._train(FLOW, [ARM], "train_9")

    def _train(
        self,
        number: int,
        arms: Iterable[str],
        stage: str,
        at_times: Callable[[], bool] = lambda: False,
    ) -> Facts:
        """Trainings through the workflow's rule, and what their logs say."""
        experiment = self.place.experiments[number]
        runs = {arm: self.place.run_folder(experiment, arm) for arm in arms}
        targets = [str((run / "checkpoints.csv").relative_to(self.place.work)) for run in
                   runs.values()]  # fmt: skip
        usage = self.place.snakemake(stage, *targets, at_times=at_times)
        facts = _memory(usage, "pcpo.cli.train")
        for arm, run in runs.items():
            facts[arm] = checked(run / "updates.parquet", arm, experiment.epochs)
        return facts

    # --- measurements ---------------------------------------------------------------------------

    def _measure(self, stage: str, module: str, *targets: str) -> Facts:
        return _memory(self.place.snakemake(stage, *targets), module)

    def select(self) -> Facts:
        seven, paths = self.place.experiments[PICKSCORE], self.place.paths
        target = paths.selection.format(experiment=seven.name, seed=0)
        return self._measure("select", "pcpo.cli.select", target)

    def generate(self) -> Facts:
        seven, paths = self.place.experiments[PICKSCORE], self.place.paths
        targets = [paths.base_index.format(base=seven.base_images)]
        targets += [
            paths.image_index.format(experiment=seven.name, arm=arm, seed=0)
            for arm in seven.measured
        ]
        return self._measure("generate", "pcpo.cli.generate", *targets)

    def evaluate(self) -> Facts:
        seven, paths = self.place.experiments[PICKSCORE], self.place.paths
        target = paths.overall.format(experiment=seven.name, seed=0)
        facts = self._measure("evaluate", "pcpo.cli.evaluate", target)
        rows = pd.read_parquet(self.place.work / target)
        values = rows[rows["arm"] == ARM].set_index("metric")["value"]
        if not (values.map(pd.notna).all() and set(values.index) == set(self.place.scale.quality)):
            raise Failure(f"{target}: metrics are missing: {values.to_dict()}")
        return facts | {"values": {key: float(value) for key, value in values.items()}}

    def align(self) -> Facts:
        seven, paths = self.place.experiments[PICKSCORE], self.place.paths
        target = paths.alignment.format(experiment=seven.name, seed=0)
        facts = self._measure("align", "pcpo.cli.align", target)
        scores = pd.read_parquet(self.place.work / target).groupby("score")["value"]
        if (constant := scores.nunique() < 2).any():
            raise Failure(f"{target}: the scores of {[*constant[constant].index]} are constant")
        return facts | {"means": {str(key): float(value) for key, value in scores.mean().items()}}

    def tables(self) -> Facts:
        seven = self.place.experiments[PICKSCORE].name
        usage = self.place.snakemake("tables", "tables", "compare", experiments=[seven])
        made = sorted(file.stem for file in (self.place.results / "tables").glob("*.md"))
        if "table9" not in made:
            raise Failure(f"{self.place.results / 'tables'}: there is no table9.md")
        return {"tables": made, "together": usage.together}

    # --- at the end -----------------------------------------------------------------------------

    def compare(self) -> Facts:
        """Writes <cache>/true_size.md, which is to be copied into docs/scale.md."""
        record = self.place.record
        planned = record.facts("plan")
        libraries = record.facts("libraries")["bytes"] / 1e9
        rows, notes = [], []
        undone = [name for name in (*planned["planned_gb"], "flops") if not record.done(name)]
        for stage, gigabytes in planned["planned_gb"].items():
            if stage in undone:
                continue
            facts = record.facts(stage)
            if "left_out" in facts:
                notes.append(f"Left out: {stage}: {facts['left_out']}.")
            else:
                rows.append(held.Held(stage, gigabytes, facts["peak"] / 1e9, libraries))
        if "flops" not in undone:
            counted = record.facts("flops")["tflop"]
            notes.insert(
                0, held.flops_line(planned["epoch_tflop"], planned["floor_tflop"], counted)
            )
        notes += [f"Not done: {name}." for name in undone]
        text = "\n".join([held.table(rows), *(f"{line}\n" for line in notes)])
        (self.place.cache / "true_size.md").write_text(text, encoding="utf-8")
        print(text)
        if undone:
            raise Failure(f"{', '.join(undone)}: not done yet; the table has the others")
        if self.place.size == "small":  # nothing is as planned
            return {"rehearsal": True}
        if apart := [row.stage for row in rows if not row.agrees]:
            raise Failure(f"plan and measurement are apart in {', '.join(apart)}: see the table")
        if abs(counted / planned["epoch_tflop"] - 1) > held.FLOP_TOLERANCE:
            raise Failure("FLOPs on meta tensors differ from the run's: see below the table")
        return {"ratios": {row.stage: row.ratio for row in rows}}


def _update_tflop(experiment: Experiment) -> float:
    """TFLOP of one image's forward and backward, by torch's counter on meta tensors.

    The plan's own number is a floor: it takes the gradient of attention as one forward, the counter
    as 2.5.
    """
    policy = architectures.policy(experiment, device="meta")
    count_as_on(policy, "cpu")
    predict = predict_call(experiment, policy, 1)
    return flops(lambda: predict().square().mean().backward()) / 1e12


def _memory(usage: Usage, module: str) -> Facts:
    """The peak of a command's process, and of all processes at a time; in bytes."""
    if module not in usage.peaks:
        raise Failure(f"no process of {module} was seen; the stage's target was there before")
    return {"peak": usage.peaks[module], "together": usage.together}
