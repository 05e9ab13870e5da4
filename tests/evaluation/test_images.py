"""Folders of images: what is written comes back, and damage is named."""

import errno
import io
import threading
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pcpo.evaluation import images
from pcpo.evaluation.images import image_digest, missing_rows, read_images, read_index, write_images
from tests.hostile_prompts import HOSTILE

PROMPTS = ("red circle", "blue star", "green moon")
KEY = ["prompt_id", "prompt", "image_seed"]
ROWS = [(7 + i, prompt, seed) for i, prompt in enumerate(PROMPTS) for seed in range(4)]


@pytest.fixture
def expected():
    return np.random.default_rng(0).integers(0, 256, size=(12, 3, 32, 32), dtype=np.uint8)


def test_shards_round_trip(tmp_path, expected):
    write_images(tmp_path / "images", ROWS, iter(expected))
    folder = tmp_path / "images"
    assert {p.name for p in folder.iterdir()} == {
        "index.csv", "prompt_007.zip", "prompt_008.zip", "prompt_009.zip"
    }  # fmt: skip
    index = read_index(folder)
    assert list(index[KEY].itertuples(index=False, name=None)) == ROWS
    assert np.array_equal(read_images(folder, index), expected)
    some = index.iloc[[10, 2, 5]]
    assert np.array_equal(read_images(folder, some), expected[[10, 2, 5]])
    with zipfile.ZipFile(folder / "prompt_008.zip") as archive:  # as a person would open it
        picture = Image.open(archive.open("image_seed_0003.png"))
        assert np.array_equal(np.asarray(picture), expected[7].transpose(1, 2, 0))


def test_equal_images_give_equal_bytes(tmp_path, expected):
    for name in ("one", "two"):
        write_images(tmp_path / name, ROWS, iter(expected))
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_prompts_are_text_whatever_they_look_like(tmp_path, expected):
    rows = [(i, prompt, 0) for i, prompt in enumerate(HOSTILE)]
    write_images(tmp_path, rows, (expected[0] for _ in rows))
    index = read_index(tmp_path)
    assert list(index[KEY].itertuples(index=False, name=None)) == rows
    for wrong in (b"x", b"9" * 30, b""):
        line = b"%b,a,0,b,c\n" % wrong
        (tmp_path / "index.csv").write_bytes(b"prompt_id,prompt,image_seed,shard,file\n" + line)
        with pytest.raises(ValueError, match=r"index\.csv: prompt_id: .*; delete"):
            read_index(tmp_path)
    (tmp_path / "index.csv").write_bytes(b"prompt_id,prompt\n1,caf\xe9\n")
    with pytest.raises(ValueError, match=r"index\.csv: cannot be read as a table"):
        read_index(tmp_path)


def test_images_are_made_while_earlier_ones_are_compressed(tmp_path, expected, monkeypatch):
    asked = threading.Event()

    def png(image):
        assert asked.wait(20), "the next image is not asked for before this one is compressed"
        return compress(image)

    def make():
        yield expected[0]
        asked.set()
        yield from expected[1:]

    compress = images._png
    monkeypatch.setattr(images, "_png", png)
    write_images(tmp_path, ROWS, make())
    assert np.array_equal(read_images(tmp_path, read_index(tmp_path)), expected)


def test_few_images_wait_for_their_pngs(tmp_path, expected, monkeypatch):
    monkeypatch.setattr(images, "_AHEAD", 2)
    made, ahead = [], []

    def png(image):
        time.sleep(0.05)
        ahead.append(len(made) - len(ahead))
        return compress(image)

    compress = images._png
    monkeypatch.setattr(images, "_png", png)
    write_images(tmp_path, ROWS, (made.append(1) or image for image in expected))
    assert max(ahead) <= 4


def test_a_png_that_fails_ends_the_writing(tmp_path, expected, monkeypatch):
    """It would be missing, and the next one be in its place."""

    def png(image):
        if image is expected[5]:
            raise MemoryError
        return compress(image)

    expected, compress = list(expected), images._png
    monkeypatch.setattr(images, "_png", png)
    with pytest.raises(MemoryError):
        write_images(tmp_path, ROWS, iter(expected))
    assert [p.name for p in tmp_path.iterdir()] == ["prompt_007.zip"]


@pytest.fixture
def compressed(monkeypatch):
    """One entry for each PNG that was made; each takes a while."""
    made = []

    def png(image):
        time.sleep(0.05)
        made.append(1)
        return b""

    monkeypatch.setattr(images, "_png", png)
    return made


def test_a_full_disk_does_not_wait_for_the_pngs(tmp_path, expected, compressed, monkeypatch):
    def full(archive, name, data):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(images.zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space left"):
        write_images(tmp_path, ROWS, iter(expected))
    assert len(compressed) <= 3 < len(expected)


def test_a_generation_that_stops_leaves_no_index(tmp_path, expected):
    write_images(tmp_path, ROWS, iter(expected))

    def failing():
        yield from expected[:6]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_images(tmp_path, ROWS, failing())
    with pytest.raises(FileNotFoundError, match=r"index\.csv is missing"):
        read_index(tmp_path)


def test_an_interrupt_does_not_wait_for_the_pngs(tmp_path, expected, compressed):
    def interrupted():
        yield from expected
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_images(tmp_path, ROWS, interrupted())
    assert len(compressed) <= 2 < len(expected)


def test_a_stopped_generation_resumes_after_its_whole_shards(tmp_path, expected):
    def make(rows, stop=None):
        places = [ROWS.index(row) for row in rows]
        yield from expected[places[:stop]]
        if stop is not None:
            raise RuntimeError

    missing = missing_rows(tmp_path, ROWS, "one")
    assert missing == ROWS
    with pytest.raises(RuntimeError):
        write_images(tmp_path, ROWS, make(missing, stop=10), "one")
    missing = missing_rows(tmp_path, ROWS, "one")
    assert missing == ROWS[8:]
    first = tmp_path / "prompt_007.zip"
    first.write_bytes(first.read_bytes().replace(b"IDAT", b"IDAX", 1))  # bit rot
    missing = missing_rows(tmp_path, ROWS, "one")
    assert missing == ROWS[:4] + ROWS[8:]
    write_images(tmp_path, ROWS, make(missing), "one")
    assert np.array_equal(read_images(tmp_path, read_index(tmp_path)), expected)
    # Of another policy, or in other numbers: nothing is kept.
    assert missing_rows(tmp_path, ROWS, "two") == ROWS
    write_images(tmp_path, ROWS, iter(expected), "two")
    fewer = [row for row in ROWS if row[2] < 2]
    assert missing_rows(tmp_path, fewer, "two") == fewer
    (tmp_path / "made_by").write_bytes(b"tw\xef")  # bit rot here too
    assert missing_rows(tmp_path, ROWS, "two") == ROWS


@pytest.mark.parametrize("damage", ["truncated", "missing", "empty", "picture"])
def test_a_damaged_shard_is_named(tmp_path, expected, damage):
    write_images(tmp_path, ROWS, iter(expected))
    shard = tmp_path / "prompt_008.zip"
    if damage == "truncated":
        shard.write_bytes(shard.read_bytes()[:-40])
    elif damage == "missing":
        shard.unlink()
    elif damage == "empty":
        shard.write_bytes(b"")
    else:
        with zipfile.ZipFile(shard, "w") as archive:
            for seed in range(4):
                archive.writestr(f"image_seed_{seed:04d}.png", b"not a picture")
    with pytest.raises(ValueError, match=r"prompt_008\.zip.*delete .*index\.csv"):
        read_images(tmp_path, read_index(tmp_path))


def test_a_grey_image_is_refused(tmp_path, expected):
    write_images(tmp_path, ROWS, iter(expected))
    with zipfile.ZipFile(tmp_path / "prompt_007.zip", "w") as archive:
        for seed in range(4):
            with archive.open(f"image_seed_{seed:04d}.png", "w") as file:
                Image.new("L", (32, 32)).save(file, format="PNG")
    with pytest.raises(ValueError, match=r"prompt_007\.zip: image_seed_0000\.png is L, not RGB"):
        read_images(tmp_path, read_index(tmp_path))


def test_a_digest_is_of_the_pictures(tmp_path, expected):
    def digest(name, rows, pixels):
        write_images(tmp_path / name, rows, iter(pixels))
        return image_digest(tmp_path / name, read_index(tmp_path / name))

    first = digest("one", ROWS, expected)
    assert digest("two", ROWS, expected) == first
    other = expected.copy()
    other[11, 2, 31, 31] ^= 1
    assert digest("two", ROWS, other) != first
    seeds = [(prompt_id, prompt, seed + 1) for prompt_id, prompt, seed in ROWS]
    assert digest("two", seeds, expected) != first
    (tmp_path / "two/prompt_008.zip").unlink()
    with pytest.raises(ValueError, match=r"prompt_008\.zip.*delete .*index\.csv"):
        image_digest(tmp_path / "two", read_index(tmp_path / "two"))


def test_an_image_that_is_there_twice_is_named(tmp_path, expected):
    write_images(tmp_path, ROWS, iter(expected))
    lines = (tmp_path / "index.csv").read_text().splitlines()
    (tmp_path / "index.csv").write_text("\n".join([*lines, lines[6]]) + "\n")
    with pytest.raises(ValueError, match=r"1 images are there twice, first prompt 8 .* line 14"):
        read_index(tmp_path)


def test_images_of_several_sizes_are_refused(tmp_path, expected):
    pictures = [*expected[:11], expected[11, :, :16]]
    write_images(tmp_path, ROWS, iter(pictures))
    with pytest.raises(ValueError, match=r"different sizes .*\(16, 32\), \(32, 32\)"):
        read_images(tmp_path, read_index(tmp_path))


@pytest.mark.parametrize(
    "shard",
    ["../outside.zip", "/tmp/outside.zip", "prompt_008.zip/../../x.zip", "x.zip", "", "..",
     "prompt_٠.zip"],
)  # fmt: skip
def test_an_index_names_shards_of_its_folder_alone(tmp_path, expected, shard):
    folder = tmp_path / "images"
    write_images(folder, ROWS, iter(expected))
    (tmp_path / "outside.zip").write_bytes((folder / "prompt_008.zip").read_bytes())
    index = pd.read_csv(folder / "index.csv", dtype=str)
    index.loc[5, "shard"] = shard
    index.to_csv(folder / "index.csv", index=False)
    with pytest.raises(ValueError, match=r"index\.csv: .* in line 7 is no shard of images; delete"):
        read_index(folder)


def test_an_index_without_a_column_is_named(tmp_path, expected):
    write_images(tmp_path, ROWS, iter(expected))
    index = pd.read_csv(tmp_path / "index.csv").drop(columns="shard")
    index.to_csv(tmp_path / "index.csv", index=False)
    with pytest.raises(ValueError, match=r"index\.csv: the column shard is missing; delete"):
        read_index(tmp_path)


@pytest.mark.parametrize("kind", ["packed", "of another format", "of too many pixels"])
def test_an_image_is_a_stored_png(tmp_path, expected, kind):
    """Pillow opens some formats with other programs, and small files can hold large images."""
    write_images(tmp_path, ROWS, iter(expected))
    picture = Image.new("1", (2**15, 2**15)) if "pixels" in kind else Image.new("RGB", (32, 32))
    buffer = io.BytesIO()
    picture.save(buffer, format="BMP" if "format" in kind else "PNG")
    method = zipfile.ZIP_DEFLATED if kind == "packed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(tmp_path / "prompt_007.zip", "w", method) as archive:
        for seed in range(4):
            archive.writestr(f"image_seed_{seed:04d}.png", buffer.getvalue())
    with pytest.raises(ValueError, match=r"prompt_007\.zip: the shard is missing or damaged"):
        read_images(tmp_path, read_index(tmp_path))
