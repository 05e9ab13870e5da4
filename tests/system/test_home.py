"""The user's own folder: nothing is sent about it, nothing is left there, and it may be missing."""

import os
import subprocess
import sys

import pcpo
from tests.system.pipeline import ROOT, environment, left_at_home

# All that jobs load, and that may want a place of its own.
LIBRARIES = (
    "torch, torchvision, diffusers, transformers, accelerate, peft, huggingface_hub, onnxruntime, "
    "rapidocr, open_clip, timm, lpips, torch_fidelity, scipy, statsmodels, pandas, "
    "matplotlib.pyplot"
)


def load(folder, libraries, **variables):
    """Load them as a job does; returns what is printed."""
    done = subprocess.run(
        [sys.executable, "-c", f"import pcpo.cli.console\nimport {libraries}"], cwd=ROOT,
        env=environment(folder) | {"MPLCONFIGDIR": str(folder / "matplotlib")} | variables,
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_libraries_leave_nothing_at_home(tmp_path):
    load(tmp_path, LIBRARIES)
    assert left_at_home(tmp_path) == []


def test_libraries_need_no_home(tmp_path):
    assert load(tmp_path, "matplotlib.pyplot, onnxruntime, rapidocr", HOME="/proc/none") == ""


def test_no_library_sends_statistics():
    code = f"import os, pcpo; print([os.environ[name] for name in {pcpo.NO_STATISTICS}])"
    for value, expected in ((None, "1"), ("", "1"), ("0", "0")):
        variables = {k: v for k, v in os.environ.items() if k not in pcpo.NO_STATISTICS}
        if value is not None:
            variables |= dict.fromkeys(pcpo.NO_STATISTICS, value)
        done = subprocess.run(
            [sys.executable, "-c", code], env=variables, capture_output=True, text=True
        )
        assert done.stdout.strip() == str([expected] * len(pcpo.NO_STATISTICS))
    from huggingface_hub import constants

    assert constants.HF_HUB_DISABLE_TELEMETRY
