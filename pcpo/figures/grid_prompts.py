"""Which prompts and how many images of each the sample grids show.

Prompts are those of the paper's Appendix G where an evaluation set has them all. Elsewhere they
are spread evenly over the evaluation set, so that nobody chose them by their images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pcpo import names


class Grid(NamedTuple):
    """`prompts` of the paper by experiment, else a share of `spread` evenly spaced prompts."""

    prompts: tuple[tuple[str, ...], ...] = ()
    spread: int = 6
    start: int = 0
    step: int = 1
    shown: int = 6
    images: int = 1  # of each prompt: its first image seeds

    def choose(self, index: pd.DataFrame, block: int = 0) -> tuple[pd.DataFrame, bool]:
        """(rows of an index of images, whether the prompts are the paper's).

        `block` is the experiment's place in the figure. Raises ValueError for an empty index.
        """
        if index.empty:
            raise ValueError("sample_grid: the index of images is empty")
        first = index.sort_values(["prompt_id", "image_seed"]).drop_duplicates("prompt_id")
        ids = dict(zip(first["prompt"], first["prompt_id"].tolist(), strict=True))
        folded = {text.casefold(): i for text, i in ids.items()}
        wanted = [text.casefold() for text in self.prompts[block]] if self.prompts else []
        published = bool(wanted) and all(text in folded for text in wanted)
        chosen = [folded[text] for text in wanted] if published else self._spread([*ids.values()])
        index = index.sort_values("image_seed")
        parts = [index[index["prompt_id"] == i].head(self.images) for i in chosen]
        return pd.concat(parts), published

    def _spread(self, ids: Sequence[int]) -> list[int]:
        places = np.linspace(0, len(ids) - 1, min(self.spread, len(ids))).round().astype(int)
        share = places[self.start :: self.step][: self.shown]
        return [ids[i] for i in (share if len(share) else places[: self.shown])]


def same_images(shown: pd.DataFrame, index: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The rows of the `index` of `folder` with prompts and image seeds of `shown`, in its order.

    Raises ValueError with the first image that the index lacks.
    """
    keys = ["prompt_id", "prompt", "image_seed"]
    found = shown[keys].merge(index, on=keys, how="left")
    lost = found[found["file"].isna()]
    if len(lost):
        first = lost.iloc[0]
        raise ValueError(
            f"{folder}/index.csv: prompt {first['prompt_id']} ({names.shown(first['prompt'])}), "
            f"image seed {first['image_seed']} is missing, which another row of the figure has"
        )
    return found


_FIGURE_1B = (
    "A Thangka painting depicting the devil controlling a group of people in a circular formation.",
    "A painting of a monkey wearing gold headphones and sunglasses looking up at a starry night "
    "sky.",
    "Matador challenging a bull in a desert-filled ramen bowl.",
)
_FIGURE_13 = (
    "Minimalist sticker art featuring abstract designs by Victor Ngai, Kilian Eng, and Lois Van "
    "Baarle.",
    "The kitchen has a stove and a refrigerator.",
    "A close-up portrait of a cute anime girl with extremely detailed eyes, featured as a key "
    "visual in official media.",
    "A green 3D-printed Biblically accurate angel.",
)
_FIGURE_19 = (
    "Several people waiting at a bus stop in a dark city night, depicted in a digital "
    "illustration.",
    "Side-view portrait of a knight with a skull helmet adorned with spikes, depicted in a tenth "
    "century stained glass window.",
    "The album cover for the band Underealm features an evil entity in a sophisticated suit, with "
    "dark and intricate details.",
)
_FIGURE_20 = (
    *_FIGURE_1B,
    *_FIGURE_19,
    "The image features a copper material with references to various art platforms and artists.",
    "Anor Londo, Dark Souls, with a dragon flying in the distance at night.",
    "Two Tyrannosaurus rexes engaged in a boxing match.",
    "The image depicts Yoshi Island created by Beeple.",
    "Digital painting featuring Soviet realism and grunge elements with a range of artistic "
    "influences, created by multiple artists and showcased on ArtStation.",
    "An artwork from Dan Mumford collection featuring a mage invoking divine gods during a storm "
    "with lightnings.",
)
# Appendix G gives no prompts for Figures 15 and 16, which Table 6 assigns to configuration 2. Here
# they show other prompts than Figure 1a, and several images of a prompt.
GRIDS = {
    "figure1a": Grid((("cat", "bear", "butterfly", "chicken", "bee", "camel"),), spread=12, step=2),
    "figure1b": Grid((_FIGURE_1B,), spread=12, shown=3, images=2),
    # Appendix G does not say which of the prompts belongs to which configuration.
    "figure13": Grid((_FIGURE_13, _FIGURE_13), spread=3),
    "figure14": Grid(spread=1),
    "figure15": Grid(spread=12, start=1, step=2),
    "figure16": Grid(spread=4, shown=4, images=3),
    "figure17": Grid(
        (("a bat playing chess", "a bird riding a bike"), ("fish", "lion")),
        spread=2, shown=2, images=2,
    ),
    "figure18": Grid(
        ((
            "A portrait of a lion goddess wreathed in flame, posing in full body.",
            "A portrait painting of Stephany Eisnor.",
            "The kitchen has a stove and a refrigerator.",
        ),),
        spread=6, start=1, step=2, shown=3, images=2,
    ),
    "figure19": Grid((_FIGURE_19,), spread=12, start=3, shown=3, images=2),
    "figure20": Grid((_FIGURE_20,), spread=12, shown=12),
}  # fmt: skip
