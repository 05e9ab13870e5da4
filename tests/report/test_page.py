"""The whole page, read by an HTML parser: complete, escaped, and asking nobody for anything."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pcpo.cli import report as command
from pcpo.figures.registry import NOT_DRAWN
from pcpo.records import strips
from pcpo.records.caption import Caption
from pcpo.records.values import to_json
from pcpo.report import collect, render
from tests.report.conftest import HOSTILE

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Reader(HTMLParser):
    """Tags must nest; keeps ids, references, image sources and the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags = [], []
        self.ids, self.links, self.sources, self.text = [], [], [], ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        assert not [name for name in attributes if name.startswith("on")]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.sources += [attributes["src"]] if "src" in attributes else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page(results, **options):
    experiments = options.pop("experiments", results.experiments)
    return Reader(render(collect(results.root, "demo", experiments, [0], **options)))


def test_everything_is_there_and_every_reference_leads_somewhere(results):
    read = page(results)
    assert len(read.ids) == len(set(read.ids))
    for link in read.links:
        if link.startswith("#"):
            assert link[1:] in read.ids
        elif link != "data:,":
            assert (results.root / link).exists() or link in ("plan.md",)
    for anchor in (
        "claims",
        "claim-fast",
        "claim-fast-2",
        "claim-uniform",
        "table1",
        "table9",
        "figure3",
        "figure10",
    ):
        assert anchor in read.ids
    assert set(results.experiments) <= set(read.ids)
    for text in ("24.6", "41.67", "A first note with IS*", "2 min 00 s", "epoch 20", "Two bands"):
        assert text in read.text


def test_questions_of_the_scales_own_are_apart_from_the_claims(results):
    """The demo has none."""
    rows = pd.read_csv(results.root / "claims.csv").assign(source="ours")
    of_id = {column: "q-" + rows[column] for column in ("id", "claim_id")}
    missing = Reader(render(collect(results.root, "smoke", results.experiments, [0])))
    assert "questions" not in missing.ids and "snakemake --cores all questions" in missing.text
    rows.assign(**of_id).to_csv(results.root / "questions.csv", index=False)
    read = Reader(render(collect(results.root, "smoke", results.experiments, [0])))
    assert {"questions", "claim-q-fast", "claim-fast"} <= set(read.ids)
    assert "#questions" in read.links and "config/questions.yaml" in read.text
    assert "questions" not in page(results).ids


def test_nothing_is_loaded_and_no_text_becomes_markup(results):
    read = page(results)
    assert not {"script", "iframe", "object", "base", "form"} & set(read.tags)
    assert read.tags.count("img") == 2
    assert all(source.startswith("data:image/png;base64,") for source in read.sources)
    assert not [link for link in read.links if re.match(r"(?!data:)\w+:|//", link)]
    assert (
        read.text.count('<script>alert("a")</script>') >= 4
    )  # as text: title, note, claim, caption
    style = re.search(r"<style>(.*?)</style>", render_of(results), re.S)[1]
    assert not re.search(r"url\(|@import", style)


def render_of(results):
    return render(collect(results.root, "demo", results.experiments, [0]))


def test_what_is_left_out_or_not_made_is_named(results):
    read = page(results)
    missing = read.text[read.text.rindex("What is missing") :]
    assert re.search(r"Table 2a: needs configuration 1, which this run leaves out", missing)
    assert re.search(r"Figure 5: needs configuration 8", missing)
    assert re.search(r"Figure 1a: not made yet: run snakemake figure1a", missing)
    assert "Table 1:" not in missing
    assert "Robustness grid" not in missing  # of experiments that this scale does not have


def test_what_needs_images_where_there_are_none_is_named(results):
    page = collect(results.root, "study2", ["01_ddpo_aesthetic_half"], [0])
    why = {missing.name: missing.why for missing in page.missing}
    assert why["figure7b"].startswith("needs images of configuration 1, of which this scale has no")
    assert "this run leaves out" in why["robustness_grid"]


def test_figures_that_no_run_draws_are_listed_with_the_reason(results):
    text = page(results).text
    for name, why in NOT_DRAWN.items():
        assert f"Figure {name.removeprefix('figure')}: {why}." in text


def test_a_table_of_a_run_that_now_leaves_it_out_is_not_shown(results):
    read = page(results, experiments=results.experiments[:-1])  # without configuration 7
    assert "Other methods." not in read.text
    assert "Table 9: needs configuration 7" in read.text


def test_a_configurations_training_in_pictures_is_beside_its_runs(results):
    """Where its runs have previews; of the first seed, and on both samplers' pages."""
    name, seeds = results.experiments[0], [3, 5]
    (results.root / "pictures").mkdir()
    for seed in seeds:
        stem = results.root / "pictures" / f"{name}_seed{seed}"
        Image.new("RGB", (30, 10 + seed)).save(stem.with_suffix(".png"))
        below = Caption("", "Training in pictures.", f"Prompts: 1 “{HOSTILE}”.")
        stem.with_suffix(".json").write_text(to_json(below))
    chosen = ["demo", results.experiments, seeds]
    assert f"pictures_{name}" not in Reader(render(collect(results.root, *chosen))).ids
    run = results.root / "runs" / name / "pcpo" / "seed3"
    strips.write(run, 8, ["a"], np.zeros((1, 3, 4, 4), np.uint8))
    for sampler, folder in (("native", results.root), ("own", results.root / "own_sampler")):
        html = render(collect(results.root, *chosen, sampler=sampler))
        read = Reader(html)
        (fold,) = re.findall(rf'<details class="fold" id="{name}">.*?</details>', html, re.S)
        assert f'id="pictures_{name}"' in fold and 'height="13"' in fold
        assert HOSTILE in read.text and "script" not in read.tags
        (link,) = [link for link in read.links if "pictures/" in link]
        assert (folder / link).resolve() == (results.root / "pictures" / f"{name}_seed3.png")


def test_an_empty_folder_gives_a_page_that_lists_what_is_missing(tmp_path, results):
    results.root = tmp_path / "nothing"
    read = page(results)
    for text in ("The ledger is not made yet", "No figure was drawn yet", "No benchmark files"):
        assert text in read.text
    assert "not trained" in read.text


def test_command_and_its_errors(results, capsys, monkeypatch):
    out = results.root / "report.html"
    options = ["--scale", "demo", "--results", str(results.root), "--out", str(out)]
    command.main([*results.experiments, *options])
    assert "2 claims, 2 tables, 2 figures" in capsys.readouterr().out
    before = out.read_bytes()
    (results.root / "claims.csv").write_text("nonsense\n")
    with pytest.raises(ValueError, match=r"claims\.csv"):
        command.main([*results.experiments, *options])
    assert out.read_bytes() == before
    assert not list(results.root.glob("*.part"))


def test_each_arm_by_its_own_sampler_is_a_page_of_its_own(results):
    """What depends on evaluation images is read there, the trainings where they are."""
    own = results.root / "own_sampler"
    own.mkdir()
    for name in ("tables", "figures", "claims.csv", "compare.csv"):
        (results.root / name).rename(own / name)
    job = "select/02_ddpo_aesthetic_0.tsv"
    (own / "benchmarks/select").mkdir(parents=True)
    (results.root / "benchmarks" / job).rename(own / "benchmarks" / job)
    read = page(results, sampler="own")
    assert "evaluation images by each arm's own sampler" in read.text
    assert "evaluation_sampler=own" in read.text
    for text in (
        "24.6",
        "41.67",
        "Two bands",
        "2 min 00 s",
        "epoch 20",
        "results/demo/own_sampler",
    ):
        assert text in read.text
    work = re.search(r"Work done\s*(.*)summed over jobs", read.text)[1]
    assert work == "30.0 s"  # of this page; the trainings are with the configurations
    for link in read.links:
        assert link.startswith("#") or link in ("data:,", "../plan.md") or (own / link).exists()
    assert "evaluation images by each arm's own" not in page(results).text
