"""What a reward needs of its prompts is looked at before anything is spent."""

import pytest

from pcpo import config, rewards
from pcpo.cli import train
from pcpo.config import load_experiment, load_scale
from pcpo.prompts.needs import NEEDS, check_prompts, needs_of, quoted_text
from tests.system.pipeline import copy_sources, snakemake


def test_the_text_to_draw_is_between_the_first_pair_of_quotes():
    assert quoted_text('a sign that says "Stop now" next to "Go"') == "Stop now"
    for original in ("You’re Roasted", "13½ Floor", "E=mc²", " é "):  # as in the published set
        assert quoted_text(f'it says "{original}"') == original


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a sign", "quotes no text"),
        ('a sign "', "quotes no text"),
        ("it says “Stop”", "quotes no text so; “ ” are others: replace them"),
        ("it says ＂Stop＂", "＂ are others"),
        ('an empty "" sign', "is empty"),
        ('a blank " " sign', "is empty"),
        ('nothing to see "\u3000\u200b\ufeff"', "is empty"),
        ('it says "ＳＴＯＰ now"', "full-width 'Ｓ', .*; write 'STOP now'"),
    ],
)
def test_what_quotes_no_text_that_can_be_read_is_refused(prompt, message):
    with pytest.raises(ValueError, match=message):
        quoted_text(prompt)


def test_needs_are_of_rewards_that_there_are():
    assert set(NEEDS) <= set(rewards.names())
    scale = load_scale("smoke")
    source = scale.rewards["ocr"].model_copy(update={"implementation": "ocr"})
    other = scale.model_copy(update={"rewards": scale.rewards | {"mine": source}})
    assert needs_of(other, "mine") == needs_of(scale, "ocr", "hps") == [quoted_text]
    assert needs_of(scale, "hps", "aesthetic") == []


@pytest.fixture
def scale(tmp_path):
    """Paper's scale with sets of the test: `ocr` quotes in its first line alone."""
    chosen = load_scale("paper")
    files = {name: tmp_path / f"{name}.txt" for name in chosen.prompts}
    for file in files.values():
        file.write_text('it says "Stop"\nit says “Go”\n', encoding="utf-8")
    return chosen.model_copy(update={"prompts": {n: str(f) for n, f in files.items()}})


def test_every_set_is_looked_at_that_an_experiment_scores(scale, tmp_path):
    ocr, others = load_experiment(8, "paper"), [load_experiment(n, "paper") for n in (1, 5)]
    check_prompts(scale, others)
    with pytest.raises(ValueError, match=r"ocr\.txt: line 2: the OCR reward needs"):
        check_prompts(scale, [*others, ocr])
    for name in (ocr.prompts, ocr.validation.prompts):
        with pytest.raises(ValueError, match=rf"/{name}\.txt: line 2: the OCR reward needs"):
            check_prompts(scale, [ocr])
        (tmp_path / f"{name}.txt").unlink()  # what is not there yet is made later
    check_prompts(scale, [ocr])
    scored = scale.model_copy(update={"alignment": {"coco": {"text": "ocr"}, "mjhq": {}}})
    with pytest.raises(ValueError, match=r"coco\.txt: line 2: the OCR reward needs"):
        check_prompts(scored, others)


def test_training_looks_before_it_loads_a_model(scale, tmp_path, monkeypatch):
    monkeypatch.setattr(config, "load_scale", lambda name: scale)
    monkeypatch.setattr("sys.argv", ["train", "8", "pcpo", "--device", "cpu", "--out", "run"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"ocr\.txt: line 2: the OCR reward needs"):
        train.main()
    assert not (tmp_path / "run").exists()


def test_a_dry_run_names_the_file_and_the_line(tmp_path):
    copy = copy_sources(tmp_path / "copy")
    prompts = copy / "data/prompts"
    prompts.mkdir(parents=True)
    (prompts / "ocr.txt").write_text('it says "Stop"\nit says ""\n')
    (prompts / "animal.txt").write_bytes(b"cat\n")
    real = ("-n", "--config", "scale=paper")
    code, output = snakemake(copy, *real, "experiments=[1,8]", "--", "08_flowgrpo_ocr")
    assert code == 1
    assert "data/prompts/ocr.txt: line 2: the OCR reward needs a text to draw" in output
    code, output = snakemake(copy, *real, "experiments=[1]", "--", "01_ddpo_aesthetic_half")
    assert code == 0, output  # another experiment's set
    (prompts / "animal.txt").write_bytes(b"caf\xe9\n")
    code, output = snakemake(copy, *real, "experiments=[1]", "--", "01_ddpo_aesthetic_half")
    assert code == 1
    assert "data/prompts/animal.txt is not UTF-8 text: line 1, byte 3" in output
    (prompts / "animal.txt").unlink()
    (prompts / "animal.txt").mkdir()  # root may read every file, but not a folder as one
    code, output = snakemake(copy, *real, "experiments=[1]", "--", "01_ddpo_aesthetic_half")
    assert code == 1
    assert "Is a directory: 'data/prompts/animal.txt'" in output
    assert "IsADirectoryError in file" not in output
