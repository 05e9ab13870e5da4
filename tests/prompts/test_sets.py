"""Published files -> prompts: each set's rule on a small file, and what is known of real ones."""

import hashlib
import json
import sys
import zipfile

import pytest

from pcpo.cli import assets as command
from pcpo.cli import console
from pcpo.prompts import sets as prompt_sets
from pcpo.prompts.file import read_prompts
from pcpo.prompts.sets import ACTIVITIES, NOUNS, SETS, build, check


class Words:
    """A tokenizer of one token a word, and two more for beginning and end."""

    def __call__(self, texts, verbose):
        return {"input_ids": [[0, *map(len, text.split()), 0] for text in texts]}


def source(root, name, text, file="prompts.txt"):
    folder = root / "sources" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(text.encode())
    return root


def test_the_nouns_are_the_published_file(tmp_path):
    file = build("animal", tmp_path)
    digest = "ee3d9b638ce2a40e896a34319af85709d3c1c3188da0b8feda739dcb7363188d"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest


def test_activities(tmp_path):
    prompts = read_prompts(build("activity", tmp_path))
    assert prompts[:3] == ["a cat washing the dishes", "a cat riding a bike", "a cat playing chess"]
    assert "an ant riding a bike" in prompts
    assert len(set(prompts)) == 135


def test_articles_are_those_of_inflect():
    engine = pytest.importorskip("inflect").engine()
    expected = [f"{engine.a(noun)} {activity}" for noun in NOUNS for activity in ACTIVITIES]
    assert prompt_sets.activities() == expected


def test_only_a_newline_ends_a_prompt(tmp_path):
    text = "one  two \r\n\n  three\u2028four\x0cfive\n \nsix"
    prompts = read_prompts(build("hpd", source(tmp_path, "hpd", text)))
    assert prompts == ["one  two", "three\u2028four\x0cfive", "six"]


def test_hpd_as_the_two_trainers_of_dancegrpo_take_it(tmp_path):
    text = "".join(f"prompt {n}\n一只猫 {n}\n" for n in range(50_010))
    root = source(tmp_path, "hpd", text)
    assert len(read_prompts(build("hpd", root))) == 100_020
    for_flux = read_prompts(build("hpd_flux", root))
    assert for_flux == [f"prompt {n}" for n in range(50_000)]


def test_coco_takes_the_caption_of_the_lowest_annotation_id(tmp_path, monkeypatch):
    annotations = [
        {"id": 30, "image_id": 2, "caption": "a later one"},
        {"id": 12, "image_id": 7, "caption": "two\nlines "},
        {"id": 9, "image_id": 2, "caption": "the first"},
        {"id": 10, "image_id": 2, "caption": "the second"},
    ]
    folder = tmp_path / "sources/coco"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "annotations_trainval2017.zip", "w") as archive:
        archive.writestr(prompt_sets.COCO_CAPTIONS, json.dumps({"annotations": annotations}))
    with pytest.raises(ValueError, match="coco: 2 prompts instead of 5000"):
        build("coco", tmp_path)
    assert not (tmp_path / "prompts").exists()
    made = SETS["coco"].make(folder)
    assert made == ["the first", "two lines"]
    (folder / "annotations_trainval2017.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match="holds no annotations/captions_val2017.json"):
        build("coco", tmp_path)


def test_mjhq_drops_long_prompts_and_keeps_the_files_order():
    lengths = {"b": 75, "a": 76, "d": 1, "c": 2}
    meta = {key: {"prompt": " ".join([key] * count)} for key, count in lengths.items()}
    kept = prompt_sets.mjhq_prompts(meta, Words(), count=2)
    assert [prompt[0] for prompt in kept] == ["b", "d"]  # 75 words and the two ends are 77


def test_mjhq_with_a_clip_tokenizer_of_its_own_folder(tmp_path):
    from pcpo.synthetic.tokenizers import clip_tokenizer

    folder = tmp_path / "sources/mjhq"
    clip_tokenizer().save_pretrained(folder / "tokenizer")
    prompts = ["red circle", " ".join(["circle"] * 200)]
    meta = {str(n): {"category": "x", "prompt": prompt} for n, prompt in enumerate(prompts)}
    (folder / "meta_data.json").write_text(json.dumps(meta))
    assert SETS["mjhq"].make(folder) == ["red circle"]


def test_long_prompts_are_refused_by_line():
    prompts = ["short", " ".join("w" * 76), "fine", " ".join("w" * 80)]
    assert prompt_sets.count_tokens(prompts, Words()) == [3, 78, 3, 82]
    with pytest.raises(
        ValueError, match=r"p\.txt: more than 77 CLIP tokens in line 2 \(78\), 4 \(82\);"
    ):
        prompt_sets.refuse_long(prompts, Words(), "p.txt")
    prompt_sets.refuse_long([" ".join("w" * 75)], Words(), "p.txt")
    prompt_sets.refuse_long([], Words(), "p.txt")


@pytest.mark.parametrize(
    ("name", "prompts", "message"),
    [
        ("pick", ["a"], "pick: 1 prompts instead of 25432"),
        ("hpd", [], "no prompts"),
        ("hpd", ["a", " "], "prompt 2: the prompt is empty"),
        ("ocr", ['a sign "open"', "a sign"], "prompt 2: .* quotes no text"),
        ("animal", ["cat"] * 45, "44 prompts come twice"),
    ],
)
def test_what_a_set_must_not_be(name, prompts, message):
    with pytest.raises(ValueError, match=message):
        check(name, prompts)


def test_mistakes_are_named(tmp_path, monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(console.Log, "current", None)
        monkeypatch.setattr(sys, "argv", ["assets", *arguments, "--root", str(tmp_path)])
        with pytest.raises(SystemExit) as caught:
            console.run(command.main)
        assert caught.value.code == 1
        return capsys.readouterr().err

    assert "no prompt set 'pets'; there are: animal, activity" in call("prompts", "pets")
    assert "fetch it: python -m pcpo.cli.assets fetch sources/hpd" in call("prompts", "hpd")
    assert "no asset models/x; there are: features/dinov2" in call("fetch", "models/x")
    source(tmp_path, "hpd", "")
    (tmp_path / "sources/hpd/prompts.txt").write_bytes(b"caf\xe9\n")
    assert "prompts.txt is not UTF-8 text: line 1, byte 3 of the file (0xe9" in call(
        "prompts", "hpd"
    )
    assert not (tmp_path / "prompts").exists()
