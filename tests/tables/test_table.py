import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pcpo import metrics
from pcpo.analysis.curves import epoch_curves
from pcpo.records import frame_file, frames
from pcpo.stats.speedup import first_crossing, interpolated_crossing, speedup_percent
from pcpo.tables import TABLES
from pcpo.tables.build import build, needs
from pcpo.tables.published import read_published
from pcpo.tables.table import Column, Table
from tests import fabricated

PUBLISHED = Path(__file__).parents[2] / "config" / "paper"
SPECS = {
    "updates": frames.UPDATES,
    "overall": frames.METRICS_OVERALL,
    "per_prompt": frames.METRICS_PER_PROMPT,
    "selection": frames.SELECTION,
    "alignment": frames.ALIGNMENT,
}
CURVES = {"baseline": np.linspace(5, 6.5, 60), "pcpo": np.linspace(5, 7.5, 60)}


@pytest.fixture(scope="module")
def data():
    overall, per_prompt = fabricated.metrics()
    return {
        "updates": pd.concat([fabricated.updates(CURVES, n, noise=0.02) for n in range(1, 7)]),
        "overall": overall,
        "per_prompt": per_prompt,
        "selection": fabricated.selection(),
        "alignment": fabricated.alignment(),
    }


def make(name, data, experiments=None, **options):
    given = dict(data)
    if "published" in needs(name):
        given["published"] = read_published(PUBLISHED, name)
    return build(name, experiments or fabricated.experiments(), given, **options)


def with_levels(*levels):
    return fabricated.experiments(evaluation=fabricated.evaluation(reward_levels=levels))


def test_the_fabricated_frames_are_valid(data):
    for name, frame in data.items():
        frame_file.check(frame, SPECS[name], name)


@pytest.mark.parametrize("name", [name for name in TABLES if TABLES[name].printed])
def test_every_table_has_the_papers_rows_and_columns(name, data):
    table = make(name, data)
    paper = read_published(PUBLISHED, name)
    further = [row for row in table.frame["row"] if row not in paper.index]
    assert [row for row in table.frame["row"] if row in paper.index] == list(paper.index)
    matched = [f"{m} {a} matched" for m in ("SD1.4", "FLUX") for a in fabricated.ARMS]
    assert further == (matched if name.startswith("table5") else [])
    numbers = [c for c in paper.select_dtypes("number").columns if c != "batch_size"]
    assert set(numbers) <= set(table.frame.columns)
    assert "not comparable" in table.notes[0].lower()
    rows = len(paper) + len(further)
    assert (
        table.printed().to_markdown().count("\n| ") == rows + 2
    )  # the header and the rule below it
    assert table.to_latex().count(" \\\\\n") == rows + 1


@pytest.mark.parametrize("name", TABLES)
def test_every_table_survives_without_data(name):
    empty = {key: frame_file.read([], spec) for key, spec in SPECS.items()}
    table = make(name, empty)
    assert any("no data" in note for note in table.notes)
    assert table.cells()[0][-2] == "-"
    assert "nan" not in (table.printed().to_markdown() + table.to_latex()).lower()


def test_speedups_recomputed_by_pandas(data):
    table = make("table10", data, with_levels(5.5, 6.0, 6.4, 9.0))
    rows = table.frame[table.frame["number"] == 3]
    assert list(rows["reward_level"]) == [9.0, 6.4, 6.0, 5.5]
    for row in rows.itertuples():
        expected, between = [], []
        for curve in CURVES.values():
            smooth = pd.Series(curve, index=range(1, 61)).rolling(5).mean()
            reached = smooth.index[smooth >= row.reward_level]
            expected.append(reached[0] if len(reached) else np.nan)
            rise = smooth.dropna()  # the curves are lines, and so is where they are in between
            at = np.interp(row.reward_level, rise, rise.index)
            between.append(at if len(reached) else np.nan)
        np.testing.assert_equal([row.baseline_epochs, row.pcpo_epochs], expected)
        np.testing.assert_allclose([row.baseline_crossing, row.pcpo_crossing], between)
        if row.reward_level == 9.0:
            assert np.isnan(row.speedup_pct)
        else:
            assert row.speedup_pct == pytest.approx(100 * (between[0] / between[1] - 1))
            assert row.speedup_low <= row.speedup_pct <= row.speedup_high
    assert table.cells()[0][-4:] == ["> 60", "> 60", "-", "-"]
    assert any("ends below the level" in note for note in table.notes)
    assert any("moving-block bootstrap" in note for note in table.notes)


def test_other_readings_of_pcpo_stand_beside_it_in_table_10(data):
    """Trained in configuration 1 alone: as fast as PCPO, and one that never reaches the level."""
    beside = fabricated.updates(
        {"pcpo_exact": CURVES["pcpo"], "reweight": np.full(60, 1.0)}, number=1
    )
    both = {**data, "updates": pd.concat([data["updates"], beside])}
    table = make("table10", both, with_levels(5.5, 6.0, 6.4))
    headers = [column.header for column in table.columns]
    assert headers[-2:] == ["PCPO, Eq. (6) solved", "PCPO, native sampler"]
    first = table.frame[table.frame["number"] == 1]
    np.testing.assert_allclose(first["pcpo_exact_speedup"], first["speedup_pct"])
    np.testing.assert_allclose(first["pcpo_exact_epochs"], first["pcpo_epochs"])
    assert first["reweight_epochs"].isna().all()
    shown = dict(zip(table.frame["row"], table.cells(), strict=True))
    assert shown["configuration 1 level 1"][-2].startswith(f"{first['pcpo_epochs'].iloc[0]:.0f}, ")
    low = first["reweight_low"].iloc[0]
    bound = first["reweight_at_most"].iloc[0]
    assert (
        shown["configuration 1 level 1"][-1]
        == f"> 60, at most {bound:.1f} % ({low:.1f} to {bound:.1f})"
    )
    assert shown["configuration 2 level 1"][-2:] == ["-", "-"]
    assert any("as the paper's text has it" in note for note in table.notes)
    assert [c.header for c in make("table10", data).columns][-1] == "95 % interval"


def test_a_run_that_ends_below_the_level_gives_a_bound(data):
    late = pd.concat(
        fabricated.updates({"baseline": CURVES["baseline"][:30], "pcpo": CURVES["pcpo"]}, n)
        for n in range(1, 7)
    )
    table = make("table10", data | {"updates": late}, with_levels(6.4))
    row = table.frame.iloc[0]
    crossing = interpolated_crossing(CURVES["pcpo"], 6.4)
    assert row["speedup_at_least"] == speedup_percent(30, crossing)
    assert np.isnan(row["speedup_pct"])
    assert row["speedup_high"] == np.inf
    assert table.cells()[0][-4:-1] == [
        "> 30",
        f"{first_crossing(CURVES['pcpo'], 6.4)}",
        f"at least {-100 + 3000 / crossing:.1f} %",
    ]


def test_speedups_of_several_seeds(data):
    seeds = [
        fabricated.updates({a: c + 0.05 * k * (a == "pcpo") for a, c in CURVES.items()}, n, seed=k)
        for n in range(1, 7)
        for k in range(3)
    ]
    alone = fabricated.updates({"pcpo": CURVES["pcpo"]}, 1, seed=7)  # no baseline of this seed
    given = data | {"updates": pd.concat([*seeds, alone])}
    table = make("table1", given, with_levels(6.0))
    row = table.frame.iloc[0]
    pairs = [
        interpolated_crossing(CURVES["baseline"], 6.0)
        / interpolated_crossing(CURVES["pcpo"] + 0.05 * k, 6.0)
        for k in range(3)
    ]
    assert row["runs"] == 3
    assert row["speedup_pct"] == pytest.approx(100 * (np.prod(pairs) ** (1 / 3) - 1))
    ends = stats.t.interval(0.95, 2, np.log(pairs).mean(), stats.sem(np.log(pairs)))
    np.testing.assert_allclose([row["speedup_low"], row["speedup_high"]], 100 * np.expm1(ends))
    assert any("t interval over 3 training seeds" in note for note in table.notes)
    derived = make("table10", given).frame
    assert (derived["baseline_reached"] == derived["runs"]).all()  # levels that every run reaches


def test_levels_are_derived_where_none_are_published(data):
    evaluation = fabricated.evaluation(level_fractions=(0.5, 1.0))
    table = make("table10", data, fabricated.experiments(evaluation=evaluation))
    rows = table.frame[table.frame["number"] == 1]
    smooth = pd.Series(CURVES["baseline"]).rolling(5).mean()
    start = max(curve[:5].mean() for curve in CURVES.values())
    np.testing.assert_allclose(rows["reward_level"], [smooth.max(), (smooth.max() + start) / 2])
    assert rows["baseline_epochs"].notna().all()
    assert any("100, 50 %" in note for note in table.notes)
    first = make("table1", data, fabricated.experiments(evaluation=evaluation)).frame.iloc[0]
    assert first["target_level"] == rows["reward_level"].iloc[0]
    crossings = [interpolated_crossing(c, first["target_level"]) for c in CURVES.values()]
    assert first["speedup_pct"] == speedup_percent(*crossings)


def test_runs_shorter_than_the_trailing_mean_have_no_level_and_the_table_notes_why(data):
    """The smoke scale's two epochs; also against a published level."""
    short = pd.concat(
        fabricated.updates({a: c[:2] for a, c in CURVES.items()}, n) for n in range(1, 7)
    )
    table = make("table10", data | {"updates": short})
    assert table.cells()[0][-5:] == ["-"] * 5
    why = "No level for configuration 1, 2, 3, 4, 5, 6: a run of 2 epochs is shorter than"
    assert any(note.startswith(why) for note in table.notes)
    given = make("table10", data | {"updates": short}, with_levels(5.0))
    assert given.cells()[0][-4:] == ["> 2", "> 2", "-", "-"]
    assert any("a run is shorter than the trailing mean of 5 epochs" in n for n in given.notes)


def test_quality_table_holds_overall_values_and_paired_noise(data):
    table = make("table2a", data)
    overall, per_prompt = data["overall"], data["per_prompt"]
    rows = table.frame.set_index("row")
    for metric in ("fid", "fd_dinov2", "is_star"):
        chosen = overall[
            (overall["experiment"] == fabricated.name(2)) & (overall["metric"] == metric)
        ]
        expected = chosen.set_index("arm")["value"]
        assert rows.loc["full pcpo", metric] == pytest.approx(expected["pcpo"])
        assert rows.loc["full baseline", metric] == pytest.approx(expected["baseline"])
    lpips = per_prompt[
        (per_prompt["experiment"] == fabricated.name(1))
        & (per_prompt["metric"] == fabricated.METRIC_COLUMNS[3])
    ].pivot(index="prompt_id", columns="arm", values="value")
    assert rows.loc["half pcpo", "lpips_diversity"] == pytest.approx(lpips["pcpo"].mean())
    difference = lpips["pcpo"] - lpips["baseline"]
    found = rows.loc["half pcpo"]
    assert found["lpips_diversity_prompt_difference"] == pytest.approx(difference.mean())
    assert found["lpips_diversity_prompt_difference_se"] == pytest.approx(difference.sem())
    assert list(table.frame["batch_size"]) == [16, 16, 32, 32]
    assert "FID (measured fid)" in table.printed().to_markdown()


def test_training_seeds_are_averaged(data):
    second = data["overall"].assign(seed=1, value=data["overall"]["value"] + 10)
    both = data | {"overall": pd.concat([data["overall"], second])}
    one, two = make("table2b", data).frame, make("table2b", both).frame
    np.testing.assert_allclose(two["fid"], one["fid"] + 5)


def test_with_several_seeds_table_2_has_the_differences_over_runs(data):
    several = [fabricated.metrics(seed=s) for s in range(3)]
    frames_ = {
        name: pd.concat(f[i].assign(seed=s) for s, f in enumerate(several))
        for i, name in enumerate(("overall", "per_prompt"))
    }
    one, table = make("table2b", data), make("table2b", data | frames_)
    assert not any("PCPO - baseline" in column.header for column in one.columns)
    rows = frames_["per_prompt"]
    rows = rows[(rows["experiment"] == fabricated.name(6)) & (rows["metric"] == "fid")]
    means = rows.groupby(["seed", "arm"])["value"].mean().unstack()
    test = stats.ttest_rel(means["pcpo"], means["baseline"])
    low, high = test.confidence_interval()
    printed = dict(zip([c.header for c in table.columns], table.cells()[3], strict=True))
    expected = f"{(low + high) / 2:+.3g} ({low:.3g} to {high:.3g})"
    assert printed["FID: PCPO - baseline"] == expected
    assert any("Student's 95 % interval over seeds" in note for note in table.notes)


def test_mixed_models_give_the_differences_of_cell_means(data):
    frame = data["per_prompt"]
    means = frame.groupby(["experiment", "arm", "metric"])["value"].mean()

    def cell(number, arm, metric):
        return means[fabricated.name(number), arm, metric]

    rows = make("table3", data).frame.set_index("row")
    for metric in fabricated.METRIC_COLUMNS:
        algorithm = cell(1, "pcpo", metric) - cell(1, "baseline", metric)
        batch = cell(2, "baseline", metric) - cell(1, "baseline", metric)
        at_full = cell(2, "pcpo", metric) - cell(2, "baseline", metric)
        assert rows.loc[f"Algorithm {metric}", "coef"] == pytest.approx(algorithm)
        assert rows.loc[f"Batch Size {metric}", "coef"] == pytest.approx(batch)
        assert rows.loc[f"Interaction {metric}", "coef"] == pytest.approx(at_full - algorithm)
        other = cell(3, "pcpo", metric) - cell(3, "baseline", metric)
        both = rows.loc[f"Algorithm {metric}", "coef_two_tasks"]
        assert both == pytest.approx((algorithm + other) / 2)
    assert (rows["n_obs"] == 48).all()
    assert (rows["n_obs_two_tasks"] == 96).all()
    assert (rows["n_groups_two_tasks"] == 24).all()
    fourth = make("table4", data).frame.set_index("row")
    for number, model in ((5, "SD1.4"), (6, "FLUX")):
        expected = cell(number, "pcpo", "fid") - cell(number, "baseline", "fid")
        assert fourth.loc[f"{model} fid", "coef"] == pytest.approx(expected)


def test_a_fit_that_failed_has_a_footnote(data):
    flat = data | {"per_prompt": data["per_prompt"].assign(value=1.0)}
    table = make("table4", flat)
    assert table.frame["p_value"].isna().all()
    assert any("no residual variance" in note for note in table.notes)
    assert table.cells()[0][-1] == "-"


def test_alignment_tables_recomputed_by_pandas(data):
    alignment = data["alignment"]
    chosen = alignment[
        (alignment["experiment"] == fabricated.name(6)) & (alignment["dataset"] == "mjhq")
    ]
    means = chosen.groupby(["arm", "checkpoint", "score"])["value"].mean()
    table = make("table5b", data)
    rows = table.frame.set_index("row")
    for arm, checkpoint, *_ in fabricated.CHECKPOINTS:
        row = f"FLUX {arm}" + " matched" * (checkpoint == "matched")
        for score in ("hpsv2_1", "imagereward"):
            assert rows.loc[row, score] == pytest.approx(means[arm, checkpoint, score])
    for row, gain in (("FLUX pcpo", 0.3), ("FLUX pcpo matched", 0.2)):
        assert rows.loc[row, "hpsv2_1_prompt_difference"] == pytest.approx(gain, abs=0.06)
    labels = [cells[1] for cells in table.cells()]
    trained = ["DanceGRPO (E20)", "PCPO (E14)", "DanceGRPO (E18, matched)", "PCPO (E12, matched)"]
    assert labels == 2 * ["Base Model", *trained]
    assert "at the epochs that the paper compares" in " ".join(table.notes)


def test_epochs_that_replace_the_papers_are_noted(data):
    asked = SimpleNamespace(baseline=180, pcpo=120)
    half = SimpleNamespace(baseline=200, pcpo=140)
    for name, numbers in (("table5a", (5, 6)), ("table9", (7,))):
        assert "up to them are used" not in " ".join(make(name, data).notes)
        notes = make(name, data, fabricated.experiments(alignment_checkpoint=asked)).notes
        for number in numbers:
            epochs_note = next(
                n for n in notes if n.startswith(f"Configuration {number}: the paper's")
            )
            assert "180 of the baseline and 120 of PCPO" in epochs_note
            assert "epochs 20 and 14: the paper's ratio of the two is not kept" in epochs_note
    same = make("table5a", data, fabricated.experiments(alignment_checkpoint=half)).notes
    assert any(note.endswith("epochs 20 and 14.") for note in same)


def test_the_matched_pair_alone_is_judged_by_its_rewards(data):
    unmatched = data | {"selection": fabricated.selection(matched=False)}
    rows = make("table5a", unmatched).frame.set_index("row")["unmatched"]
    assert rows["SD1.4 pcpo"] == ""
    assert "rewards not matched" in rows["SD1.4 pcpo matched"]


def test_table_9_keeps_published_rows_apart(data):
    frame = make("table9", data).frame.set_index("row")
    gain = frame.loc["PCPO final", "pickscore"] - frame.loc["PCPO base", "pickscore"]
    assert frame.loc["PCPO gain", "pickscore"] == pytest.approx(gain)
    assert frame.loc["PCPO gain", "source"] == "this run"
    assert frame.loc["SSPO gain", "pickscore"] == 1.37
    assert (frame["source"] == "published").sum() == 9
    assert "PCPO (E14)" in frame["method_label"].to_list()
    notes = " ".join(make("table9", data).notes)
    difference = float(re.search(r"PCPO minus baseline: HPSv2 ([+-]\d\.\d+)", notes)[1])
    assert difference == pytest.approx(0.2, abs=0.06)  # of the pair at one reward: 0.6 - 0.4


def test_the_algorithms_row_uses_the_pair_at_half_batch(data):
    """Configuration 1's. The batch size is of the two baselines, the interaction of both pairs."""
    selection = fabricated.selection()
    second = (selection["experiment"] == fabricated.name(2)) & (selection["arm"] == "pcpo")
    selection.loc[second, ["matched", "difference"]] = [False, 0.3]
    frame = make("table3", data | {"selection": selection}).frame.set_index("row")
    assert frame.loc["Algorithm fid", "unmatched"] == ""
    assert frame.loc["Batch Size fid", "unmatched"] == ""
    assert "configuration 2: rewards not matched" in frame.loc["Interaction fid", "unmatched"]


def test_many_seeds_have_one_note_on_their_checkpoints(data):
    selection = pd.concat(fabricated.selection().assign(seed=seed) for seed in range(4))
    odd = (selection["seed"] == 2) & (selection["arm"] == "pcpo")
    selection.loc[odd, ["matched", "difference", "epoch"]] = [False, 0.045, 17]
    notes = [n for n in make("table2b", data | {"selection": selection}).notes if "seeds:" in n]
    assert len(notes) == 2  # configurations
    assert "4 seeds: baseline epochs 20, PCPO epochs 14 to 17" in notes[0]
    assert "+0.005 to +0.045, mean +0.015, tolerance 0.02; NOT matched in seed 2." in notes[0]


def test_unmatched_checkpoints_are_noted(data):
    unmatched = data | {"selection": fabricated.selection(matched=False)}
    for name in ("table2a", "table3", "table4", "table5a", "table9"):
        notes = " ".join(make(name, unmatched).notes)
        assert "NOT matched (no checkpoint near the level)" in notes
        assert "NOT matched" not in " ".join(make(name, data).notes)
    none = data | {"selection": fabricated.selection().assign(level=np.nan, level_reached=False)}
    assert "no reward level in common: baseline epoch 20" in " ".join(make("table4", none).notes)


def test_small_samples_are_noted_where_the_width_is_known(data):
    wide = data | {"overall": data["overall"].assign(dimensions=500)}
    notes = " ".join(make("table2a", wide).notes)
    assert "measured fid: 384 images for 500 features" in notes
    enough = data | {"overall": data["overall"].assign(dimensions=64)}
    assert "singular" not in " ".join(make("table2a", enough).notes)


def test_scale_notes(data):
    table = make("table4", data, note="small scale")
    assert table.notes[0] == "small scale. Not comparable with the paper."
    paper = make("table4", data, fabricated.experiments(scale="paper"))
    assert "comparable with the paper" not in " ".join(paper.notes)


def test_errors_name_what_is_wrong(data):
    with pytest.raises(ValueError, match="unknown table 'table99'"):
        build("table99", fabricated.experiments(), data)
    with pytest.raises(ValueError, match="needs the frames selection"):
        build("table3", fabricated.experiments(), {"per_prompt": data["per_prompt"]})
    mixed = [fabricated.experiment(5), fabricated.experiment(6, scale="paper")]
    with pytest.raises(ValueError, match="one scale"):
        make("table4", data, mixed)
    gap = data["updates"][data["updates"]["epoch"] != 7]
    with pytest.raises(ValueError, match="epoch 7 is missing"):
        make("table1", data | {"updates": gap})


def test_rendering_and_writing(tmp_path):
    frame = pd.DataFrame(
        {"row": ["a", "b"], "group": ["x_1", "x_1"], "value": [0.123456789, np.nan]}
    )
    columns = (Column("group", "G & H", group=True), Column("value", "V", "{:.2f}", measured="m%"))
    table = Table("t", "50 % of #1", frame, columns, ("A note: 5 < 6.",))
    assert table.cells() == [["x_1", "0.12"], ["x_1", "-"]]
    assert table.printed().to_markdown().splitlines()[2:6] == [
        "| G & H | V (m%) |",
        "| :-- | --: |",
        "| x_1 | 0.12 |",
        "|  | - |",
    ]
    text = table.to_latex()
    assert r"\caption{50 \% of \#1}" in text
    assert r"G \& H & \shortstack{V\\ m\%} \\" in text
    assert r"x\_1 & 0.12 \\" in text
    assert r"5 \textless{} 6" in text
    table.write(tmp_path / "sub" / "t")
    written = sorted(p.name for p in (tmp_path / "sub").iterdir())
    assert written == ["t.csv", "t.json", "t.md", "t.tex"]
    assert pd.read_csv(tmp_path / "sub" / "t.csv")["value"][0] == 0.123456789

    def fail(value, row):
        raise ValueError("cannot be printed")

    broken = dataclasses.replace(table, columns=(Column("value", "V", fail),))
    before = (tmp_path / "sub" / "t.csv").read_bytes()
    with pytest.raises(ValueError, match="cannot be printed"):
        broken.write(tmp_path / "sub" / "t")
    assert (tmp_path / "sub" / "t.csv").read_bytes() == before
    with pytest.raises(ValueError, match="lacks the columns"):
        dataclasses.replace(table, columns=(Column("other", "O"),))


def test_the_authors_count_takes_one_side_of_matching_arms_alone():
    curves = epoch_curves(fabricated.updates({"baseline": [1.0, 2.0], "pcpo": [1.0, 2.0]}))
    for arm, share in (("baseline", 1.0), ("pcpo", 0.5)):  # of the frame one side is half of both
        own = curves[curves["arm"] == arm]
        for part in ("", "_on_policy", "_off_policy"):
            np.testing.assert_allclose(
                own[f"gated_fraction{part}"], own[f"clip_fraction{part}"] / 2
            )
            counted = own[f"authors_clip_fraction{part}"]
            np.testing.assert_allclose(counted, share * own[f"clip_fraction{part}"])


def test_epoch_curves_recomputed_by_pandas():
    updates = pd.concat(
        [
            fabricated.updates({"pcpo": [1.0, 2.0, 3.0]}, seed=0, noise=0.3),
            fabricated.updates({"pcpo": [3.0, 4.0]}, seed=1, noise=0.4),
        ]
    )
    curves = epoch_curves(updates)
    assert len(curves) == 5
    np.testing.assert_allclose(curves["clip_fraction"], 0.1)
    np.testing.assert_allclose(curves["clip_fraction_on_policy"], 0.0)
    np.testing.assert_allclose(curves["clip_fraction_off_policy"], 0.2)
    np.testing.assert_allclose(curves["reward_se"], [0.3, 0.3, 0.3, 0.4, 0.4])
    np.testing.assert_allclose(curves["gradient_abs_mean"], [1e-3, 2e-3, 3e-3, 1e-3, 2e-3])
    np.testing.assert_allclose(curves["seconds"], 2.0)  # of both updates


def test_what_else_a_scale_measures_is_a_column(data, monkeypatch):
    """Beside the paper's four: under its own name, or as the metric of that name says."""
    more = {
        name: pd.concat([f, f[f["metric"] == "fid"].assign(metric="spread", measured="spread toy")])
        for name, f in data.items()
        if name in ("overall", "per_prompt")
    }
    before, table = make("table2b", data), make("table2b", data | more)
    assert [c.header for c in table.columns] == [*(c.header for c in before.columns), "spread"]
    assert table.columns[-1].measured == "spread toy"
    assert table.frame["spread"].tolist() == table.frame["fid"].tolist()
    assert table.notes == before.notes
    monkeypatch.setattr(metrics, "names", lambda: ["spread"])
    module = SimpleNamespace(TITLE="Spread", BETTER="higher is better")
    monkeypatch.setattr(metrics, "import_module", lambda name: module)
    table = make("table2b", data | more)
    assert table.columns[-1].header == "Spread"
    assert set(table.notes) - set(before.notes) == {"Spread: higher is better."}


def test_table_aa_counts_the_pairs_of_seeds_that_the_papers_test_calls_different(data):
    several = pd.concat(fabricated.metrics(seed=s)[1].assign(seed=s) for s in range(4))
    shifted = several["value"] + 40 * several["seed"] * (several["metric"] == "fid")
    reward = {0: 1.0, 1: 1.0, 2: 9.0, 3: 17.0}
    selected = pd.concat(
        data["selection"].assign(seed=seed, selection_reward=r) for seed, r in reward.items()
    )
    given = {"per_prompt": several.assign(value=shifted), "selection": selected}
    table = make("table_aa", data | given)
    rows = table.frame.set_index("row")
    assert rows.loc["all fid", "pairs"] == 4 * 2 * 6  # configurations, arms, pairs of four seeds
    assert rows.loc["all fid", "disjoint"] == 4 * 2
    assert rows.loc["all fid", "share"] == 1.0
    assert 0 <= rows.loc["all is_star", "low"] <= rows.loc["all is_star", "share"] < 0.5
    assert rows.loc["all all", "pairs"] == 4 * rows.loc["all fid", "pairs"]
    assert rows.loc["all matched", "pairs"] == 4 * 4 * 2  # seeds 0 and 1: the others are far apart
    assert rows.loc["all matched", "disjoint"] == 4
    one = make("table_aa", data)
    assert {cell for row in one.cells() for cell in row[3:]} == {"-"}
    assert any("there is one run per arm" in note for note in one.notes)
