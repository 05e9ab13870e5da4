"""Which files there are to make, and from which others, for a choice of experiments and seeds."""

import pytest
from snakemake.iocontainers import InputFiles, Wildcards

from pcpo.config import ConfigError, experiments_at, load_experiment, load_scale
from pcpo.figures.kinds import KINDS
from pcpo.figures.registry import (
    FIGURES,
    NO_ANSWERS,
    NOT_DRAWN,
    OF_IMAGES,
    OF_PEOPLE,
    OF_SECOND_STUDY,
)
from pcpo.paths import EXPERIMENT_FRAMES, GUIDED_FRAMES, Paths
from pcpo.records.frames import BY_NAME
from pcpo.tables import TABLES
from pcpo.workflow.figures import frames_of
from pcpo.workflow.frames import frame_options
from pcpo.workflow.targets import Targets

P = Paths("smoke")
BERTSCORE, PICKSCORE = "04_ddpo_bertscore", "07_dancegrpo_sd15_pickscore"


def targets(*experiments, seeds=(0,), paths=P):
    chosen = (load_experiment(name, paths.scale) for name in experiments)
    return Targets(load_scale(paths.scale), {e.name: e for e in chosen}, seeds, paths)


def wildcards(**values):
    return Wildcards(fromdict=values)


@pytest.fixture(scope="module")
def two():
    return targets(BERTSCORE, PICKSCORE, seeds=(3, 5))


def test_only_what_the_chosen_experiments_suffice_for(two):
    assert two.tables == ["table9"]
    assert list(two.figures) == ["figure2", "samples_bertscore"]
    assert two.in_parts == {}
    assert two.synthetic_report == [P.synthetic("accuracy.csv"), P.synthetic("rewards.csv")]
    assert two.headroom == [P.synthetic("headroom.csv")]
    paper = targets(BERTSCORE, paths=Paths("paper"))
    assert paper.synthetic_report == paper.headroom == []


def test_everything_where_all_are_chosen():
    scale = load_scale("smoke")
    whole = targets(*range(1, 11))
    assert whole.scale == scale
    assert whole.tables == list(TABLES)
    # Of other scales' experiments, of what no scale here measures, or of answers.
    others = {*OF_SECOND_STUDY, "gradients_by_timestep", *OF_PEOPLE}
    assert list(whole.figures) == [name for name in FIGURES if name not in others]
    assert set(whole.in_parts) == {"table2", "table5", "figure1", "figure7"}
    assert f"{P.table.format(table='table5b')}.tex" in whole.in_parts["table5"]
    assert f"{P.figure.format(figure='figure7d')}.md" in whole.in_parts["figure7"]
    assert len(whole.runs()) == 26


def test_what_is_not_made_says_why():
    whole, few = targets(*range(1, 11)), targets(1)
    assert set(whole.not_made) == {*TABLES, *FIGURES, *NOT_DRAWN} - {*whole.tables, *whole.figures}
    assert whole.not_made["figure4"] == NO_ANSWERS
    assert whole.not_made["figure8"] == NOT_DRAWN["figure8"]
    assert few.not_made["table3"].startswith("needs configuration 2, 3, 4, which this run leaves")
    assert few.not_made["figure1"].startswith("figure1a needs configuration 2")
    assert not set(few.not_made) & {*few.tables, *few.figures, *few.in_parts}


def test_a_figure_is_drawn_only_where_its_arms_are_trained():
    """Figure 6 is of four arms; a scale that trains two of them is not made to train the others."""
    whole = targets(1)
    few = whole.experiments["01_ddpo_aesthetic_half"].model_copy(
        update={"arms": ("baseline", "pcpo", "drop_largest")}
    )
    chosen = Targets(whole.scale, {few.name: few}, [0], P)
    assert set(whole.figures) - set(chosen.figures) == {"figure6"}
    drawn = chosen.figure_inputs(FIGURES["ablation_of_credit"])["updates"]
    assert drawn == [
        P.updates.format(experiment=few.name, arm=arm, seed=0)
        for arm in ("baseline", "pcpo", "drop_largest")
    ]


def test_the_second_study_trains_what_is_asked_and_makes_no_images():
    names, paths = experiments_at("study2"), Paths("study2")
    study = targets(*names, seeds=range(6), paths=paths)
    assert study.in_parts == study.base_images == {}
    assert study.tables == [name for name in TABLES if not TABLES[name].experiments]
    assert {"robustness_grid", "figure5"} & {*study.figures} == {"robustness_grid"}
    curves = study.figure_inputs(study.figures["robustness_grid"])["validation"]
    assert len(curves) == 17 * 2 * 2
    assert len(study.runs()) == 6 * (23 + 10 + 20 + 6 + 6 + 3) + len(curves)
    # No figure trains an arm that the scale does not have.
    for frame in ("updates", "timesteps", "validation"):
        made = set(study.run_frames(frame))
        for spec in study.figures.values():
            assert set(study.figure_inputs(spec).get(frame, [])) <= made, spec
    files = [file for e in study.experiments.values() for file in study.experiment_files(e)]
    assert sorted(files) == sorted(study.run_frames("manifest"))
    frames = study.all_frames()
    assert not any(frames[name] for name in (*EXPERIMENT_FRAMES, *GUIDED_FRAMES))
    assert study.headroom == study.base_options == []


def test_an_experiment_may_have_only_the_first_seeds(two):
    few = {n: e.model_copy(update={"seeds_at_most": 1}) for n, e in two.experiments.items()}
    one = Targets(two.scale, {**two.experiments, PICKSCORE: few[PICKSCORE]}, [5, 3], P)
    seeds = {(e.name, seed) for e, _, seed in one.runs().values()}
    assert seeds == {(BERTSCORE, 5), (BERTSCORE, 3), (PICKSCORE, 5)}
    named = [P.updates.format(experiment=PICKSCORE, arm="pcpo", seed=seed) for seed in (5, 3)]
    assert [file in one.run_frames("updates") for file in named] == [True, False]
    chosen = [one.experiments[PICKSCORE]]
    assert one.measured_frames("overall", chosen) == [
        P.overall.format(experiment=PICKSCORE, seed=5)
    ]


@pytest.mark.parametrize("name", KINDS)
def test_the_frames_of_a_figure_are_read_from_its_source(name):
    assert tuple(BY_NAME[frame] for frame in frames_of(name)) == KINDS[name].frames


@pytest.mark.parametrize("name", KINDS)
def test_what_is_measured_of_images_needs_them(name):
    of_images = name == "sample_grid" or {*frames_of(name)} & {*EXPERIMENT_FRAMES}
    assert (name in OF_IMAGES) == bool(of_images)


def test_an_experiments_files_are_its_runs_and_what_was_measured(two):
    experiment = two.experiments[BERTSCORE]
    files = two.experiment_files(experiment)
    assert len(files) == 2 * (len(experiment.arms) + 3)  # it has no alignment
    assert P.manifest.format(experiment=BERTSCORE, arm="pcpo", seed=5) in files
    assert not [file for file in files if "alignment" in file]
    aligned = two.experiment_files(two.experiments[PICKSCORE])
    assert P.alignment.format(experiment=PICKSCORE, seed=3) in aligned


def test_a_table_is_of_every_seed_of_its_experiments(two):
    found = two.table_inputs(wildcards(table="table9"))
    assert found == {
        "alignment": [P.alignment.format(experiment=PICKSCORE, seed=s) for s in (3, 5)],
        "selection": [P.selection.format(experiment=PICKSCORE, seed=s) for s in (3, 5)],
    }
    assert two.published("table9", "") == ["config/paper/table9.csv"]
    assert two.published("table_aa", "") == []


def test_a_table_shows_further_arms_where_they_are_trained():
    six = targets(*range(1, 7))
    runs = [six.paths.updates.format(experiment="01_ddpo_aesthetic_half", arm=a, seed=0)
            for a in ("baseline", "pcpo", "pcpo_exact", "reweight")]  # fmt: skip
    found = six.table_inputs(wildcards(table="table10"))["updates"]
    assert found[:4] == runs
    assert "half_timesteps" in six.experiments["01_ddpo_aesthetic_half"].arms


def test_a_figure_is_drawn_from_every_seed_and_its_images_from_the_first(two):
    drawn = targets(2, 4, 5, 6, seeds=(3, 5)).figure_inputs(FIGURES["figure3"])["updates"]
    assert len(drawn) == 4 * 2 * 2
    grid = two.figures["samples_bertscore"]
    images = two.figure_inputs(grid)["images"]
    assert images[0] == two.image_indices(wildcards(experiment=BERTSCORE, seed=3))[0]
    assert images[1] == P.image_index.format(experiment=BERTSCORE, arm="baseline", seed=3)
    assert two.figure_inputs(grid)["selection"] == [
        P.selection.format(experiment=BERTSCORE, seed=3)
    ]
    assert sorted(images) == two.grid_images()
    options = two.figure_options("samples_bertscore", grid)
    assert options[:4] == ["--figure", "samples_bertscore", "--experiments", 4]
    rows = [word for word in options[4:] if word != "--row"]
    assert two.grid_options() == ["--grid", "samples_bertscore", *rows]
    assert f"baseline={P.images.format(experiment=BERTSCORE, arm='baseline', seed=3)}" in rows


def test_reward_guidance_is_of_all_models_that_are_mixed():
    two, four = "02_ddpo_aesthetic", "04_ddpo_bertscore"
    both = targets(2, 4, seeds=(3, 5))
    assert list(both.guidance.models) == [two]
    runs = [P.run.format(experiment=name, arm="pcpo", seed=5) for name in (two, four)]
    assert both.guidance.run_options(two, 5) == ["--run", runs[0], "--run", runs[1]]
    frames = [P.reward_guidance.format(experiment=two, seed=seed) for seed in (3, 5)]
    figure = both.figure_inputs(both.figures["figure14"])
    assert figure["reward_guidance"] == both.all_frames()["reward_guidance"] == frames
    points = [f"{s}_{r}" for s in ("0", "0.5", "1") for r in ("0", "0.5", "1")]
    images = [P.guided_index.format(experiment=two, seed=3, point=point) for point in points]
    assert figure["images"] == images  # of the first seed
    assert both.guidance.indices(two) == [i.replace("seed3", "seed{seed}") for i in images]
    assert targets(2).guidance.frames() == []  # configuration 4 is not chosen
    few = {n: e.model_copy(update={"seeds_at_most": 1}) for n, e in both.experiments.items()}
    one = Targets(both.scale, {two: both.experiments[two], four: few[four]}, [3, 5], P)
    assert one.guidance.frames() == frames[:1]


def test_models_that_sample_differently_are_not_mixed():
    both = targets(2, 4).experiments
    four = both["04_ddpo_bertscore"]
    sampler = four.sampler.model_copy(update={"guidance_scale": 7.0})
    other = {**both, four.name: four.model_copy(update={"sampler": sampler})}
    with pytest.raises(ConfigError, match="beside: configuration 4 has another sampler"):
        Targets(load_scale("smoke"), other, [0], P).guidance.frames()


def test_experiments_of_one_figure_have_the_same_strengths():
    both = targets(5, 6).experiments
    five = both["05_dancegrpo_sd14_hps"]
    own = five.reward_guidance.model_copy(update={"strengths": (0.0, 1.0)})
    other = {**both, five.name: five.model_copy(update={"reward_guidance": own})}
    chosen = Targets(load_scale("smoke"), other, [0], P)
    with pytest.raises(ConfigError, match="strengths: differ from those of 05_"):
        chosen.figure_inputs(FIGURES["figure13"])


def test_a_figure_of_reward_guidance_needs_a_scale_that_has_it():
    of_numbers = {"figure13": (5, 6), "figure14": (2, 4)}
    for figure, numbers in of_numbers.items():
        chosen = targets(*numbers)
        assert figure in chosen.figures
        for e in chosen.guidance.models:
            without = chosen.experiments[e].model_copy(update={"reward_guidance": None})
            other = Targets(chosen.scale, {**chosen.experiments, e: without}, [0], P)
            assert figure not in other.figures
            lacks = FIGURES[figure].lacks(other.experiments.values())
            assert lacks.startswith(f"reward_guidance of configuration {without.number}, which")


def test_a_job_of_base_images_is_of_the_first_experiment_that_shares_them():
    many = targets(*range(1, 11))
    shared = list(many.experiments.values())
    for base, first in many.base_images.items():
        assert many.of(wildcards(base=base)) is first
        assert first is next(e for e in shared if e.base_images == base)
    assert len(many.base_images) < len(shared)
    assert many.of(wildcards(experiment=BERTSCORE, arm="pcpo")).name == BERTSCORE


def test_frames_of_a_job_are_its_options():
    files = InputFiles(toclone=["u1", "u2", "c", "x.py"])
    files._add_name("updates")
    files._set_name("updates", 0, end=2)
    files._set_name("credit", 2, end=3)
    files._set_name("alignment", 3, end=3)
    files._set_name("code", 3, end=4)
    expected = ["--updates", "u1", "u2", "--alignment", "--credit", "c"]
    assert frame_options(files) == expected
