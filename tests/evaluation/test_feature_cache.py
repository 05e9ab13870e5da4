"""Features of folders of images: streamed, kept, used again."""

import json
import threading
import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from pcpo.config import FeatureSource
from pcpo.evaluation import feature_cache as image_set
from pcpo.evaluation.feature_cache import ImageSet
from pcpo.evaluation.images import write_images
from pcpo.evaluation.quality import measure
from pcpo.metrics import frechet
from pcpo.metrics.diversity import mean_pairwise_squared_distance


class Colours:
    """A toy extractor: colour means, and every pixel as a long vector."""

    outputs = ("means", "pixels")
    digest = "colours 1"

    def __init__(self):
        self.batches = []

    def __call__(self, images):
        self.batches.append(len(images))
        values = images.numpy().astype(np.float32) / 255
        return {"means": values.mean(axis=(2, 3)), "pixels": values.reshape(len(values), -1)}


def source(output, metric):
    return FeatureSource(features="colours", output=output, metric=metric, measured=metric)


QUALITY = {"fid": source("means", "frechet"), "lpips_diversity": source("pixels", "diversity")}


def rows(prompts, seeds):
    return [(i, f"prompt {i}", seed) for i in range(prompts) for seed in range(seeds)]


def pictures(count, seed=0, size=8):
    return np.random.default_rng(seed).integers(0, 256, size=(count, 3, size, size), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    write_images(tmp_path / "images", rows(3, 5), iter(pictures(15)))
    return tmp_path / "images"


def vectors(seed=0):
    return pictures(15, seed).astype(np.float32).reshape(15, -1) / 255


def test_features_and_values_are_of_every_image(folder):
    images = ImageSet(folder, {"colours": Colours()}, QUALITY)
    assert len(images) == 15
    assert images.dimensions == {("colours", "means"): 3, ("colours", "pixels"): 192}
    expected = vectors().reshape(15, 3, 64).mean(axis=2)
    np.testing.assert_allclose(images.rows["colours", "means"][:], expected, rtol=1e-5)
    values = images.values["colours", "pixels", "diversity"]
    for prompt in range(3):
        own = vectors()[5 * prompt : 5 * prompt + 5]
        assert values[prompt] == mean_pairwise_squared_distance(own)
    assert not list((folder / "features").glob("*.pixels.npy"))  # never on disk


@pytest.mark.parametrize(("size", "piece"), [(4, 2**26), (4, 1), (1, 3000), (256, 1)])
def test_how_images_are_batched_does_not_matter(folder, monkeypatch, size, piece):
    whole = ImageSet(folder, {"colours": Colours()}, QUALITY)
    write_images(folder.parent / "again", rows(3, 5), iter(pictures(15)))
    monkeypatch.setattr(image_set, "IMAGES", size)
    monkeypatch.setattr(image_set, "PIECE", piece)
    extractor = Colours()
    batched = ImageSet(folder.parent / "again", {"colours": extractor}, QUALITY)
    assert extractor.batches == [size] * (15 // size) + [15 % size] * (15 % size > 0)
    key = "colours", "pixels", "diversity"
    for prompt, value in batched.values[key].items():
        assert value == pytest.approx(whole.values[key][prompt], rel=1e-12)


def test_large_images_come_in_small_batches(tmp_path, monkeypatch):
    write_images(tmp_path, rows(2, 5), iter(pictures(10, size=16)))
    monkeypatch.setattr(image_set, "PIXELS", 3 * 16 * 16 + 1)
    extractor = Colours()
    ImageSet(tmp_path, {"colours": extractor}, QUALITY)
    assert extractor.batches == [3, 3, 3, 1]


def test_features_on_disk_are_used_again(folder):
    first, second = Colours(), Colours()
    before = ImageSet(folder, {"colours": first}, QUALITY)
    after = ImageSet(folder, {"colours": second}, QUALITY)
    assert first.batches and not second.batches
    assert before.computed == ["colours.means", "colours.pixels"] and after.computed == []
    np.testing.assert_array_equal(
        before.rows["colours", "means"][:], after.rows["colours", "means"][:]
    )
    assert before.values == after.values and before.dimensions == after.dimensions


def test_other_images_with_the_same_prompts_and_seeds_are_seen(folder):
    ImageSet(folder, {"colours": Colours()}, QUALITY)
    write_images(folder, rows(3, 5), iter(pictures(15, seed=1)))  # of another checkpoint
    images = ImageSet(folder, {"colours": Colours()}, QUALITY)
    assert images.computed == ["colours.means", "colours.pixels"]
    expected = vectors(seed=1).reshape(15, 3, 64).mean(axis=2)
    np.testing.assert_allclose(images.rows["colours", "means"][:], expected, rtol=1e-5)


@pytest.mark.parametrize("damage", ["truncated", "missing", "no note", "half a note", "weights"])
def test_what_is_damaged_or_of_other_weights_is_computed_again(folder, damage):
    before = ImageSet(folder, {"colours": Colours()}, QUALITY).rows["colours", "means"][:]
    array = folder / "features/colours.means.npy"
    note = folder / "features/colours.means.json"
    extractor = Colours()
    if damage == "truncated":
        array.write_bytes(array.read_bytes()[:-4])
    elif damage == "missing":
        array.unlink()
    elif damage == "no note":
        note.unlink()
    elif damage == "half a note":
        note.write_text(note.read_text()[:20])
    else:
        extractor.digest = "colours 2"
    again = ImageSet(folder, {"colours": extractor}, QUALITY)
    others = ["colours.pixels"] if damage == "weights" else []
    assert again.computed == ["colours.means", *others]
    np.testing.assert_array_equal(again.rows["colours", "means"][:], before)


@pytest.mark.parametrize(
    ("file", "again"),
    [("means.npy", "means"), ("means.json", "means"), ("pixels.diversity.json", "pixels")],
)
def test_a_flipped_bit_anywhere_is_computed_again(folder, file, again):
    before = ImageSet(folder, {"colours": Colours()}, QUALITY)
    path = folder / f"features/colours.{file}"
    whole = path.read_bytes()
    for position in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        after = ImageSet(folder, {"colours": Colours()}, QUALITY)
        assert after.computed == [f"colours.{again}"]
        assert after.values == before.values
        assert path.read_bytes() == whole


def test_a_stop_leaves_nothing_that_could_be_taken_for_features(folder):
    class Stopping(Colours):
        def __call__(self, images):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ImageSet(folder, {"colours": Stopping()}, QUALITY)
    assert [file.name for file in (folder / "features").iterdir()] == ["lock"]


def test_two_processes_compute_shared_features_once(folder):
    class Slow(Colours):
        def __call__(self, images):
            time.sleep(0.2)
            return super().__call__(images)

    extractors = [Slow(), Slow()]
    threads = [
        threading.Thread(target=ImageSet, args=(folder, {"colours": extractor}, QUALITY))
        for extractor in extractors
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(extractor.batches) for extractor in extractors) == [0, 1]


def test_nan_is_named_with_its_image(folder):
    class Broken(Colours):
        def __call__(self, images):
            values = super().__call__(images)
            values["pixels"][7, 3] = np.nan
            return values

    with pytest.raises(ValueError, match=r"colours\.pixels are NaN .*'prompt 1'\) image seed 2"):
        ImageSet(folder, {"colours": Broken()}, QUALITY)


def test_a_mixed_up_index_is_refused(folder):
    path = folder / "index.csv"
    index = pd.read_csv(path)
    index.sort_values(["image_seed", "prompt_id"]).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"index\.csv: a prompt's images do not follow"):
        ImageSet(folder, {"colours": Colours()}, QUALITY)
    pd.concat([index, index.iloc[[4]]]).sort_values("prompt_id").to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"1 images are there twice, first prompt 0 .* seed 4"):
        ImageSet(folder, {"colours": Colours()}, QUALITY)


def test_an_unknown_output_is_named(folder):
    quality = {"fid": source("pooled", "frechet")}
    with pytest.raises(ValueError, match=r"quality\.fid: .*colours\.py gives no 'pooled', only"):
        ImageSet(folder, {"colours": Colours()}, quality)


def test_notes_say_what_the_features_were_made_from(folder):
    ImageSet(folder, {"colours": Colours()}, QUALITY)
    note = json.loads((folder / "features/colours.means.json").read_text())
    assert note["extractor"] == "colours 1" and len(note["images"]) == 64


def test_memory_does_not_grow_with_the_number_of_images(tmp_path, monkeypatch):
    """Extraction and metrics, 10 times as many images: peak memory within 10 %."""

    class Long(Colours):
        outputs = ("powers", "pixels")

        def __call__(self, images):
            values = super().__call__(images)
            powers = [values["means"] ** (k / 10) for k in range(1, 41)]
            return {
                "powers": np.concatenate(powers, axis=1),
                "pixels": np.repeat(values["pixels"], 30, axis=1),
            }

    quality = {
        "fid": source("powers", "frechet"),
        "is_star": source("powers", "inception_score"),
        "lpips_diversity": source("pixels", "diversity"),
    }
    monkeypatch.setattr(image_set, "IMAGES", 64)
    monkeypatch.setattr(image_set, "PIECE", 1)
    monkeypatch.setattr(frechet, "BLOCK", 2**14)
    peaks = []
    for seeds in (100, 1000):
        write_images(tmp_path / f"{seeds}", rows(2, seeds), iter(pictures(2 * seeds)))
        tracemalloc.start()
        images = ImageSet(tmp_path / f"{seeds}", {"colours": Long()}, quality)
        measure({"base": images}, images, quality, "x", 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert images.dimensions == {("colours", "powers"): 120, ("colours", "pixels"): 5760}
    assert peaks[1] < 1.1 * peaks[0], peaks
    kept = 2000 * 5760 * 4  # bytes, were the vectors kept
    assert peaks[1] < kept / 3
