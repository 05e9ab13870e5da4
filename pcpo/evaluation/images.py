"""Folders of images that people can open: one zip of PNGs per prompt, and an index.

Images are numpy arrays here, so that metrics, tables and figures read them without torch.
"""

from __future__ import annotations

import io
import zipfile
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pcpo.names import shown
from pcpo.records.digest import of_text
from pcpo.records.replace import new_file, write_text

INDEX = "index.csv"
MADE_BY = "made_by"  # digest of the shards' inputs, to resume a generation that was stopped
COLUMNS = ("prompt_id", "prompt", "image_seed", "shard", "file")
LARGEST_IMAGE = 2**26  # bytes of a PNG: 16 times one of 1024 x 1024 without any compression
_DATE = (2026, 1, 1, 0, 0, 0)  # of every entry, so that equal images give equal shards
_AHEAD = 128  # images that are made before their PNGs
_AGAIN = "delete the file so that the workflow makes the images again"
_SHARD = r"prompt_[0-9]+\.zip"


Row = tuple[int, str, int]  # prompt_id, prompt, image_seed


def write_images(
    folder: Path, rows: Sequence[Row], images: Iterable[NDArray[np.uint8]], made_by: str = ""
) -> None:
    """Write one zip of PNGs per prompt and an index; the index comes last.

    rows: grouped by prompt; images: `uint8 (3, H, W)` of each row, in order. With `made_by`, only
    images of the rows that `missing_rows` returned; the other shards exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    index = _index(rows)
    with closing(_pngs(images)) as stream:
        for shard, group in index.groupby("shard", sort=False):
            if made_by and (folder / str(shard)).exists():
                continue
            with (
                new_file(folder / str(shard)) as part,
                zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
            ):
                for file in group["file"]:
                    archive.writestr(zipfile.ZipInfo(str(file), _DATE), next(stream))
    write_text(folder / INDEX, index.to_csv(index=False))


def _pngs(images: Iterable[NDArray[np.uint8]]) -> Generator[bytes]:
    """The PNG of each image, in order, compressed in a thread while the next ones are sampled.

    Without it a GPU waits: of 512 x 512 pixels one takes 40 ms of a core. If `images` fails, the
    PNGs of those that it made come first. If nobody takes them, or at Ctrl-C, those that wait are
    left out at once.
    """
    waiting: deque[Future[bytes]] = deque()
    stream, failure = iter(images), None
    thread = ThreadPoolExecutor(1)
    try:
        while True:
            try:
                image = next(stream)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            waiting.append(thread.submit(_png, image))
            while waiting and (waiting[0].done() or len(waiting) > _AHEAD):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)
    if failure is not None:
        raise failure


def _png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, format="PNG")
    return buffer.getvalue()


def missing_rows(folder: Path, rows: Sequence[Row], made_by: str) -> list[Row]:
    """The rows that are still missing after an earlier `write_images` was stopped.

    made_by: digest of all inputs of the images. Shards with another digest and damaged shards are
    deleted. The index is deleted too, because it marks the folder as complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / MADE_BY
    same = note.exists() and note.read_bytes() == made_by.encode()
    (folder / INDEX).unlink(missing_ok=True)
    index, missing = _index(rows), []
    for shard, group in index.groupby("shard", sort=False):
        path = folder / str(shard)
        if not (same and _is_whole(path, list(group["file"]))):
            path.unlink(missing_ok=True)
            missing += [rows[position] for position in group.index]
    write_text(note, made_by)
    return missing


def _index(rows: Sequence[Row]) -> pd.DataFrame:
    index = pd.DataFrame(rows, columns=["prompt_id", "prompt", "image_seed"])
    index["shard"] = [f"prompt_{i:03d}.zip" for i in index["prompt_id"]]
    index["file"] = [f"image_seed_{seed:04d}.png" for seed in index["image_seed"]]
    return index


def _is_whole(shard: Path, files: list[str]) -> bool:
    try:
        with zipfile.ZipFile(shard) as archive:
            return archive.namelist() == files and archive.testzip() is None
    except PermissionError:  # another user's: do not make it again
        raise
    except (zipfile.BadZipFile, OSError):
        return False


def read_index(folder: Path) -> pd.DataFrame:
    """The index of a folder of images: prompt_id, image_seed (int64), prompt, shard, file (texts).

    A prompt stays text, even if it looks like a number or a missing value. Raises FileNotFoundError
    if there is no index. Raises ValueError if it is no such table, names a shard that
    `write_images` would not write, or names an image twice.
    """
    path = folder / INDEX
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: there are no images in {folder}")
    try:
        index = pd.read_csv(path, dtype=str, na_filter=False)
    except ValueError as error:  # pandas' parser errors and bad UTF-8 are ValueErrors
        raise ValueError(f"{path}: cannot be read as a table ({error}); {_AGAIN}") from error
    if lost := [column for column in COLUMNS if column not in index]:
        raise ValueError(f"{path}: the column {lost[0]} is missing; {_AGAIN}")
    for column in ("prompt_id", "image_seed"):
        try:
            index[column] = index[column].astype("int64")
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{path}: {column}: {error}; {_AGAIN}") from error
    foreign = index.loc[~index["shard"].str.fullmatch(_SHARD), "shard"]
    if len(foreign):
        problem = f"{shown(foreign.iloc[0])} in line {foreign.index[0] + 2} is no shard of images"
        raise ValueError(f"{path}: {problem}; {_AGAIN}")
    twice = index.index[index.duplicated(["prompt_id", "image_seed"])]
    if len(twice):
        first = index.loc[twice[0]]
        raise ValueError(
            f"{path}: {len(twice)} images are there twice, first prompt {first['prompt_id']} "
            f"({shown(first['prompt'])}) image seed {first['image_seed']} in line {twice[0] + 2}; "
            f"{_AGAIN}"
        )
    return index


def read_images(folder: Path, index: pd.DataFrame) -> NDArray[np.uint8]:
    """The images of the rows of `index`, `uint8 (N, 3, H, W)`.

    Raises ValueError for a damaged shard, an image that is not RGB, and images of several sizes.
    """
    images: dict[int, NDArray[np.uint8]] = {}
    for shard, rows in index.assign(position=range(len(index))).groupby("shard", sort=False):
        with _opened(folder, str(shard)) as archive:
            for position, file in zip(rows["position"], rows["file"], strict=True):
                # Only PNG: for some formats Pillow starts other programs.
                image = Image.open(io.BytesIO(_image(archive, file)), formats=("PNG",))
                if image.mode != "RGB":
                    raise ValueError(f"{folder / str(shard)}: {file} is {image.mode}, not RGB")
                images[position] = np.asarray(image).transpose(2, 0, 1)
    if len(sizes := {image.shape[1:] for image in images.values()}) > 1:
        raise ValueError(f"{folder}: the images have different sizes (H, W): {sorted(sizes)}")
    return np.stack([images[position] for position in range(len(index))])


def image_digest(folder: Path, index: pd.DataFrame) -> str:
    """Digest of the images that `index` names, from the checksums in the shards' directories.

    Raises ValueError for a shard that is missing or damaged.
    """
    parts = [index.to_csv(index=False)]
    for shard, rows in index.groupby("shard", sort=False):
        with _opened(folder, str(shard)) as archive:
            for file in rows["file"]:
                entry = archive.getinfo(file)
                parts.append(f"{entry.filename} {entry.file_size} {entry.CRC}\n")
    return of_text("".join(parts))


def partial_shard(folder: Path, shard: str, files: Sequence[str]) -> bytes:
    """A shard with only some of its files, unchanged.

    Raises ValueError for a shard that is missing, damaged or lacks one of the files.
    """
    part = io.BytesIO()
    with _opened(folder, shard) as source, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as kept:
        for file in files:
            kept.writestr(zipfile.ZipInfo(file, _DATE), _image(source, file))
    return part.getvalue()


def _image(archive: zipfile.ZipFile, file: str) -> bytes:
    """An entry of a shard, stored without compression: it cannot unpack to more than the file."""
    entry = archive.getinfo(str(file))
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > LARGEST_IMAGE:
        raise zipfile.BadZipFile(f"{file} is packed, or larger than an image")
    return archive.read(entry)


@contextmanager
def _opened(folder: Path, shard: str) -> Iterator[zipfile.ZipFile]:
    """Open a shard; errors name it."""
    try:
        with zipfile.ZipFile(folder / shard) as archive:
            yield archive
    except PermissionError:  # not damaged
        raise
    except (zipfile.BadZipFile, KeyError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{folder / shard}: the shard is missing or damaged ({error}); delete "
            f"{folder / INDEX} so that the workflow makes the images again"
        ) from error
