"""A real scale from its data/ folder to tables: published layouts, small random weights, no hub.

The rules, commands, precisions, rewards and feature extractors are those of config/paper.yaml; only
sizes and the device differ. Full fine-tuning of Stable Diffusion, an adapter on FLUX, and one with
KL and moving average on SD3.
"""

import pandas as pd
import pytest
import yaml

from tests.published import lay_out
from tests.system.pipeline import copy_sources, snakemake

SIZES = {
    "extends": "paper",
    "note": "a test",
    "device": "cpu",
    "all": {
        "sampler": {"resolution": 32, "steps": 4},
        "execution": {"compile": False, "gpus": 1, "sharding": "none", "channels_last": False},
        "epochs": 2,
        "checkpoint_every": 1,
        "evaluation": {
            "prompts": 2, "batch": 3, "images_per_prompt": 3,
            "selection_images_per_prompt": 2, "screening_images_per_prompt": 1,
            "reward_levels": [], "level_fractions": [0.5], "candidate_window": 1,
        },
    },
    "experiments": {
        name: {
            "batch": {
                "prompts_per_iteration": 2, "images_per_prompt": 2, "images_per_iteration": 4,
                "gradient_updates": 2, "micro_batch": 1,
            },
            "sampler": {"initial_noise_groups": groups},
            # 32 images do not fit the updates of two; once an update, then.
            **({"ema": {"images_per_call": None}} if name.startswith("09") else {}),
        }
        for name, groups in (
            ("05_dancegrpo_sd14_hps", 2), ("06_dancegrpo_flux_hps", 2), ("09_flowgrpo_pickscore", 0)
        )
    },
}  # fmt: skip


ASSETS = (
    *("models/sd14", "models/flux", "models/sd35m", "rewards/aesthetic", "rewards/hps"),
    *("rewards/clipscore", "rewards/pickscore", "rewards/imagereward"),
    *("features/inception", "features/dinov2", "features/lpips"),
)


@pytest.mark.slow
def test_from_published_folders_to_tables(tmp_path):
    copy_sources(tmp_path)
    lay_out(tmp_path / "data", "small", ASSETS)
    (tmp_path / "data/prompts").mkdir()
    for name in ("hpd", "hpd_flux", "pick_sfw", "pick_sfw_validation", "coco", "mjhq"):
        prompts = "red circle\nblue star\na green dot\n"
        (tmp_path / f"data/prompts/{name}.txt").write_text(prompts)
    (tmp_path / "config/scale/tiny.yaml").write_text(yaml.safe_dump(SIZES))
    chosen = {"scale": "tiny", "experiments": list(SIZES["experiments"]), "seeds": [0]}
    (tmp_path / "config/tiny.yaml").write_text(yaml.safe_dump(chosen))
    code, output = snakemake(
        tmp_path, "--cores", "2", "--configfile", "config/tiny.yaml",
        "--", "table2b", "table4", "table5a", "09_flowgrpo_pickscore",
    )  # fmt: skip
    assert code == 0, output[-6000:]
    results = tmp_path / "results/tiny"
    table = (results / "tables/table2b.md").read_text()
    assert "FID (torch-fidelity Inception)" in table
    assert "LPIPS (alex)" in table
    scores = pd.read_parquet(results / "tidy/alignment/06_dancegrpo_flux_hps_seed0.parquet")
    assert set(scores["dataset"]) == {"coco", "mjhq"}
    assert scores.groupby("score")["value"].nunique().gt(3).all()  # five rewards, none constant
    updates = pd.read_parquet(results / "runs/09_flowgrpo_pickscore/pcpo/seed0/updates.parquet")
    first = updates[updates["update"] == 1]
    assert (first["log_ratio_std"] == 0).all() and (first["log_ratio_mean"] == 0).all()
    assert (updates["grad_norm"] > 0).all()
    assert any((results / "embeddings").iterdir())
