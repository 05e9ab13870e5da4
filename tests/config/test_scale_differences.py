"""Every difference of a scale from the paper is printed below every table."""

import shutil

import pytest

from pcpo.config import experiment_names, files, load_experiment
from pcpo.config.scale_differences import scale_differences
from pcpo.tables.notes import difference_notes


def leaves(data, prefix=""):
    if not isinstance(data, dict):
        return {prefix[:-1]: data}
    found = {}
    for key, value in data.items():
        found |= leaves(value, f"{prefix}{key}.")
    return found


@pytest.mark.parametrize("name", experiment_names())
def test_no_difference_at_the_papers_scale_nor_with_synthetic_data(name):
    assert [scale_differences(name, scale) for scale in ("paper", "demo", "smoke")] == [[], [], []]


@pytest.mark.parametrize("scale", ["pilot", "original"])
@pytest.mark.parametrize("name", experiment_names())
def test_every_changed_leaf_is_named_and_no_other(name, scale):
    left_out = {"scale", "execution"}
    before, after = (
        leaves(load_experiment(name, s).model_dump(mode="json", exclude=left_out))
        for s in ("paper", scale)
    )
    changed = {k for k in before | after if before.get(k) != after.get(k)}
    named = [difference.split(" ")[0] for difference in scale_differences(name, scale)]
    assert len(named) == len(set(named))
    for key in changed:
        assert any(key == n or key.startswith(f"{n}.") for n in named), key
    for key in named:
        assert any(key == c or c.startswith(f"{key}.") for c in changed), key
    if int(name[:2]) in {1, 2, 3, 4, 5, 6, 8, 9, 10}:  # 7 has no official code to follow
        assert changed


def test_the_words():
    first = scale_differences("01_ddpo_aesthetic_half", "pilot")
    assert "epochs 300 -> 14" in first
    assert "batch.images_per_iteration 256 -> 32" in first
    assert "evaluation.reward_levels [6, 6.3, 6.6, 6.9] -> none" in first
    adapter = "lora none -> rank 128, alpha 256, init kaiming, target_modules [to_k, to_q, to_v, "
    assert any(difference.startswith(adapter) for difference in scale_differences(10, "pilot"))
    assert "reward.options.jpeg_quality none -> 75" in scale_differences(5, "original")


def test_an_edited_size_changes_the_words(tmp_path, monkeypatch):
    before = scale_differences(8, "pilot")
    shutil.copytree("config", tmp_path / "config")
    monkeypatch.setattr(files, "CONFIG", tmp_path / "config")
    file = tmp_path / "config" / "scale" / "pilot.yaml"
    file.write_text(file.read_text().replace("epochs: 16", "epochs: 24"))
    after = scale_differences(8, "pilot")
    assert [c.replace("-> 16", "-> 24") if c.startswith("epochs") else c for c in before] == after
    assert before != after


def test_notes_group_what_is_equal():
    one = {1: ["epochs 300 -> 16", "seeds 9 -> 2"]}
    assert difference_notes(one) == [
        "Configuration 1, unlike the paper's scale: epochs 300 -> 16; seeds 9 -> 2."
    ]
    equal = one | {2: one[1]}
    assert difference_notes(equal) == [
        "Configuration 1, 2, unlike the paper's scale: epochs 300 -> 16; seeds 9 -> 2."
    ]
    mixed = equal | {3: ["seeds 9 -> 2", "lora none -> rank 4"], 4: ["seeds 9 -> 2"]}
    assert difference_notes(mixed) == [
        "Configuration 1, 2, 3, 4, unlike the paper's scale: seeds 9 -> 2.",
        "Configuration 1, 2, unlike the paper's scale: epochs 300 -> 16.",
        "Configuration 3, unlike the paper's scale: lora none -> rank 4.",
    ]
    different = {1: ["epochs 300 -> 16"], 2: []}
    assert difference_notes(different) == [
        "Configuration 1, unlike the paper's scale: epochs 300 -> 16.",
        "Configuration 2: as at the paper's scale.",
    ]
    assert difference_notes({}) == difference_notes({1: [], 2: []}) == []


def test_no_difference_is_lost_in_the_notes():
    by_number = {n: scale_differences(n, "pilot") for n in range(1, 7)}
    printed = {n: set() for n in by_number}
    for line in difference_notes(by_number):
        who, what = line.removesuffix(".").split(", unlike the paper's scale: ")
        for number in who.removeprefix("Configuration ").split(", "):
            printed[int(number)] |= set(what.split("; "))
    assert printed == {number: set(own) for number, own in by_number.items()}


def test_a_table_lists_the_differences_of_its_own_configurations():
    from pcpo.config import load_experiments
    from pcpo.records import frame_file, frames
    from pcpo.tables.build import build

    empty = {
        "per_prompt": frame_file.read([], frames.METRICS_PER_PROMPT),
        "selection": frame_file.read([], frames.SELECTION),
    }
    of_all = {n: scale_differences(n, "pilot") for n in range(1, 11)}
    table = build("table4", load_experiments("pilot"), empty, "pilot", of_all)
    lines = [note for note in table.notes if "unlike the paper's scale" in note]
    assert lines == difference_notes({5: of_all[5], 6: of_all[6]})
    assert len(lines) > 1
    plain = build("table4", load_experiments("pilot"), empty, "pilot")
    assert plain.notes == tuple(n for n in table.notes if n not in lines)
