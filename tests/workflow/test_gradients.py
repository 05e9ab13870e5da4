"""Which gradients are measured, and what is drawn and packed of them."""

import pytest

from pcpo.archive import contents
from pcpo.config import load_experiment, load_scale
from pcpo.config.gradients import Gradients
from pcpo.figures.registry import FIGURES
from pcpo.paths import Paths
from pcpo.records import frames
from pcpo.workflow.frames import frame_options
from pcpo.workflow.targets import Targets

P = Paths("smoke")
SIX, EIGHT = "06_dancegrpo_flux_hps", "08_flowgrpo_ocr"
FIGURE = "gradients_by_timestep"


@pytest.fixture
def measured():
    """Configuration 6 in two seeds, with matching, and 8 in the first of them."""
    own = {"gradients": Gradients(at=(0, 1))}
    six = load_experiment(6, "smoke").model_copy(
        update=own | {"arms": ("baseline", "matching", "pcpo")}
    )
    eight = load_experiment(8, "smoke").model_copy(update=own | {"seeds_at_most": 1})
    return Targets(load_scale("smoke"), {SIX: six, EIGHT: eight}, [3, 5], P)


def places(*runs):
    return [P.gradients.format(experiment=e, arm=arm, seed=seed) for e, arm, seed in runs]


EXPECTED = places(
    *((SIX, arm, seed) for arm in ("baseline", "matching", "pcpo") for seed in (3, 5)),
    *((EIGHT, arm, 3) for arm in ("baseline", "pcpo")),
)


def test_all_measured_runs_have_a_frame(measured):
    assert measured.gradients.frames() == measured.all_frames()["gradients"] == EXPECTED
    chosen = [measured.experiments[SIX]]
    assert measured.gradients.frames(chosen, ["matching"]) == EXPECTED[2:4]
    assert frame_options({"gradients": EXPECTED[:1]}) == ["--gradients", EXPECTED[0]]


def test_the_figure_is_of_gradients_and_of_the_trainings_timesteps(measured):
    found = measured.figure_inputs(measured.figures[FIGURE])
    assert found["gradients"] == EXPECTED
    assert P.timesteps.format(experiment=SIX, arm="pcpo", seed=5) in found["timesteps"]


def test_nothing_is_measured_or_drawn_where_the_scale_does_not_say_so(measured):
    six = measured.experiments[SIX].model_copy(update={"gradients": None})
    chosen = Targets(measured.scale, {**measured.experiments, SIX: six}, [3, 5], P)
    assert chosen.gradients.frames() == EXPECTED[6:]
    assert set(measured.figures) - set(chosen.figures) == {FIGURE}
    lacks = FIGURES[FIGURE].lacks(chosen.experiments.values())
    assert lacks == "gradients of configuration 6, which this scale does not measure"


def test_an_archive_has_the_frames_and_the_figure(measured):
    experiments = [*measured.experiments.values()]
    packed = {
        path.as_posix()
        for path, spec in contents._frames(P, experiments, [3, 5])
        if spec == frames.GRADIENTS
    }
    assert packed == {*EXPECTED}
    figure = f"{P.figure.format(figure=FIGURE)}.json"
    assert figure in {path.as_posix() for path in contents._reporting(P, experiments)}
    without = [e.model_copy(update={"gradients": None}) for e in experiments]
    assert figure not in {path.as_posix() for path in contents._reporting(P, without)}
