"""A small results/<scale> tree as the other rules leave it, with text that tries to break out."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from pcpo.claims.cells import compare
from pcpo.records.caption import Caption
from pcpo.records.values import to_json
from pcpo.tables.table import Column, Table

PUBLISHED = Path("config/paper")
HOSTILE = '<script>alert("a")</script><img src="https://example.org/x.png">'
CLAIMS = ("id", "group", "claim", "source", "quantity", "setting", "estimate", "low", "high", "n")
CLAIMS += ("verdict", "why", "claim_id", "claim_verdict", "claimed", "paper", "remark", "kind")
CLAIMS += ("primary", "judged_by")
TABLE1 = pd.DataFrame(
    {
        "row": ["configuration 2", "configuration 4", "configuration 5", "configuration 6"],
        "target_level": [5.8157, 0.44066, 0.75, 0.9],
        "baseline_epochs": [17, 20, 18, 17],
        "pcpo_epochs": [12, 19, 20, 16],
        "speedup_pct": [41.666667, 5.263158, -10.0, 6.25],
        "speedup_low": [20.0, -100.0, -20.0, -11.8],
        "speedup_high": [50.0, 100.0, -5.0, 13.3],
        "runs": [3, 3, 3, 3],
        "baseline_reached": [3, 3, 3, 3],
        "pcpo_reached": [3, 3, 3, 3],
    }
)


def pytest_configure(config):
    config.addinivalue_line("markers", "browser: needs chromium; skipped without it")


@pytest.fixture
def write_claims(tmp_path):
    def write(*rows, name="claims.csv"):
        path = tmp_path / name
        pd.DataFrame(rows, columns=list(CLAIMS)).to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def results(tmp_path):
    """`root` with two tables (1 and 9), two figures, a ledger, benchmarks and one run."""
    root = tmp_path / "results"
    columns = tuple(Column(c, c.capitalize(), "{:.4g}") for c in TABLE1.columns[1:5])
    notes = ("A first note with IS* and `code`.", f"Beware of {HOSTILE}.")
    Table("table1", f"Epochs | {HOSTILE}", TABLE1, columns, notes).write(root / "tables" / "table1")
    gains = pd.DataFrame({"row": ["PCPO base"], "hpsv2": [0.7]})
    hpsv2 = (Column("hpsv2", "HPSv2"),)
    Table("table9", "Other methods.", gains, hpsv2).write(root / "tables" / "table9")
    compare({"table1": TABLE1}, PUBLISHED, "demo").to_csv(root / "compare.csv", index=False)

    (root / "figures").mkdir()
    for name in ("figure3", "figure10"):
        Image.new("RGB", (300, 120), "steelblue").save(root / "figures" / f"{name}.png")
    below_figure = Caption("Figure 3, ours", "Reward and clipping.", f"{HOSTILE}\n\nTwo *bands*.")
    (root / "figures" / "figure3.md").write_text(below_figure.to_markdown())
    (root / "figures" / "figure3.json").write_text(to_json(below_figure))
    fast = ("Speed", f"Faster {HOSTILE}", "Table 1, Fig. 3", "speed-up, %; configuration")
    of_fast = ("fast", "holds", "higher", "24.6 %", f"a remark {HOSTILE}", "empirical", True)
    of_fast += ("sentence",)
    rows = [
        ("fast-2", *fast, "configuration", 41.7, 20, 50, "20 epochs", "holds", HOSTILE, *of_fast),
        ("fast-4", *fast, "configuration", 4.7, 2, 50, "20 epochs", "holds", "", *of_fast),
        ("uniform", "Credit", "Uniform hurts.", "Fig. 7(d)", "reward; 10", "10", None, None, None,
         "", "not run at this scale", "configuration 10 is left out", "uniform",
         "not run at this scale", "lower", "", "", "empirical", False, "sentence"),
    ]  # fmt: skip
    pd.DataFrame(rows, columns=list(CLAIMS)).to_csv(root / "claims.csv", index=False)

    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for job, seconds in (
        ("train/02_ddpo_aesthetic_baseline_0", 120),
        ("train/02_ddpo_aesthetic_pcpo_0", 60),
        ("select/02_ddpo_aesthetic_0", 30),
    ):
        path = root / "benchmarks" / f"{job}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{header}{seconds}\t0:00:00\t1000\t1\t1\t1\t0\t0\t90\t{seconds / 2}\n")
    for arm in ("baseline", "pcpo"):
        resolved = {"experiment": {"name": "02_ddpo_aesthetic"}, "arm": {"name": arm}, "seed": 0}
        record = root / "provenance" / "train" / f"02_ddpo_aesthetic_{arm}_0.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"rule": "train", "resolved": resolved}))
    run = root / "runs" / "02_ddpo_aesthetic" / "pcpo" / "seed0"
    run.mkdir(parents=True)
    (run / "checkpoints.csv").write_text("epoch,folder\n10,a\n20,b\n")
    experiments = [f"{n}_ddpo_{r}" for n, r in (("02", "aesthetic"), ("04", "bertscore"))]
    experiments += ["05_dancegrpo_sd14_hps", "06_dancegrpo_flux_hps", "07_dancegrpo_sd15_pickscore"]
    return SimpleNamespace(root=root, experiments=experiments)
