"""Train the demo's small reward models into the folder layouts of the published ones.

    python -m pcpo.cli.synthetic_rewards clip preference aesthetic clipscore \
        --sizes config/scale/demo.yaml --out results/demo/synthetic
    python -m pcpo.cli.synthetic_rewards bertscore imagereward ocr --sizes ... --out ...
    python -m pcpo.cli.synthetic_rewards table --sizes ... --out ...

Stages of one call share a process and run in the order given. `preference`, `aesthetic`
and `clipscore` start from the CLIP of the stage `clip`; `table` gathers what each stage
measured on fresh drawings into `<out>/rewards.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcpo.cli import console
from pcpo.cli.stages import run_stages
from pcpo.records.replace import new_file

if TYPE_CHECKING:
    import torch

CHECK_DRAWINGS = 20  # fresh drawings per caption that the measurements use


def clip(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/clip: transformers CLIPModel and CLIPTokenizer."""
    from pcpo.synthetic.clip import save_clip, train_clip, zero_shot_accuracy

    console.setup()
    model, tokenizer = train_clip(sizes["clip"], seed)
    save_clip(model, tokenizer, out / "clip")
    accuracy = zero_shot_accuracy(model, tokenizer, _check_drawings(seed))
    _write_rows(out / "clip", [("clip", "zero_shot_accuracy_180", accuracy)])


def preference(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/rewards/pickscore (transformers) and <out>/rewards/hps (open_clip)."""
    from pcpo.synthetic.clip import load_clip, save_clip, zero_shot_accuracy
    from pcpo.synthetic.open_clip_layout import save_open_clip
    from pcpo.synthetic.preference import train_preference

    console.setup()
    base, tokenizer = load_clip(out / "clip")
    images = _check_drawings(seed)
    for name, save in (("pickscore", save_clip), ("hps", save_open_clip)):
        model = train_preference(base, tokenizer, name, sizes["preference"], seed)
        folder = out / "rewards" / name
        save(model, tokenizer, folder)
        accuracy = zero_shot_accuracy(model, tokenizer, images)
        rows = [(name, "zero_shot_accuracy_180", accuracy), _choice_row(name, folder, seed)]
        _write_rows(folder, rows)


def aesthetic(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/rewards/aesthetic: backbone/ and head.safetensors."""
    from pcpo.synthetic.aesthetic_head import save_aesthetic, train_aesthetic
    from pcpo.synthetic.clip import load_clip

    console.setup()
    model, tokenizer = load_clip(out / "clip")
    backbone, head = train_aesthetic(model, sizes["aesthetic"], seed)
    folder = out / "rewards" / "aesthetic"
    save_aesthetic(backbone, tokenizer, head, folder)
    _write_rows(folder, [_choice_row("aesthetic", folder, seed)])


def clipscore(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/rewards/clipscore: the contrastive CLIP in open_clip's layout."""
    import pcpo.rewards
    from pcpo.synthetic import drawing
    from pcpo.synthetic.clip import load_clip
    from pcpo.synthetic.open_clip_layout import save_open_clip

    console.setup()
    folder = out / "rewards" / "clipscore"
    save_open_clip(*load_clip(out / "clip"), folder)
    images = _check_drawings(seed)[:, 0]
    scores = pcpo.rewards.load("clipscore", folder)(images, drawing.CAPTIONS)
    _write_rows(folder, [("clipscore", "mean_cosine_of_drawings", scores.mean().item())])


def bertscore(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/rewards/bertscore: encoder/ with static word vectors, captioner/ with a CLIP."""
    from pcpo.rewards.bertscore import Reward
    from pcpo.synthetic.bert_embeddings import right_above_wrong, save_bertscore
    from pcpo.synthetic.captioner import draw_clear_parts, parts_right, train_captioner
    from pcpo.synthetic.pretraining import generators

    console.setup()
    folder = out / "rewards" / "bertscore"
    model, tokenizer = train_captioner(sizes["captioner"], seed)
    save_bertscore(model, tokenizer, folder, seed)
    reward = Reward(folder, captioner="clip_standin", layer=0)
    rng, _ = generators("check clear parts", seed)
    rows = [
        ("activity_prompts_right_above_all_wrong", right_above_wrong(reward)),
        ("captions_right", parts_right(model, tokenizer, *draw_clear_parts(3600, rng))),
    ]
    _write_rows(folder, [("bertscore", *row) for row in rows])


def imagereward(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/rewards/imagereward: ImageReward.safetensors, med_config.json, tokenizer/."""
    from pcpo.synthetic.blip import ranking_accuracy, save_blip, train_blip
    from pcpo.synthetic.pretraining import generators

    console.setup()
    model, tokenizer = train_blip(sizes["imagereward"], seed)
    folder = out / "rewards" / "imagereward"
    save_blip(model, tokenizer, folder)
    images = _check_drawings(seed)
    rows = [_choice_row("imagereward", folder, seed)]
    for share, label in ((0.0, "random_caption_below"), (1.0, "one_attribute_wrong_below")):
        _, generator = generators("check captions", seed)
        value = ranking_accuracy(model, tokenizer, images, share, generator)
        rows.append(("imagereward", label, value))
    _write_rows(folder, rows)


def ocr(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/rewards/ocr: the recogniser's config.json and model.safetensors."""
    from pcpo.synthetic.pretraining import generators
    from pcpo.synthetic.recogniser import letters_right, save_recogniser, train_recogniser

    console.setup()
    model = train_recogniser(sizes["ocr"], seed)
    folder = out / "rewards" / "ocr"
    save_recogniser(model, folder)
    rng, _ = generators("check words", seed)
    _write_rows(folder, [("ocr", "letters_right", letters_right(model, 1440, rng))])


def table(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/rewards.csv: what all stages measured."""
    files = [out / "clip" / "accuracy.csv", *sorted((out / "rewards").glob("*/accuracy.csv"))]
    rows = []
    for file in files:
        with file.open(encoding="utf-8", newline="") as stream:
            rows += [tuple(row.values()) for row in csv.DictReader(stream)]
    _write_csv(out / "rewards.csv", rows)


STAGES = {
    stage.__name__: stage
    for stage in (clip, preference, aesthetic, clipscore, bertscore, imagereward, ocr, table)
}


def _choice_row(name: str, folder: Path, seed: int) -> tuple[str, str, float]:
    """How often the saved reward agrees with most of its raters on fresh drawings."""
    import pcpo.rewards
    from pcpo.synthetic.choices import choice_accuracy
    from pcpo.synthetic.pretraining import generators

    _, generator = generators("check choices", seed)
    reward = pcpo.rewards.load(name, folder)
    return (
        name,
        "choices_as_most_raters",
        choice_accuracy(reward, name, _check_drawings(seed), generator),
    )


def _check_drawings(seed: int) -> torch.Tensor:
    from pcpo.synthetic.captioned import draw_captions
    from pcpo.synthetic.pretraining import generators

    rng, _ = generators("check drawings", seed)
    return draw_captions(CHECK_DRAWINGS, rng)


def _write_rows(folder: Path, rows: list[tuple[str, str, float]]) -> None:
    for reward, quantity, value in rows:
        print(f"{reward}: {quantity} = {value:.4f}", flush=True)
    _write_csv(folder / "accuracy.csv", [(r, q, f"{v:.6f}") for r, q, v in rows])


def _write_csv(file: Path, rows: list[tuple[str, ...]]) -> None:
    with new_file(file) as part, part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([("reward", "quantity", "value"), *rows])


def main() -> None:
    run_stages(__doc__, STAGES)


if __name__ == "__main__":
    console.run(main, printing=True)
