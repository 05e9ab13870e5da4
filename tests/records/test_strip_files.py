"""Which preview strips there are, and which a figure shows."""

from itertools import pairwise

from pcpo.records.strip_files import MOST, shown_strips, strip_file, strip_files


def touch(run, *epochs):
    for epoch in epochs:
        strip_file(run, epoch).parent.mkdir(parents=True, exist_ok=True)
        strip_file(run, epoch).touch()
    return run


def test_strips_are_found_by_their_epoch(tmp_path):
    assert strip_files(tmp_path) == {}
    touch(tmp_path, 100_000, 8, 0)
    (strip_file(tmp_path, 0).parent / "epoch_last.png").touch()
    assert list(strip_files(tmp_path)) == [0, 8, 100_000]
    assert strip_files(tmp_path)[8] == strip_file(tmp_path, 8)


def test_a_figure_shows_few_epochs_and_always_the_first_and_the_last(tmp_path):
    one, other = touch(tmp_path / "a", *range(0, 301)), touch(tmp_path / "b", 0, 300, 301)
    shown = shown_strips([one, other])
    epochs = sorted({*shown[0], *shown[1]})
    assert len(epochs) == MOST and epochs[0] == 0 and epochs[-1] == 301
    steps = [b - a for a, b in pairwise(epochs)]
    assert max(steps) - min(steps) <= 1
    # Of these alone, as an archive has them, all are shown.
    kept = [touch(tmp_path / f"kept{n}", *own) for n, own in enumerate(shown)]
    assert [[*own] for own in shown_strips(kept)] == [[*own] for own in shown]


def test_few_strips_are_all_shown(tmp_path):
    runs = [touch(tmp_path / "a", 0, 8), touch(tmp_path / "b", 8, 16), tmp_path / "none"]
    assert [[*own] for own in shown_strips(runs)] == [[0, 8], [8, 16], []]
