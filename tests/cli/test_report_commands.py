"""The commands of the report rules, run as functions on files of fabricated frames."""

import numpy as np
import pandas as pd
import pytest

from pcpo.analysis.readings import readings
from pcpo.cli import compare, figure, table
from pcpo.paths import TABLE_SUFFIXES
from pcpo.records import frame_file, frames
from tests import fabricated


@pytest.fixture
def files(tmp_path):
    return written(tmp_path, "demo")


def written(folder, scale):
    overall, per_prompt = fabricated.metrics()
    curves = {"baseline": np.linspace(1, 3, 30), "pcpo": np.linspace(1, 4, 30)}
    data = {
        "updates": (fabricated.updates(curves), frames.UPDATES),
        "overall": (overall, frames.METRICS_OVERALL),
        "per_prompt": (per_prompt, frames.METRICS_PER_PROMPT),
        "selection": (fabricated.selection(), frames.SELECTION),
        "alignment": (fabricated.alignment(), frames.ALIGNMENT),
        "readings": (readings(), frames.READINGS),
    }
    paths = {}
    for name, (frame, spec) in data.items():
        paths[name] = str(folder / f"{name}.parquet")
        frame_file.write(frame, spec, paths[name], scale)
    return paths


def test_tables_then_comparison(files, tmp_path, capsys):
    out = tmp_path / "tables"
    for name in ("table1", "table3", "table9"):
        given = [f"--{f.replace('_', '-')}={p}" for f, p in files.items() if f != "readings"]
        table.main([name, "--scale", "demo", *given, "--out", str(out / name)])
    names = {p.name for p in out.iterdir()}
    assert names == {f"{n}.{s}" for n in ("table1", "table3", "table9") for s in TABLE_SUFFIXES}
    assert "not comparable" in (out / "table3.md").read_text().lower()

    tables = [str(p) for p in out.glob("*.csv")]
    compare.main(["--scale", "demo", "--tables", *tables, "--out", str(tmp_path / "compare.csv")])
    compared = pd.read_csv(tmp_path / "compare.csv")
    measured = compared[compared["table"] == "table3"]
    assert not (measured["verdict"] == "not measured").any()
    assert "undecided" in capsys.readouterr().out


def test_what_is_by_each_arms_own_sampler_has_a_note(tmp_path):
    sentence = "evaluation images by each arm's own sampler, the base model's by the native one"
    for scale, sampler in (("demo", "own"), ("demo", "native"), ("paper", "own")):
        files = written(tmp_path, scale)
        given = [f"--{f.replace('_', '-')}={files[f]}" for f in ("per_prompt", "selection")]
        options = ["--scale", scale, "--evaluation-sampler", sampler, "--out"]
        table.main(["table3", *given, *options, str(tmp_path / "table3")])
        frame = ["--updates", files["updates"]]
        figure.main(["training_curves", *frame, *options, str(tmp_path / "figure3")])
        for file in ("table3.md", "table3.tex", "figure3.md"):
            assert (sentence in (tmp_path / file).read_text()) == (sampler == "own")
        assert "not comparable" in (tmp_path / "table3.md").read_text().lower() or scale == "paper"


def test_figures(files, tmp_path):
    common = ["--scale", "demo", "--out"]
    updates, credit = ["--updates", files["updates"]], ["--readings", files["readings"]]
    figure.main(["training_curves", *common, str(tmp_path / "figure3"), *updates])
    figure.main(["credit_weights", *common, str(tmp_path / "figure2"), *credit])
    assert len(list(tmp_path.glob("figure*.pdf"))) == 2
    assert len(list(tmp_path.glob("figure*.png"))) == 2
    assert not list(tmp_path.glob("*.part"))


def test_runs_of_two_epochs_are_drawn_and_what_they_lack_is_noted(tmp_path):
    """The smoke scale: shorter than the trailing mean, so no reward level and no crossing."""
    updates = fabricated.updates({"baseline": [1.0, 2.0], "pcpo": [1.0, 3.0]})
    path = str(tmp_path / "updates.parquet")
    frame_file.write(updates, frames.UPDATES, path, "smoke")
    given = ["--scale", "smoke", "--updates", path, "--out"]
    for kind, name in (("gradient_statistics", "figure11"), ("ratio_distribution", "figure10")):
        figure.main([kind, *given, str(tmp_path / name)])
        text = (tmp_path / f"{name}.md").read_text()
        exceptions = (
            "last epochs instead for Baseline, seed 0 (epochs 2 to 2: no level); PCPO, seed 0"
        )
        assert f"Near convergence in configuration 2: the run's {exceptions}" in text
    table.main(["table1", *given, str(tmp_path / "table1")])
    assert "2: a run of 2 epochs is shorter than" in (tmp_path / "table1.md").read_text()
    compare.main([*given[:2], "--tables", str(tmp_path / "table1.csv"), "--out", path + ".csv"])
    compared = pd.read_csv(path + ".csv").set_index(["table", "row", "column"])
    cell = compared.loc["table1", "configuration 2", "speedup_pct"]
    assert cell["verdict"] == "not measured"
    assert cell["reason"].startswith("a run of 2 epochs is shorter")


def test_a_smoke_frame_makes_no_table_of_the_demo(files, tmp_path):
    smoke = written(tmp_path / "smoke", "smoke")
    for other in ("alignment", "selection"):
        given = files | {other: smoke[other]}
        options = [f"--{frame}={given[frame]}" for frame in ("alignment", "selection")]
        with pytest.raises(ValueError, match=rf"smoke/{other}\.parquet: is of scale 'smoke'"):
            table.main(["table9", "--scale", "demo", *options, "--out", str(tmp_path / "table9")])
    assert not list(tmp_path.glob("table9*"))


def test_a_table_takes_no_frame_of_another_experiment(files, tmp_path):
    path = str(tmp_path / "five.parquet")
    frame_file.write(fabricated.alignment([5]), frames.ALIGNMENT, path, "demo")
    given = ["--alignment", path, "--selection", files["selection"]]
    with pytest.raises(ValueError, match=r"five\.parquet: is of experiment '05_.*, where '07_"):
        table.main(["table9", "--scale", "demo", *given, "--out", str(tmp_path / "table9")])


def test_errors_are_those_that_a_user_can_mend(files, tmp_path):
    out = ["--out", str(tmp_path / "x")]
    with pytest.raises(FileNotFoundError, match=r"nowhere\.parquet"):
        table.main(["table1", "--scale", "demo", "--updates", "nowhere.parquet", *out])
    updates = ["--updates", files["updates"]]
    with pytest.raises(ValueError, match="no experiment has the numbers"):
        figure.main(["ablation", "--scale", "demo", *updates, "--experiments", "99", *out])
    with pytest.raises(FileNotFoundError, match=r"table9\.csv"):
        compare.main(["--scale", "demo", "--tables", "nowhere/table9.csv", *out])
