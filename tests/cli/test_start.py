"""What a command imports before it knows what to do, and the collector while it imports."""

import gc
import subprocess
import sys

import pytest

from pcpo.cli import THRESHOLD, console

HEAVY = {"torch", "diffusers", "transformers", "peft", "scipy.stats", "statsmodels"}
LIGHT = (
    *("train", "select", "generate", "evaluate", "align", "credit", "readings", "synthetic"),
    *("launch", "report", "table", "figure"),
)


def test_a_start_imports_nothing_heavy():
    modules = ", ".join(f"pcpo.cli.{name}" for name in LIGHT)
    assert run(f"import sys, {modules}; print(*({HEAVY} & set(sys.modules)))") == ""


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("pcpo.analysis.readings", {"diffusers", "transformers", "peft"}),  # the rule `credit`
        ("pcpo.training.processes", {"torch.distributed.tensor", "sympy"}),  # the rule `evaluate`
    ],
)
def test_a_measurement_imports_no_models(module, absent):
    assert run(f"import sys, {module}; print(*({absent} & set(sys.modules)))") == ""


def test_the_collector_waits_for_the_imports():
    assert run("import gc, pcpo.cli.train; print(gc.get_threshold()[0] > 10_000)") == "True"
    before = gc.get_freeze_count()
    console.setup()
    try:
        assert gc.get_freeze_count() > before
        assert gc.get_threshold() == THRESHOLD
    finally:
        gc.unfreeze()


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
