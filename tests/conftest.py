"""What tests share: small pipelines of the real classes, and places that cannot be written."""

import pcpo.cli.console  # noqa: F401  (one thread per process; before torch is imported)

# isort: split
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

# The files that take longest, in the order in which `make test` hands them out: a long file at the
# end would leave the other process idle. The one that waits for Slurm runs beside one that
# computes.
LONGEST = (
    "system/slurm/test_slurm.py",
    "system/test_workflow.py",
    "claims/test_ledger.py",
    "archive/test_from_bundle.py",
    "system/stop/test_killed.py",
    "training/test_processes.py",
    "system/test_real_scale.py",
    "system/stop/test_resume.py",
    "policies/test_compile.py",
    "cost/test_plan.py",
    "test_extend.py",
    "system/test_cluster.py",
    "archive/test_hostile.py",
    "claims/test_calibration.py",
    "system/stop/test_faults.py",
    "system/stop/test_changes.py",
    "cli/test_own_sampler.py",
)

MAY_MOUNT = os.geteuid() == 0 and shutil.which("mount") is not None


def pytest_collection_modifyitems(items):
    assert all((Path(__file__).parent / file).is_file() for file in LONGEST), LONGEST
    place = {f"tests/{file}": number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.split("::")[0], len(place)))


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """`ModelSource` of each base model by its name, in the layout that `policies.load` reads."""
    from pcpo.config import ModelSource
    from pcpo.synthetic import drawing, flux, stable_diffusion, stable_diffusion_3
    from pcpo.synthetic.vae import PatchLinearVAE

    root = tmp_path_factory.mktemp("models")
    scenes = [drawing.parse_caption(caption) for caption in drawing.CAPTIONS]
    drawings = drawing.draw(scenes, np.random.default_rng(0))
    plain, folded = (PatchLinearVAE.fit(drawings, fold=fold) for fold in (1, 2))
    pipelines = {
        "sd15": stable_diffusion.build(plain, width=16, seed=1),
        "sd35m": stable_diffusion_3.build(folded, layers=2, width=24, seed=2),
        "flux": flux.build(folded, single=1, width=24, seed=3),
    }
    for name, pipeline in pipelines.items():
        pipeline.save_pretrained(root / name)
    folders = {"sd14": "sd15"} | {name: name for name in pipelines}
    return {name: ModelSource(path=str(root / folder)) for name, folder in folders.items()}


@pytest.fixture
def mounted(tmp_path):
    """Mount a folder, with options of `mount`, for the time of a test; skips where it may not."""
    folders = []

    def mount(folder, *options):
        folder.mkdir(parents=True, exist_ok=True)
        if not MAY_MOUNT:
            pytest.skip("mounting a small disk or a read-only folder needs root")
        done = subprocess.run(["mount", *options, folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount: {done.stderr.strip()}")
        folders.append(folder)
        return folder

    yield mount
    for folder in reversed(folders):
        if f" {folder} " in Path("/proc/self/mounts").read_text():
            subprocess.run(["umount", folder], check=True)
