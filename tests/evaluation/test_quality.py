"""Metrics of folders of images with features that can be computed by hand."""

import numpy as np
import pytest
import torch

from pcpo.config import FeatureSource
from pcpo.evaluation.feature_cache import ImageSet
from pcpo.evaluation.images import write_images
from pcpo.evaluation.quality import measure
from pcpo.metrics.diversity import mean_pairwise_squared_distance
from pcpo.metrics.frechet import frechet_distance
from pcpo.metrics.inception_score import inception_score
from pcpo.records import frame_file, frames

PROMPTS, SEEDS = ("red circle", "blue star", "green moon"), 8
ROWS = [(i, prompt, seed) for i, prompt in enumerate(PROMPTS) for seed in range(SEEDS)]


class Toy:
    outputs = ("means", "logits")
    digest = "toy"

    def __call__(self, images):
        return extract(images)


def extract(images):
    """Colour means (N, 3), and log-probabilities of four quarters by brightness (N, 4)."""
    values = images.double().numpy() / 255
    quarters = values.mean(axis=1).reshape(-1, 2, 16, 2, 16).mean(axis=(2, 4)).reshape(-1, 4)
    logits = 40 * quarters
    logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return {"means": values.mean(axis=(2, 3)), "logits": logits}


QUALITY = {
    column: FeatureSource(features="toy", output=output, metric=metric, measured=f"toy {column}")
    for column, output, metric in [
        ("fid", "means", "frechet"),
        ("is_star", "logits", "inception_score"),
        ("lpips_diversity", "means", "diversity"),
    ]
}


def images(seed, shift=0):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 150, size=(len(ROWS), 3, 2, 2))
    noise = rng.integers(0, 60, size=(len(ROWS), 3, 32, 32))
    values = low.repeat(16, axis=2).repeat(16, axis=3) + noise + shift
    return values.astype(np.uint8)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    found = {}
    for arm, pixels in {"base": images(0), "baseline": images(1), "pcpo": images(2, 20)}.items():
        write_images(root / arm, ROWS, iter(pixels))
        found[arm] = ImageSet(root / arm, {"toy": Toy()}, QUALITY)
    return found


@pytest.fixture(scope="module")
def measured(sets, tmp_path_factory):
    overall, per_prompt = measure(sets, sets["base"], QUALITY, "02_ddpo_aesthetic", 0)
    path = tmp_path_factory.mktemp("tidy")
    frame_file.write(
        overall, frames.METRICS_OVERALL, path / "overall.parquet", "demo"
    )  # checks the columns
    frame_file.write(per_prompt, frames.METRICS_PER_PROMPT, path / "per_prompt.parquet", "demo")
    key = ["arm", "metric"]
    return overall.set_index(key)["value"], per_prompt.set_index([*key, "prompt_id"])["value"]


def test_the_base_model_is_at_distance_zero_from_itself(measured):
    overall, per_prompt = measured
    assert overall["base", "fid"] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(per_prompt.loc["base", "fid"], 0, atol=1e-6)
    assert overall["pcpo", "fid"] > overall["baseline", "fid"] > 1e-4


@pytest.mark.parametrize(("arm", "seed", "shift"), [("baseline", 1, 0), ("pcpo", 2, 20)])
def test_values_are_those_of_the_metric_functions(measured, arm, seed, shift):
    overall, per_prompt = measured
    own, base = (extract(torch.from_numpy(x)) for x in (images(seed, shift), images(0)))
    assert overall[arm, "fid"] == pytest.approx(frechet_distance(own["means"], base["means"]))
    assert overall[arm, "is_star"] == pytest.approx(inception_score(own["logits"], splits=1)[0])
    within = []
    for prompt in range(len(PROMPTS)):
        rows = slice(prompt * SEEDS, (prompt + 1) * SEEDS)
        means, logits = own["means"][rows], own["logits"][rows]
        within.append(mean_pairwise_squared_distance(means))
        assert per_prompt[arm, "lpips_diversity", prompt] == pytest.approx(within[-1])
        assert per_prompt[arm, "fid", prompt] == pytest.approx(
            frechet_distance(means, base["means"][rows])
        )
        assert per_prompt[arm, "is_star", prompt] == pytest.approx(
            inception_score(logits, splits=1)[0]
        )
    assert overall[arm, "lpips_diversity"] == pytest.approx(np.mean(within))


def test_images_of_other_prompts_or_image_seeds_are_refused(sets, tmp_path):
    for name, rows in {
        "prompts": [(i, prompt.upper(), seed) for i, prompt, seed in ROWS],
        "seeds": [(i, prompt, seed + 1) for i, prompt, seed in ROWS],
        "fewer": ROWS[:16],
    }.items():
        write_images(tmp_path / name, rows, iter(images(1)))
        other = ImageSet(tmp_path / name, {"toy": Toy()}, QUALITY)
        with pytest.raises(ValueError, match="different prompts or image seeds") as caught:
            measure(sets | {"pcpo": other}, sets["base"], QUALITY, "02_ddpo_aesthetic", 0)
        assert str(tmp_path / name) in str(caught.value)


def test_the_place_of_the_first_difference_is_named(sets, tmp_path):
    rows = list(ROWS)
    rows[9] = (1, "blue star", 77)
    write_images(tmp_path / "one", rows, iter(images(1)))
    other = ImageSet(tmp_path / "one", {"toy": Toy()}, QUALITY)
    with pytest.raises(ValueError, match=r"24 and 24 images, .* in line 11 of index\.csv"):
        measure({"pcpo": other}, sets["base"], QUALITY, "02_ddpo_aesthetic", 0)


def test_a_new_metric_is_one_file(sets, tmp_path, monkeypatch):
    """Named after the file, in a scale's `quality:`; nothing else knows of it."""
    from pcpo import metrics

    (tmp_path / "shift.py").write_text(
        "import numpy as np\n"
        "def metric(own, base):\n"
        "    return float(np.abs(np.mean(own, axis=0) - np.mean(base, axis=0)).max())\n"
    )
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    quality = {"shift": QUALITY["fid"].model_copy(update={"metric": "shift"})}
    own = {arm: ImageSet(s.folder, {"toy": Toy()}, quality) for arm, s in sets.items()}
    overall, per_prompt = measure(own, own["base"], quality, "02_ddpo_aesthetic", 0)
    values = overall.set_index("arm")["value"]
    assert values["base"] == 0 and values["pcpo"] == pytest.approx(20 / 255, rel=0.3)
    assert len(per_prompt) == 9
