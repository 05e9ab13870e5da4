"""The pool of image pairs that raters see, and its key, which says whose image is whose.

    <folder>/pairs.json        the pairs, without anything that tells the arms apart
    <folder>/images/*.png      two images of each pair, under random names
    <keys>/<id>.json           the key, readable by its owner alone; `id` is its own SHA-256

The page needs the folder and never the key. `pairs.json` is named after the key's SHA-256, and the
key has the SHA-256 of the pairs: neither can be changed after people have answered. Names, order of
the pairs and first sides are drawn from the system's randomness, so that no seed gives them away.
"""

from __future__ import annotations

import io
import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pcpo.preference.questions import COMPARISONS
from pcpo.records.digest import of_bytes, of_json
from pcpo.records.replace import new_file, new_folder

PAIRS, IMAGES = "pairs.json", "images"
MOST_BYTES = 50_000_000  # of pairs.json and of a key
T = TypeVar("T", bound=BaseModel)
_AGAIN = "make the pairs again with `snakemake --cores all study_pairs`"

Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{10,64}$")]
File = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{10,64}\.png$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pair(_Record):
    """Two images of one prompt. `first` and `second` are in random order."""

    id: Token
    kind: Literal["pair", "check"]
    group: str  # pairs of one comparison have the same; which comparison it is, the key says
    prompt_id: int
    prompt: str = Field(max_length=5000)
    item: int  # pairs with the same one share an image: a rater sees only one of them
    first: File
    second: File


class Pool(_Record):
    """`pairs.json`."""

    format: Literal[1]
    key: Digest  # SHA-256 of the key's file
    pairs: tuple[Pair, ...] = Field(min_length=1)

    @property
    def digest(self) -> str:
        """SHA-256 of the pairs, which the key has too."""
        return digest_of(self.pairs)


class Whose(_Record):
    """What the key says of a pair. For a check, `first` is intact or damaged, the rest is empty."""

    comparison: Literal["lower_reward", "higher_reward", "check"]
    first: Literal["pcpo", "baseline", "intact", "damaged"]
    seed: int  # of the training runs
    prompt_id: int
    image_seed: int
    pcpo_epoch: int = 0
    baseline_epoch: int = 0


class Checkpoint(_Record):
    """A compared checkpoint and its mean reward on the pool's images."""

    seed: int
    arm: Literal["pcpo", "baseline"]
    epoch: int
    role: Literal["pcpo", "lower_reward", "higher_reward"]
    reward: float
    images: int


class Key(_Record):
    """The key of a pool."""

    format: Literal[1]
    salt: str  # so that nobody can guess the key from its SHA-256
    scale: str
    experiment: str
    pairs_digest: Digest
    checkpoints: tuple[Checkpoint, ...]
    pairs: dict[str, Whose]


class Pictures(BaseModel):
    """The images of one prompt and image seed: `uint8 (3, H, W)` each."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    prompt_id: int
    prompt: str
    image_seed: int
    seed: int
    pcpo: NDArray[np.uint8]
    baseline: dict[str, NDArray[np.uint8]]  # comparison -> image
    epochs: dict[str, int]  # pcpo, lower_reward, higher_reward -> epoch


def digest_of(pairs: Iterable[Pair]) -> str:
    return of_json([pair.model_dump(mode="json") for pair in pairs])


def write_pool(
    folder: Path,
    keys: Path,
    pictures: Sequence[Pictures],
    checkpoints: Sequence[Checkpoint],
    scale: str,
    experiment: str,
    checks: int = 20,
) -> Pool:
    """Write a pool and its key; the key comes first. Older keys stay.

    In each comparison and prompt PCPO's image is the first one of half of the pairs (of an odd
    number, one more or less). `checks` attention checks are made of the pool's own images.
    """
    chance = random.SystemRandom()
    groups = dict(zip(COMPARISONS, _tokens(len(COMPARISONS)), strict=True))
    made: list[Pair] = []
    whose: dict[str, Whose] = {}
    with new_folder(folder) as part:
        images = part / IMAGES
        images.mkdir()
        for comparison in COMPARISONS:
            first = _halves(pictures, chance)
            for item, picture in enumerate(pictures):
                shown = [("pcpo", picture.pcpo), ("baseline", picture.baseline[comparison])]
                pair, order = _pair(images, groups[comparison], "pair", picture, item, shown,
                                    first[item])  # fmt: skip
                made.append(pair)
                whose[pair.id] = Whose(
                    comparison=comparison, first=order, seed=picture.seed,
                    prompt_id=picture.prompt_id, image_seed=picture.image_seed,
                    pcpo_epoch=picture.epochs["pcpo"], baseline_epoch=picture.epochs[comparison],
                )  # fmt: skip
        for number in range(checks):
            picture = chance.choice(list(pictures))
            image = chance.choice([picture.pcpo, *picture.baseline.values()])
            shown = [("intact", image), ("damaged", damaged(image))]
            pair, order = _pair(images, "check", "check", picture, len(pictures) + number, shown,
                                bool(number % 2))  # fmt: skip
            made.append(pair)
            whose[pair.id] = Whose(
                comparison="check", first=order, seed=picture.seed,
                prompt_id=picture.prompt_id, image_seed=picture.image_seed,
            )  # fmt: skip
        chance.shuffle(made)
        key = Key(
            format=1, salt=secrets.token_hex(16), scale=scale, experiment=experiment,
            pairs_digest=digest_of(made), checkpoints=tuple(checkpoints), pairs=whose,
        )  # fmt: skip
        data = key.model_dump_json(indent=1).encode()
        pool = Pool(format=1, key=of_bytes(data), pairs=tuple(made))
        _write_key(keys, pool.key, data)
        (part / PAIRS).write_text(pool.model_dump_json(indent=1), encoding="utf-8")
    return pool


def read_pool(folder: Path) -> Pool:
    """The pool of a folder, with all its images. Raises ValueError, which names the file."""
    path = folder / PAIRS
    pool = _read(path, Pool)
    if len({pair.id for pair in pool.pairs}) != len(pool.pairs):
        raise ValueError(f"{path}: a pair is there twice; {_AGAIN}")
    for pair in pool.pairs:
        for name in (pair.first, pair.second):
            if not (folder / IMAGES / name).is_file():
                raise ValueError(f"{folder / IMAGES / name} is missing; {_AGAIN}")
    return pool


def read_key(path: Path, pool: str, pairs_digest: str) -> Key:
    """The key of a pool: `path` is its file, or the folder of keys.

    pool: SHA-256 of the key, and pairs_digest: of the pairs, as the answers name them. Raises
    ValueError for the key of another pool, and for a changed one.
    """
    if path.is_dir():
        path = path / f"{pool}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path}: this key is missing; it was made together with the pairs")
    if of_bytes(path.read_bytes()) != pool:
        raise ValueError(f"{path}: is not the key of these answers, or was changed after them")
    key = _read(path, Key)
    if key.pairs_digest != pairs_digest:
        raise ValueError(f"{path}: the pairs that people saw are not those of this key")
    return key


def damaged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image `uint8 (3, H, W)` in a mosaic of eight tiles a side, half of it noise."""
    _, height, width = image.shape
    whole = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    tiles = whole.resize((8, 8), Image.Resampling.BOX).resize(
        (width, height), Image.Resampling.NEAREST
    )
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    mixed = (np.asarray(tiles).astype(np.int64) + noise) // 2
    return mixed.astype(np.uint8).transpose(2, 0, 1)


def _pair(
    images: Path,
    group: str,
    kind: Literal["pair", "check"],
    picture: Pictures,
    item: int,
    shown: Sequence[tuple[Any, NDArray[np.uint8]]],
    in_order: bool,
) -> tuple[Pair, Any]:
    """Write the two images of a pair; the pair, and the name of what is shown first."""
    one, two = shown if in_order else shown[::-1]
    names = [f"{token}.png" for token in _tokens(2)]
    for name, (_, image) in zip(names, (one, two), strict=True):
        (images / name).write_bytes(_png(image))
    (token,) = _tokens(1)
    return Pair(
        id=token, kind=kind, group=group, prompt_id=picture.prompt_id, prompt=picture.prompt,
        item=item, first=names[0], second=names[1],
    ), one[0]  # fmt: skip


def _halves(pictures: Sequence[Pictures], chance: random.Random) -> list[bool]:
    """Of each prompt's images half are True, at random; an odd one for every other prompt."""
    found = [False] * len(pictures)
    more = chance.random() < 0.5
    places: dict[int, list[int]] = {}
    for place, picture in enumerate(pictures):
        places.setdefault(picture.prompt_id, []).append(place)
    for of_prompt in places.values():
        count, odd = divmod(len(of_prompt), 2)
        for place in chance.sample(of_prompt, count + (more if odd else 0)):
            found[place] = True
        more = more ^ bool(odd)
    return found


def _tokens(count: int) -> list[str]:
    return [secrets.token_urlsafe(12) for _ in range(count)]


def _png(image: NDArray[np.uint8]) -> bytes:
    """An image `uint8 (3, H, W)` as a PNG of pixels alone."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, format="PNG")
    return buffer.getvalue()


def _write_key(keys: Path, name: str, data: bytes) -> None:
    keys.mkdir(parents=True, exist_ok=True)
    with new_file(keys / f"{name}.json") as part:
        part.write_bytes(data)
    (keys / f"{name}.json").chmod(0o600)


def _read(path: Path, record: type[T]) -> T:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {_AGAIN}")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path}: has more than {MOST_BYTES:,} bytes; {_AGAIN}")
    try:
        return record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"{path}: {where}: {first['msg']}; {_AGAIN}") from error


def rewards(checkpoints: Iterable[Checkpoint]) -> Mapping[str, float]:
    """Role -> mean reward over the training seeds."""
    found: dict[str, list[float]] = {}
    for checkpoint in checkpoints:
        found.setdefault(checkpoint.role, []).append(checkpoint.reward)
    return {role: float(np.mean(values)) for role, values in found.items()}
