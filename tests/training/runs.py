"""Small runs for the tests of training, and what they leave."""

import torch
from safetensors.torch import load_file

from pcpo.config import Validation, load_arm
from pcpo.records import frame_file, frames
from pcpo.training.loop import train
from pcpo.training.observer import Observer
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder, read_manifest
from tests.small import PROMPTS, brightness, policy

HELD_OUT_PROMPTS = [*PROMPTS, "a green star"]
HELD_OUT = Validation(prompts="pick_eval", count=3, every=1, sampler="deterministic", steps=5)


def run(
    models, path, chosen, arm="pcpo", *, reward=brightness, held_out=HELD_OUT_PROMPTS,
    identity="same", adapter=0, report=None, watch=None, log=lambda message: None,
):  # fmt: skip
    """Train in a fresh policy, as a new process would; returns the updates frame.

    report: gets each row of updates. watch: run -> another observer.
    """
    folder = RunFolder(path, identity)
    with folder.lock():
        fresh = policy(models, chosen, train=True, seed=adapter)
        whole = Run(chosen, load_arm(arm), 0, fresh, reward, PROMPTS, held_out)
        observers = [Observer(update=report)] if report else []
        observers += [watch(whole)] if watch else []
        train(whole, folder, observers, log)
    return frame_file.read(path / "updates.parquet", frames.UPDATES)


def weights(path, epoch):
    [file] = read_manifest(path / "checkpoints.csv")[epoch].glob("*.safetensors")
    return load_file(file)


def same_tensors(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
