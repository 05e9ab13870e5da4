"""The workflow itself, in a copy of the repository: from an empty folder to the tables."""

import re

import pandas as pd
import pytest

from pcpo.claims.claim import read_claims
from pcpo.config import load_experiments
from pcpo.config.files import CONFIG
from pcpo.config.reward_guidance import guided
from pcpo.figures.registry import FIGURES, NEEDS, OF_PEOPLE, OF_SECOND_STUDY
from pcpo.paths import TABLE_SUFFIXES, Paths
from pcpo.tables import TABLES
from tests.system.pipeline import copy_sources, jobs, left_at_home, runs, snakemake

# Without people, and without gradients of timesteps.
ELSEWHERE = (*OF_PEOPLE, *OF_SECOND_STUDY)
DRAWN = {n for n, f in FIGURES.items() if n not in ELSEWHERE and f.kind not in NEEDS}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return copy_sources(tmp_path_factory.mktemp("dry"))


def test_a_table_plans_only_the_experiments_that_it_needs(copy):
    code, output = snakemake(copy, "-n", "--config", "scale=smoke", "--", "table3")
    assert code == 0, output
    assert {name[:2] for name, _ in runs(output)} == {"01", "02", "03", "04"}
    planned = jobs(output)
    assert planned["train"] == 9  # the arms that are compared, not the others
    assert planned["table"] == 1
    assert not {"synthetic_flux", "synthetic_sd35m", "align", "figure"} & set(planned)


def test_one_experiment_by_name(copy):
    code, output = snakemake(
        copy, "-n", "--config", "scale=smoke", "--", "10_dancegrpo_flux_uniform"
    )
    assert code == 0, output
    assert runs(output) == {
        ("10_dancegrpo_flux_uniform", arm) for arm in ("baseline", "pcpo", "uniform")
    }


@pytest.mark.parametrize(("scale", "trainings"), [("paper", 29), ("pilot", 23), ("original", 29)])
def test_a_real_scale_plans_everything_without_a_network(copy, scale, trainings):
    code, output = snakemake(copy, "-n", "--configfile", f"config/{scale}.yaml")
    assert code == 0, output
    planned = jobs(output)
    assert planned["train"] == trainings
    assert planned["select"] == planned["evaluate"] == 10
    assert planned["table"] == len(TABLES)
    assert set(planned) >= DRAWN and not {*OF_PEOPLE, "study_pairs"} & set(planned)
    assert planned["preflight"] == 1
    assert planned["download"] > 15  # four models, six rewards, three features, prompt sources
    assert not any(name.startswith("synthetic") for name in planned)
    assert not (copy / "data").exists()
    # Ten configurations, each with the arms that are compared, on the GPUs that they ask for.
    trained = set(re.findall(rf"output: results/{scale}/runs/(\w+)/(\w+)/seed0/checkp", output))
    assert {(e.name, arm) for e in load_experiments(scale) for arm in e.arms} == trained


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("scael=smoke", "unknown key scael; known: "),
        ("scale=huge", "unknown scale 'huge': no file"),
        ("experiments=[nothing]", "unknown experiment 'nothing'"),
        ("experiments=04_ddpo_bertscore", "config: experiments: give 'all' or a list"),
        ("seeds=1", "config: seeds: give a list of whole numbers"),
        ("seeds=[-1]", "config: seeds: give a list of whole numbers"),
        ("seeds=[1,1]", "config: seeds: one is there twice"),
        ("evaluation_sampler=mine", "config: evaluation_sampler: give native or own; got 'mine'"),
    ],
)
def test_a_wrong_setting_is_named(copy, setting, message):
    code, output = snakemake(copy, "-n", "--config", setting)
    assert code == 1
    assert message in output
    assert "Traceback" not in output
    assert not (copy / "results").exists()


def test_own_samplers_stand_beside_the_native_run_and_train_nothing_of_their_own(copy):
    plans = {
        sampler: snakemake(copy, "-n", "--config", "scale=smoke", f"evaluation_sampler={sampler}")
        for sampler in ("native", "own")
    }
    files, records = {}, {}
    for sampler, (code, output) in plans.items():
        assert code == 0, output
        files[sampler] = set(
            re.findall(r"results/smoke/\S+?(?=,|$)", _lines(output, "output"), re.M)
        )
        records[sampler] = re.findall(
            r"output: (\S+?)(?:,.*)?\n\s+log: (\S+).*?\n(?:\s+benchmark: (\S+))?", output
        )
    assert jobs(plans["native"][1]) == jobs(plans["own"][1])
    assert not [file for file in files["native"] if "own_sampler" in file]
    shared = {file for file in files["own"] if "own_sampler" not in file}
    assert shared == files["native"] & files["own"]
    folders = {file.split("/")[2] for file in shared}
    assert folders == {"synthetic", "runs", "images", "tidy", "pictures"}
    images = {file.split("/")[3] for file in shared if "/images/" in file}
    assert images == {"base", "reward_guidance"}
    tidy = sorted(file for file in shared if "/tidy/" in file)
    mixed = [f"reward_guidance/{name}_seed0" for name in guided(load_experiments("smoke"))]
    names = ["credit", "readings", *mixed]
    assert tidy == [f"results/smoke/tidy/{name}.parquet" for name in names]
    own = {file.split("/")[3] for file in files["own"] - shared}
    assert own >= {"selection", "images", "tidy", "tables", "figures", "compare.csv", "report.html"}
    assert len(records["own"]) > len(DRAWN) + len(TABLES)
    for output, *written in records["own"]:
        assert all(("own_sampler" in file) == ("own_sampler" in output) for file in written if file)


def _lines(output, key):
    return "\n".join(re.findall(rf"^ +{key}: (.*)$", output, re.M))


def test_an_archive_is_of_the_native_sampler(copy):
    own = ("-n", "--config", "scale=smoke", "evaluation_sampler=own", "--", "archive")
    code, output = snakemake(copy, *own)
    assert code == 1
    assert "No rule to produce archive" in output


def test_a_mistake_in_a_file_is_named_with_its_key(tmp_path):
    copy_sources(tmp_path)
    file = tmp_path / "config" / "experiments" / "05_dancegrpo_sd14_hps.yaml"
    file.write_text(file.read_text() + "clip_rnage: 1e-4\n")
    code, output = snakemake(tmp_path, "-n", "--config", "scale=smoke")
    assert code == 1
    assert "05_dancegrpo_sd14_hps.yaml: clip_rnage: unknown key" in output
    assert "Traceback" not in output


# --- the whole of it, at smoke scale ----------------------------------------------------------


def expected_outputs():
    paths = Paths("smoke")
    for table in TABLES:
        yield from (paths.table.format(table=table) + f".{suffix}" for suffix in TABLE_SUFFIXES)
    for figure in DRAWN:
        yield from (
            paths.figure.format(figure=figure) + f".{suffix}"
            for suffix in ("pdf", "png", "svg", "md")
        )
    yield from (paths.compare, f"{paths.claims}.csv", f"{paths.claims}.md", paths.report)
    yield from (f"{paths.questions}.csv", f"{paths.questions}.md")
    yield from (paths.synthetic(name) for name in ("accuracy.csv", "rewards.csv", "headroom.csv"))


@pytest.mark.slow
def test_from_an_empty_folder_to_every_table_and_figure(tmp_path):
    """One test, because it is minutes of work that its steps share. Results lie on another disk."""
    copy_sources(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "elsewhere")
    everything = ("--cores", "2", "--config", "scale=smoke")
    code, output = snakemake(tmp_path, *everything)
    assert code == 0, output[-6000:]
    for file in expected_outputs():
        assert (tmp_path / file).stat().st_size > 100, file
    compared = pd.read_csv(tmp_path / "results/smoke/compare.csv")
    assert set(compared["table"]) == {name for name in TABLES if TABLES[name].printed}
    assert (compared["scale"] == "smoke").all()
    assert not list(tmp_path.glob("results/**/*.part"))
    for picture in tmp_path.glob("results/smoke/pictures/*.md"):
        assert "Previews are missing" not in picture.read_text()
    assert len(list(tmp_path.glob("results/smoke/pictures/*.png"))) == 10
    cards = sorted(tmp_path.glob("results/smoke/runs/*/*/*/checkpoints/*/README.md"))
    assert "| experiment | 01_ddpo_aesthetic_half " in cards[0].read_text()
    assert all(name.startswith(".cache/snakemake/") for name in left_at_home(tmp_path))
    claims = pd.read_csv(tmp_path / "results/smoke/claims.csv")
    assert set(claims["claim_id"]) == {c.id for c in read_claims(CONFIG / "claims.yaml")}
    report = (tmp_path / "results/smoke/report.html").read_text()
    assert all(f'id="{name}"' in report for name in (*TABLES, *DRAWN))
    assert report.count('id="pictures_') == 10

    code, output = snakemake(tmp_path, *everything)
    assert code == 0
    assert "Nothing to be done" in output

    # An edited figure is redrawn, with the one that is built on it and the report that shows them.
    with (tmp_path / "pcpo" / "figures" / "ablation.py").open("a") as module:
        module.write("# edited\n")
    code, output = snakemake(tmp_path, "-n", *everything)
    assert code == 0
    redrawn = {"ablation_of_credit", "figure6"}
    assert set(jobs(output)) == {"all", "report", "total", *redrawn}

    # So is an edited table, and what is read from it.
    with (tmp_path / "pcpo" / "tables" / "effects.py").open("a") as module:
        module.write("# edited\n")
    code, output = snakemake(tmp_path, "-n", *everything)
    assert code == 0
    redone = {"all", "compare_tables", "report", "table", "total", *redrawn}
    assert set(jobs(output)) == redone

    # A value of one experiment trains its runs again, and what follows from them.
    file = tmp_path / "config" / "scale" / "smoke.yaml"
    file.write_text(file.read_text().replace("  05_dancegrpo_sd14_hps:\n", CHANGED))
    code, output = snakemake(tmp_path, "-n", *everything)
    assert code == 0
    assert {name for name, _ in runs(output)} == {"05_dancegrpo_sd14_hps"}


CHANGED = "  05_dancegrpo_sd14_hps:\n    clip_range: 1e-3\n"
