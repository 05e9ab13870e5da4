"""The published weights' folders, as the downloads leave them, with random weights of any size.

    lay_out(folder, "small")      in seconds, for tests of the loaders and of the rules
    lay_out(folder, "true")       36 GB: `make test-true-size`

The files' names, the tensors' names and the components' configurations are the published ones. The
sizes of "true" are too; those of "small" are a few thousand weights. Equal calls write equal bytes.

Real, in both: the vocabulary of CLIP's tokenizer (in the wheel of open_clip; small models have the
demo's), LPIPS' linear heads (in the wheel of lpips) and RapidOCR's models (in its own). The
vocabularies of T5 and BERT are in no package: other words stand in their place.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.published import features, pipelines, rewards
from tests.published.sizes import Size

__all__ = ["Size", "lay_out"]

BUILDERS = {
    "models": pipelines.save_pipeline,
    "rewards": rewards.save_reward,
    "features": features.save_features,
}


def lay_out(data: Path, size: Size, assets: Iterable[str]) -> None:
    """Write the folders of `assets`, such as `models/sd15`, below `data`.

    A folder that has its manifest is finished and left as it is; another one is written anew.
    """
    for asset in assets:
        kind, name = asset.split("/")
        folder = data / asset
        manifest = folder / "assets.json"
        if manifest.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        BUILDERS[kind](name, folder, size)
        manifest.write_text("{}", encoding="utf-8")
