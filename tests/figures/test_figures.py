import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from scipy import stats

from pcpo.analysis.taylor import relative_error
from pcpo.config import load_experiment
from pcpo.config.gradients import Gradients
from pcpo.figures import style
from pcpo.figures.ablation import ablation
from pcpo.figures.arm_gains import arm_gains
from pcpo.figures.credit_weights import credit_weights
from pcpo.figures.gradient_statistics import gradient_statistics
from pcpo.figures.gradients_by_timestep import gradients_by_timestep
from pcpo.figures.heuristics import heuristics
from pcpo.figures.kinds import KINDS
from pcpo.figures.parts_of_gain import parts_of_gain
from pcpo.figures.ratio_distribution import ratio_distribution
from pcpo.figures.registry import FIGURES
from pcpo.figures.response_surface import response_surface
from pcpo.figures.taylor_error import taylor_error
from pcpo.figures.timestep_credit import timestep_credit
from pcpo.figures.training_curves import training_curves
from pcpo.figures.validation_and_kl import validation_and_kl
from tests import fabricated

DRAWN = [name for name in FIGURES if FIGURES[name].kind != "sample_grid"]


def lines(axes, arm):
    colour = style.COLOURS[arm].lower()
    return [one for one in axes.get_lines() if to_hex(one.get_color()) == colour]


def bands(axes):
    return [one for one in axes.collections if isinstance(one, PolyCollection)]


def edges(band, points):
    """Lowest and highest value of a band at each of its `points`."""
    vertices = band.get_paths()[0].vertices
    ends = [vertices[vertices[:, 0] == x, 1] for x in points]
    return np.array([y.min() for y in ends]), np.array([y.max() for y in ends])


def stand_ins(numbers):
    """The fabricated experiments by number, and the sixth for those that have no fabricated one."""
    return fabricated.experiments([n if n < 8 or n > 100 else 6 for n in numbers])


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_draws_from_its_frames_and_changes_none(name, given):
    spec = FIGURES[name]
    kind = KINDS[spec.kind]
    frames = [frame.name for frame in kind.frames]
    before = [given[frame].copy() for frame in frames]
    figure = kind.draw(
        *(given[frame] for frame in frames),
        stand_ins(spec.experiments),
        arms=(*spec.arms, *spec.also),
    )
    figure.canvas.draw()
    assert figure.get_figwidth() <= 7.25  # a page: letters need no shrinking in print
    titles = " ".join(axes.get_title() for axes in figure.axes)
    for experiment in stand_ins(spec.experiments) if kind.panels else ():
        assert style.title(experiment) in titles
    assert any(axes.has_data() for axes in figure.axes)
    for frame, was in zip(frames, before, strict=True):
        assert given[frame].equals(was)


@pytest.mark.parametrize("name", [k for k in KINDS if k != "sample_grid"])
def test_a_wrong_frame_is_refused_with_its_name(name, given):
    kind = KINDS[name]
    right = [given[spec.name] for spec in kind.frames]
    for place, spec in enumerate(kind.frames):
        column = next(c for c in spec.columns if c not in spec.key)
        wrong = [f.drop(columns=column) if i == place else f for i, f in enumerate(right)]
        with pytest.raises(ValueError, match=rf"figure {name}: .*'{spec.name}' lacks.*{column}"):
            kind.draw(*wrong, fabricated.experiments((2,)))


@pytest.mark.parametrize("name", [k for k in KINDS if k not in ("sample_grid", "credit_weights")])
def test_an_experiment_without_rows_is_noted(name, given):
    frames = [given[spec.name] for spec in KINDS[name].frames]
    figure = KINDS[name].draw(*frames, fabricated.experiments((4,)))
    figure.canvas.draw()
    assert all(any(t.get_text() == "no data" for t in axes.texts) for axes in figure.axes)


# --- their numbers ------------------------------------------------------------------------------


def test_training_curves_show_the_frames_numbers_and_a_band_over_seeds(updates):
    figure = training_curves(updates, fabricated.experiments((1, 4, 6)), window=1)
    reward, clip = figure.axes[0], figure.axes[3]
    pcpo = updates[(updates["experiment"] == fabricated.name(1)) & (updates["arm"] == "pcpo")]
    rewards = pcpo[pcpo["update"] == 1].pivot(index="epoch", columns="seed", values="reward_mean")
    np.testing.assert_allclose(lines(reward, "pcpo")[0].get_ydata(), rewards.mean(axis=1))
    low, high = edges(bands(reward)[1], rewards.index)  # the baseline's comes first
    np.testing.assert_allclose(low, rewards.min(axis=1))
    np.testing.assert_allclose(high, rewards.max(axis=1))
    overall, on_policy = lines(clip, "pcpo")
    np.testing.assert_allclose(overall.get_ydata(), (0.0 + 0.2 + 0.01) / 2)  # seeds' mean: + 0.01
    assert (on_policy.get_ydata() == 0.0).all()
    assert (overall.get_linestyle(), on_policy.get_linestyle()) == ("-", "--")
    assert clip.get_ylim()[0] < 0.0 < 0.15 < clip.get_ylim()[1]


def test_the_authors_count_is_below_and_takes_one_side_of_matching_arms(updates):
    figure = training_curves(updates, fabricated.experiments((1,)), window=1)
    _, alike, authors = figure.axes
    both, own = (lines(panel, "pcpo")[0].get_ydata() for panel in (alike, authors))
    np.testing.assert_allclose(own, (0.0 + 0.1) / 2)  # the frame's one side is half of 0.2
    assert (both > own).all()
    ratio = [lines(panel, "baseline")[0].get_ydata() for panel in (alike, authors)]
    np.testing.assert_allclose(ratio[0], ratio[1])


def test_one_seed_has_the_standard_error_of_its_images(updates):
    one = updates[updates["seed"] == 0]
    figure = training_curves(one, fabricated.experiments((1,)), window=1)
    reward, clip, _ = figure.axes
    mean = lines(reward, "baseline")[0]
    low, high = edges(bands(reward)[0], mean.get_xdata())
    np.testing.assert_allclose(high - low, 2 * 0.05)  # reward_std / sqrt(images) of the frame
    assert not bands(clip)


def test_curves_are_smoothed_over_five_epochs(updates):
    one = updates[(updates["seed"] == 0) & (updates["update"] == 1)]
    figure = training_curves(one, fabricated.experiments((1,)))
    rewards = one[(one["experiment"] == fabricated.name(1)) & (one["arm"] == "pcpo")]["reward_mean"]
    drawn = lines(figure.axes[0], "pcpo")[0].get_ydata()
    assert drawn[10] == pytest.approx(rewards.iloc[8:13].mean())


def test_ablation_has_its_arms_and_both_counts(updates):
    arms = (*FIGURES["figure6"].arms, *FIGURES["figure6"].also)
    figure = ablation(updates, fabricated.experiments((1,)), arms=arms)
    assert len(figure.axes) == 6
    assert all(len(axes.get_lines()) == 6 for axes in figure.axes)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    expected = ["Baseline", "+ log-hinge", "+ matching", "PCPO"]
    assert labels == [*expected, "PCPO, Eq. (6) solved", "PCPO, native sampler"]
    assert len({line.get_marker() for line in figure.axes[0].get_lines()}) == 6
    two_sided, one_sided = figure.axes[1], figure.axes[3]
    for arm in arms:
        both, one = (lines(axes, arm)[0].get_ydata() for axes in (two_sided, one_sided))
        assert (one < both).all()


def test_heuristics_put_the_reward_over_wall_time(updates):
    figure = heuristics(updates, fabricated.experiments((1,)), arms=("baseline", "half_timesteps"))
    by_epoch, by_time, _ = figure.axes
    for arm in ("baseline", "half_timesteps"):
        (time,), (epoch,) = lines(by_time, arm), lines(by_epoch, arm)
        np.testing.assert_allclose(time.get_ydata(), epoch.get_ydata())
        # Two updates of 30, 31 and 32 seconds: 62 seconds an epoch over the three seeds.
        np.testing.assert_allclose(time.get_xdata(), np.arange(1, 25) * 62 / 60)
    assert by_time.get_xlabel() == "wall time (minutes)"


def test_validation_rewards_and_the_running_mean_of_the_divergence(updates, validation):
    figure = validation_and_kl(updates, validation, fabricated.experiments((6,)), window=1)
    top, middle, *_ = figure.axes
    x, y = np.array(lines(top, "pcpo")[0].get_data(), dtype=float)
    np.testing.assert_allclose(x, [0, 8, 16, 24])
    np.testing.assert_allclose(y, [0.201, 0.361, 0.521, 0.681])
    # Estimates 0.1 e and 0.1 e + 0.05: the mean of epoch e is 0.1 e + 0.025, that up to it is
    # 0.05 (e + 1) + 0.025.
    frontier = lines(middle, "baseline")[0]
    np.testing.assert_allclose(frontier.get_ydata(), 0.05 * (np.arange(1, 25) + 1) + 0.025)
    runs = updates[(updates["experiment"] == fabricated.name(6)) & (updates["arm"] == "baseline")]
    rewards = runs[runs["update"] == 1].groupby("epoch")["reward_mean"].mean()
    np.testing.assert_allclose(frontier.get_xdata(), rewards)
    below, above = middle.get_ylim()
    assert below > above  # low divergence is up, as in the paper


def test_one_seeds_validation_has_error_bars(updates, validation):
    figure = validation_and_kl(
        updates[updates["seed"] == 0],
        validation[validation["seed"] == 0],
        fabricated.experiments((6,)),
    )
    bar = figure.axes[0].containers[0].lines[2][0].get_segments()[0]
    assert bar[1][1] - bar[0][1] == pytest.approx(2 * 0.5 / 100**0.5)


def test_ratio_distribution_draws_the_last_update_and_two_phases(updates):
    frame = updates.assign(log_ratio_q75=0.01 * updates["epoch"])
    level = fabricated.evaluation(reward_levels=(100.0,))  # never reached: the last five epochs
    figure = ratio_distribution(frame, fabricated.experiments((1, 6), evaluation=level))
    top, _, bottom, _ = figure.axes
    np.testing.assert_allclose(lines(top, "pcpo")[0].get_ydata(), 0.0)  # the median
    assert [label.get_text() for label in bottom.get_xticklabels()] == [
        "first 5 epochs",
        "5 epochs near convergence",
    ]
    boxes = [patch.get_path().vertices[:, 1].max() for patch in bottom.patches]
    assert boxes[2] == pytest.approx(np.expm1(0.01 * np.arange(1, 6)).mean())  # PCPO, first
    assert boxes[3] == pytest.approx(np.expm1(0.01 * np.arange(20, 25)).mean())
    assert {text.get_text() for text in bottom.texts} == {"std\n2.0e-04"}


def test_gradient_statistics_from_scratch_and_after_the_crossing(updates):
    rising = updates.assign(reward_mean=updates["epoch"] * (1.0 + (updates["arm"] == "pcpo")))
    level = fabricated.evaluation(reward_levels=(10.0,))
    figure = gradient_statistics(rising, fabricated.experiments((1,), evaluation=level))
    mean, variance = figure.axes
    drawn = [line.get_ydata() for line in (lines(mean, "pcpo")[0], lines(variance, "pcpo")[0])]
    # The mean of five epochs is e - 2: PCPO is at 10 in epoch 7, the baseline in epoch 12.
    np.testing.assert_allclose(drawn[0], [1e-3 * (1 + 0.3), 1e-3 * (1 + 1.0)])
    np.testing.assert_allclose(drawn[1], [3e-6, 10e-6])
    np.testing.assert_allclose(lines(variance, "baseline")[0].get_ydata(), [3e-6, 15e-6])
    points = lines(mean, "pcpo")[1:]
    assert [len(one.get_ydata()) for one in points] == [15, 15]  # five epochs of three seeds
    assert mean.get_yscale() == "log"


def test_credit_weights_draw_every_reading_with_the_published_constants(given):
    arms = ("baseline", "pcpo", "pcpo_exact")
    figure = credit_weights(given["readings"], arms=arms)
    in_loss, ratio, dance, summed, own, flow = figure.axes
    marks = {t.get_text() for axes in figure.axes for t in axes.texts}
    assert marks == {"0.517", "4.5", "13.343", "4.315"}
    for axes, constant in ((in_loss, 0.5169), (dance, 13.343), (summed, 4.5), (flow, 4.3152)):
        values = lines(axes, "pcpo")[0].get_ydata()
        np.testing.assert_allclose(values, constant, rtol=1e-4)
    np.testing.assert_allclose(lines(ratio, "baseline")[0].get_ydata(), 1.0)
    assert np.ptp(lines(own, "pcpo")[0].get_ydata()) > 2.5  # the sampler's own is not constant
    crosses = [one for one in ratio.get_lines() if one.get_marker() == "x"]
    assert [len(one.get_xdata()) for one in crosses] == [7]  # of pcpo_exact alone
    left, right = in_loss.get_xlim()
    assert left > right  # noise on the left


def test_timestep_credit_pools_over_epochs_and_sets_the_spread_beside_the_weight(timesteps, credit):
    figure = timestep_credit(timesteps, credit, fabricated.experiments((2,)))
    mean, clip, spread = figure.axes
    # Epochs 1 and 2 with 10 and 20 terms: (10 x 1 + 20 x 2) / 30.
    np.testing.assert_allclose(lines(mean, "baseline")[0].get_ydata(), 1e-5 * 5 / 3)
    np.testing.assert_allclose(lines(clip, "baseline")[0].get_ydata(), 0.01 * 5 / 3)
    assert not lines(clip, "pcpo")[0].get_ydata().any()
    measured, weight = lines(spread, "baseline")
    # The frame's spread is 1e-4 / (step + 1) around means of 2e-5 and 4e-5; the native weight goes
    # as 1 / (step + 1).
    variance = 1e-8 / np.arange(1, 10) ** 2 + (2e-5**2 + 2 * 4e-5**2) / 3 - (1e-4 / 3) ** 2
    expected = np.sqrt(variance)[::-1]
    np.testing.assert_allclose(measured.get_ydata(), expected / expected.mean(), rtol=1e-6)
    shares = (1 / np.arange(1, 10))[::-1]
    np.testing.assert_allclose(weight.get_ydata(), shares / shares.mean())
    assert weight.get_linestyle() == ":"


def test_the_response_surface_shows_what_was_planted(validation):
    cells = fabricated.experiments(FIGURES["robustness_grid"].experiments)
    figure = response_surface(validation, cells)
    effects, predicted, _, _ = figure.axes
    names = [label.get_text() for label in effects.get_yticklabels()]
    apart = effects.get_lines()[1]  # after the line at 0: terms whose interval excludes 0
    (x,), (y,) = apart.get_data()
    assert x == pytest.approx(-0.2)
    assert names[list(effects.get_yticks()).index(y)] == "batch size"
    corners, centre = predicted.get_lines()[1:]
    np.testing.assert_allclose(*corners.get_data())
    assert len(corners.get_xdata()) == 16
    np.testing.assert_allclose(centre.get_data(), [[0.51], [0.51]])
    assert "centre 0.51, predicted 0.51" in predicted.get_title()
    one = validation["experiment"] == cells[0].name
    one &= (validation["arm"] == "baseline") & (validation["seed"] == 1)
    start = validation.loc[validation[one]["epoch"].idxmin(), "reward_mean"]
    half = (validation["reward_mean"] + start) / 2
    ended = response_surface(
        validation.assign(reward_mean=half.where(one, validation["reward_mean"])), cells
    )
    assert not len(ended.axes[0].get_lines()[1].get_xdata())
    assert ended.axes[0].get_title().endswith("\n1 of 68 runs end below the level")
    assert len(ended.axes[2].get_lines()[1].get_xdata())  # the area is known of every run
    few = response_surface(validation, cells[:5])
    assert all(any(t.get_text() == "no data" for t in axes.texts) for axes in few.axes)


def test_gains_of_arms_are_paired_by_seed(validation):
    """Rewards rise by 0.01 and 0.02 an epoch, to epoch 24; in one seed PCPO by 0.001 more."""
    more = (validation["arm"] == "pcpo") & (validation["seed"] == 2)
    changed = validation.assign(
        reward_mean=validation["reward_mean"] + 0.001 * validation["epoch"] * more
    )
    only = changed[changed["experiment"] == fabricated.name(6)]
    (experiment,) = fabricated.experiments([6])
    figure = arm_gains(only, [experiment], ("baseline", "pcpo"))
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["PCPO"]
    seeds, bar, mean, zero = panel.get_lines()
    values = np.array([0.12, 0.12, 0.132])
    np.testing.assert_allclose(seeds.get_xdata(), values)
    assert mean.get_xdata()[0] == pytest.approx(values.mean())
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    np.testing.assert_allclose(bar.get_xdata(), [low, high])
    assert set(zero.get_xdata()) == {0}
    empty = arm_gains(only[only["arm"] == "pcpo"], [experiment], ("baseline", "pcpo"))
    assert empty.axes[0].texts[0].get_text() == "no data"


def test_a_title_names_the_reward_of_an_experiment_of_ours():
    assert style.title(load_experiment(11, "study2"), "a") == "(a) DDPO (SD1.5)\nlayout"
    assert style.title(load_experiment(1, "study2")) == "DDPO (SD1.5)\nAesthetics"


def test_the_parts_add_up_to_the_whole(validation):
    """Rewards rise by 0.01 and 0.02 an epoch; the arm between them by 0.018."""
    six = validation[validation["experiment"] == fabricated.name(6)]
    base = six[six["arm"] == "baseline"]
    between = base.assign(arm="reweight", reward_mean=base["reward_mean"] + 0.008 * base["epoch"])
    (experiment,) = fabricated.experiments([6])
    chain = ("baseline", "reweight", "pcpo")
    (panel,) = parts_of_gain(pd.concat([six, between]), [experiment], chain).axes
    labels = [label.get_text() for label in panel.get_yticklabels()]
    assert labels == [
        "that step back, constant credit (+80%)",
        "the authors' sampler noise (+20%)",
        "all together (+100%)",
    ]
    means = [one.get_xdata()[0] for one in panel.get_lines() if one.get_marker() == "D"]
    np.testing.assert_allclose(means, [0.096, 0.024, 0.12])
    (panel,) = parts_of_gain(six, [experiment], chain).axes  # an arm was not trained
    assert panel.get_yticklabels()[0].get_text() == "Baseline to PCPO (+100%)"
    without = parts_of_gain(base, [experiment], chain)
    assert without.axes[0].texts[0].get_text() == "no data"


def test_the_error_of_the_logarithm_is_the_largest_of_an_epoch(given):
    rows = given["updates"].assign(log_ratio_q00=-0.02, log_ratio_q100=0.0)
    rows.loc[rows["update"] == 1, "log_ratio_q00"] = 0.0
    (experiment,) = fabricated.experiments([1])
    (panel,) = taylor_error(rows, [experiment]).axes
    (line,) = lines(panel, "pcpo")
    np.testing.assert_allclose(line.get_ydata(), 100 * relative_error(-0.02))
    assert panel.get_yscale() == "log"


def test_gradients_by_timestep_are_early_and_at_the_end(given, timesteps):
    clipped = timesteps.assign(experiment=fabricated.name(6))
    six = fabricated.experiments((6,))
    norm, mean, _, signal, cosine, clip = gradients_by_timestep(
        given["gradients"], clipped, six
    ).axes
    early, late = lines(norm, "matching")
    assert (early.get_linestyle(), late.get_linestyle()) == ("--", "-")
    np.testing.assert_allclose(early.get_xdata(), [400, 700, 1000])
    # Weights 4, 2, 1 in sampling order, at epochs 4 and 20; two seeds, 1 and 1.01.
    np.testing.assert_allclose(early.get_ydata(), np.array([1, 2, 4]) * 5 * 1.005)
    np.testing.assert_allclose(late.get_ydata(), np.array([1, 2, 4]) * 21 * 1.005)
    low, high = edges(bands(norm)[0], [400])  # the baseline's early one
    np.testing.assert_allclose([low[0], high[0]], [5, 5.05])
    np.testing.assert_allclose(lines(mean, "pcpo")[1].get_ydata(), [0.21] * 3)
    np.testing.assert_allclose(lines(signal, "pcpo")[1].get_ydata(), [2.0] * 3)
    np.testing.assert_allclose(lines(cosine, "pcpo")[1].get_ydata(), [1.0] * 3)
    # Epochs 1 and 2 are in the early window (0 to 4, so 1 to 5), none in the late one (16 to 20).
    (before,) = lines(clip, "baseline")
    np.testing.assert_allclose(before.get_ydata(), 0.01 * 5 / 3)
    assert before.get_linestyle() == "--"
    left, right = clip.get_xlim()
    assert left > right  # noise on the left
    assert {norm.get_yscale(), mean.get_yscale()} == {"log"}
    assert {signal.get_yscale(), cosine.get_yscale()} == {"linear"}


def test_the_caption_names_the_checkpoints_of_each_configuration():
    six = load_experiment(6, "smoke").model_copy(update={"gradients": Gradients(at=(0, 1))})
    eight = load_experiment(8, "smoke").model_copy(
        update={"epochs": 24, "checkpoint_every": 1, "gradients": Gradients()}
    )
    text = KINDS["gradients_by_timestep"].remark([six, eight])
    assert text == (
        "checkpoints of configuration 6: epochs 0 and 2; checkpoints of configuration 8: epochs 5 "
        "and 24"
    )
