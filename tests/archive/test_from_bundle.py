"""Drawing from an archive, through the workflow itself: another checkout, no torch, no weights."""

import re
import zipfile

import pytest

from pcpo.config import files
from tests.archive.finished import FIGURE, GUIDED, NAMES, PICTURED, P, finish, pack
from tests.system import pipeline
from tests.system.pipeline import copy_sources

NOTE = "a scale that only the archive knows"


# No home, and a locale that knows ASCII alone: Snakemake itself needs a folder for its sources.
BARE = {"HOME": "/proc/none", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def snakemake(folder, *arguments, variables=None):
    return pipeline.snakemake(folder, "--cores", "2", *arguments, variables=variables)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Of a run at a scale whose settings no checkout has: 7 epochs, another note."""
    folder = tmp_path_factory.mktemp("other")
    copy_sources(folder)
    scale = folder / "config" / "scale" / "smoke.yaml"
    edited = scale.read_text().replace("no number here means anything", NOTE)
    scale.write_text(edited.replace("epochs: 2", "epochs: 7"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(files, "CONFIG", folder / "config")
        finish()
        return pack(tmp_path_factory.mktemp("packed") / "run.zip")


@pytest.fixture(scope="module")
def redrawn(archive, tmp_path_factory):
    """(folder of what was drawn, Snakemake's output) in a fresh checkout without torch or home."""
    checkout, block = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("block")
    copy_sources(checkout)
    for name in ("torch", "diffusers", "transformers"):
        (block / f"{name}.py").write_text(f"raise ImportError('{name} is not installed')\n")
    places = {"PYTHONPATH": str(block), "XDG_CACHE_HOME": str(checkout / ".cache")}
    options = ("--config", f"from_bundle={archive}")
    code, output = snakemake(checkout, *options, variables=BARE | places)
    assert code == 0, output
    assert [path.name for path in (checkout / ".cache").iterdir()] == ["snakemake"]
    assert "MPLCONFIGDIR" not in output
    return next((checkout / "results" / "bundles").iterdir()), output


def test_only_reporting_is_in_the_workflow(redrawn):
    folder, output = redrawn
    stats = output[output.index("Job stats:") :].split("total", 1)[0]
    done = {line.split()[0] for line in stats.splitlines()[3:] if line.strip()}
    drawn = {FIGURE, GUIDED, "figure1a", "figure2", "figure15", "figure16", "figure17"}
    assert done == {
        "all",
        "table",
        *drawn,
        "picture",
        "claims",
        "questions",
        "compare_tables",
        "report",
    }
    assert folder.name.startswith("run-")
    assert not (folder.parents[1] / "smoke").exists()


def test_tables_claims_and_comparison_are_those_of_the_archive_byte_by_byte(archive, redrawn):
    folder, output = redrawn
    with zipfile.ZipFile(archive) as opened:
        text = [n for n in opened.namelist() if n.startswith(f"{P.root}/tables/")]
        text += [
            P.compare,
            f"{P.claims}.csv",
            f"{P.claims}.md",
            f"{P.questions}.csv",
            f"{P.questions}.md",
            f"{P.figure.format(figure=FIGURE)}.md",
            f"{P.figure.format(figure=FIGURE)}.json",
        ]
        assert len(text) == 4 + 7
        for name in text:
            assert (folder / name).read_bytes() == opened.read(name), name
    assert NOTE in (folder / f"{P.table.format(table='table9')}.md").read_text()
    assert "47 of 47 files made again are those of the archive, byte by byte" in output


@pytest.mark.parametrize("figure", [FIGURE, GUIDED])
def test_the_figure_shows_the_same_pixels(archive, redrawn, figure):
    name = f"{P.figure.format(figure=figure)}.png"
    with zipfile.ZipFile(archive) as opened:
        assert (redrawn[0] / name).read_bytes() == opened.read(name)


def test_the_report_is_of_the_archive(redrawn):
    page = (redrawn[0] / P.report).read_text()
    assert NOTE in page
    assert "from_bundle=run.zip" in page
    assert "epochs: 7" in page
    assert all(name in page for name in NAMES)
    assert re.findall(r'id="pictures_(\w+)"', page) == [PICTURED]  # the others have no previews


def test_a_second_time_there_is_nothing_to_do_and_a_target_by_name(archive, redrawn):
    checkout = redrawn[0].parents[2]
    code, output = snakemake(checkout, "report", "--config", f"from_bundle={archive}")
    assert code == 0, output
    assert "Nothing to be done" in output
    (redrawn[0] / f"{P.table.format(table='table9')}.md").unlink()
    code, output = snakemake(checkout, "-n", "table9", "--config", f"from_bundle={archive}")
    assert code == 0, output
    assert "10_dancegrpo" not in output


def test_an_archive_holds_the_native_samplers_results_alone(archive, tmp_path):
    copy_sources(tmp_path)
    own = ("--config", f"from_bundle={archive}", "evaluation_sampler=own")
    code, output = snakemake(tmp_path, "report", *own)
    assert code == 1
    assert "from_bundle: an archive holds the native sampler's results alone; leave " in output


def test_a_damaged_archive_ends_in_one_sentence(archive, tmp_path):
    copy_sources(tmp_path)
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(archive.read_bytes()[:-1000])
    code, output = snakemake(tmp_path, "report", "--config", f"from_bundle={damaged}")
    assert code == 1
    assert "damaged.zip: damaged, cut off or no zip file" in output
    assert "Traceback" not in output
    assert list((tmp_path / "results" / "bundles").iterdir()) == []


def test_the_archive_rule_asks_for_what_the_command_needs(tmp_path):
    copy_sources(tmp_path)
    chosen = f"experiments={list(NAMES)}".replace("'", "")
    code, output = snakemake(tmp_path, "-n", "archive", "--config", "scale=smoke", chosen)
    assert code == 0, output
    assert {f"{P.root}/archive.zip", P.report} <= set(output.replace(",", " ").split())
