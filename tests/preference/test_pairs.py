"""The pool and its key: complete, balanced, and nothing tells the arms apart without the key."""

import io
import json
import re
import stat
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pcpo.paths import PACKAGE
from pcpo.preference.pairs import damaged, read_key, read_pool
from pcpo.preference.questions import COMPARISONS
from tests.preference.conftest import make_study

CHANNEL = {"pcpo": 0, "lower_reward": 1, "higher_reward": 2}


def colour(study, name):
    data = (study.pairs / "images" / name).read_bytes()
    return int(np.asarray(Image.open(io.BytesIO(data)))[0, 0].argmax())


def test_every_image_is_where_the_key_says(study):
    assert read_pool(study.pairs) == study.pool
    for pair in study.pool.pairs:
        whose = study.key.pairs[pair.id]
        if pair.kind == "check":
            continue
        shown = [colour(study, pair.first), colour(study, pair.second)]
        expected = [CHANNEL["pcpo"], CHANNEL[whose.comparison]]
        assert shown == (expected if whose.first == "pcpo" else expected[::-1])
        assert pair.prompt == f"a cat, number {whose.prompt_id}"


def test_all_pairs_are_there_and_pcpo_is_first_in_half_of_each_prompts(tmp_path):
    study = make_study(tmp_path, prompts=45, images=10)  # as many as the paper has
    of = Counter((w.comparison, w.prompt_id) for w in study.key.pairs.values())
    first = Counter((w.comparison, w.prompt_id) for w in study.key.pairs.values()
                    if w.first == "pcpo")  # fmt: skip
    for comparison in COMPARISONS:
        assert [of[comparison, prompt] for prompt in range(45)] == [10] * 45
        assert [first[comparison, prompt] for prompt in range(45)] == [5] * 45


def test_an_odd_number_of_images_is_balanced_over_the_prompts(tmp_path):
    study = make_study(tmp_path, prompts=6, images=3)
    first = Counter(w.comparison for w in study.key.pairs.values() if w.first == "pcpo")
    assert [first[comparison] for comparison in COMPARISONS] == [9, 9]


def test_the_folder_of_the_pairs_has_nothing_of_the_key(study):
    text = (study.pairs / "pairs.json").read_text()
    for word in ("pcpo", "baseline", "reward", "epoch", "intact", "damaged", study.key.salt):
        assert word not in text
    names = [path.name for path in study.pairs.rglob("*") if path.is_file()]
    assert len(names) == len(set(names)) == 1 + 2 * len(study.pool.pairs)
    assert all(re.fullmatch(r"[\w-]{16}\.png|pairs\.json", name) for name in names)
    for path in (study.pairs / "images").iterdir():
        image = Image.open(path)
        assert image.info == {} and set(image.getexif()) == set()


@pytest.mark.parametrize("module", ["answers", "app", "limits", "schedule"])
def test_the_page_does_not_know_how_to_read_a_key(module):
    source = (PACKAGE / "preference" / f"{module}.py").read_text()
    assert not re.search(r"read_key|Whose|\bKey\b", source)


def test_the_key_is_its_owners_alone_and_named_after_its_digest(study):
    (path,) = study.keys.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name == f"{study.pool.key}.json"


def test_two_pools_of_the_same_images_have_nothing_in_common(tmp_path):
    one, two = (make_study(tmp_path / name) for name in "ab")
    assert not {pair.id for pair in one.pool.pairs} & {pair.id for pair in two.pool.pairs}
    assert one.pool.key != two.pool.key


def test_a_changed_key_and_the_key_of_others_are_refused(study, tmp_path):
    other = make_study(tmp_path / "other")
    (path,) = study.keys.iterdir()
    with pytest.raises(ValueError, match="is not the key of these answers"):
        read_key(next(other.keys.iterdir()), study.pool.key, study.pool.digest)
    with pytest.raises(ValueError, match="pairs that people saw are not those of this key"):
        read_key(path, study.pool.key, other.pool.digest)
    path.write_text(path.read_text().replace('"baseline"', '"pcpo"', 1))
    with pytest.raises(ValueError, match="or was changed after them"):
        read_key(path, study.pool.key, study.pool.digest)
    with pytest.raises(FileNotFoundError, match="this key is missing"):
        read_key(study.keys, other.pool.key, other.pool.digest)


@pytest.mark.parametrize("name", ["../keys/secret.png", "/etc/passwd", "a.png", "x" * 20 + ".jpg"])
def test_a_pool_of_others_names_no_file_elsewhere(study, name):
    path = study.pairs / "pairs.json"
    content = json.loads(path.read_text())
    content["pairs"][3]["first"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"pairs\.json: pairs\.3\.first: .*study_pairs"):
        read_pool(study.pairs)


def test_a_missing_image_is_named(study):
    name = study.pool.pairs[2].second
    (study.pairs / "images" / name).unlink()
    with pytest.raises(ValueError, match=f"{re.escape(name)} is missing"):
        read_pool(study.pairs)


def test_a_damaged_image_is_far_from_the_intact_one():
    image = np.zeros((3, 64, 48), np.uint8)
    image[:, 20:40, 10:30] = 255
    found = damaged(image)
    assert found.shape == image.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - image).mean() > 40
