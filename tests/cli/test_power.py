import numpy as np
import pandas as pd
import pytest

from pcpo.cli import power
from pcpo.config import load_experiments
from pcpo.records import frame_file, frames


def test_it_prints_how_often_a_study_would_decide(capsys):
    power.main(["--seeds", "4", "12", "--sd", "speedup=15"])
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["4", "12"]
    few, many = (float(row[1]) for row in rows)
    assert 0.3 < few < many
    assert many > 0.95
    assert "no --sd and --effect area=... given" in text


def test_a_pilot_gives_the_standard_deviation(tmp_path, capsys):
    """Areas of the pairs differ by 0.1, 0.2 and 0.3: a standard deviation of 0.1."""
    name = load_experiments("smoke")[0].name
    files = []
    for arm, gains in (("baseline", (1.0, 1.0, 1.0)), ("pcpo", (1.2, 1.4, 1.6))):
        for seed, gain in enumerate(gains):
            rows = pd.DataFrame({"epoch": [0, 10], "reward_mean": [0.5, 0.5 + gain]})
            rows = rows.assign(experiment=name, arm=arm, seed=seed, images=4, reward_std=0.1)
            path = tmp_path / f"{arm}{seed}.parquet"
            frame_file.write(rows, frames.VALIDATION, path, "smoke")
            files.append(str(path))
    given = ["--scale", "smoke", "--validation", *files, "--effect", "area=0.2"]
    power.main(given)
    assert "sd 0.1, effect 0.2, margin 0.1" in capsys.readouterr().out
    power.main([*given, "--sd", "area=0.4"])
    assert "sd 0.4, effect 0.2" in capsys.readouterr().out


def test_areas_of_several_rewards_are_not_pooled(tmp_path, capsys):
    """Speed-ups are: they have no unit."""
    files = []
    for e in load_experiments("smoke")[0], load_experiments("smoke")[2]:
        for arm in ("baseline", "pcpo"):
            for seed, gain in enumerate((1.0, 1.5)):
                rows = pd.DataFrame({"epoch": [0, 10], "reward_mean": [0.5, 0.5 + gain]})
                rows = rows.assign(experiment=e.name, arm=arm, seed=seed, images=4, reward_std=0.1)
                path = tmp_path / f"{e.name}{arm}{seed}.parquet"
                frame_file.write(rows, frames.VALIDATION, path, "smoke")
                files.append(str(path))
    power.main(["--scale", "smoke", "--validation", *files, "--effect", "area=0.2"])
    text = capsys.readouterr().out
    assert "no --sd area=... given" in text
    assert "no --sd speedup" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1"], r"--seeds \[1\]: a verdict needs at least two"),
        (["--sd", "speed=1"], "--sd speed=1: expected OUTCOME=X, one of speedup, area, quality"),
        (["--sd", "area=x"], "--sd area=x: 'x' is no number"),
        (["--validation", "a.parquet"], "--scale: the scale of the pilot's files is missing"),
    ],
)
def test_what_is_wrong_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        power.main(arguments)


def test_the_pooled_spread_is_within_experiments():
    from pcpo.analysis.pilot import pooled_sd

    parts = [np.array([1.0, 2.0, 3.0]), np.array([10.0, 12.0]), np.array([5.0])]
    assert pooled_sd(parts) == pytest.approx(np.sqrt((2 + 2) / 3))
    assert pooled_sd(parts[2:]) is None
