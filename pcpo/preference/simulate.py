"""Raters that are no people: to plan a study, to test its analysis, and to rehearse it.

A simulated rater prefers PCPO with a probability whose logit is a mean plus a part of the rater and
a part of the prompt, so that answers come in clusters as those of people do. Files of simulated
answers say so, and no rule, figure or claim counts them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pcpo.preference.analysis import rate
from pcpo.preference.answers import Answers
from pcpo.preference.pairs import Key
from pcpo.preference.questions import COMPARISONS, QUESTIONS
from pcpo.records import frame_file, frames

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)


@dataclass(frozen=True)
class Raters:
    """How raters answer. win_rate: of the population, over raters and prompts.

    rater_sd, prompt_sd: standard deviations of the two parts on the logit scale. left: logit that
    is added for an image on the left. careless: share of raters who answer at random.
    """

    win_rate: float = 0.6
    rater_sd: float = 0.5
    prompt_sd: float = 0.5
    left: float = 0.0
    careless: float = 0.0

    @property
    def logit(self) -> float:
        """The mean whose average probability over raters and prompts is `win_rate`."""
        spread = math.hypot(self.rater_sd, self.prompt_sd)
        low, high = -20.0, 20.0
        for _ in range(60):
            middle = (low + high) / 2
            share = float(_WEIGHTS @ _probability(middle + spread * _NODES)) / _WEIGHTS.sum()
            low, high = (middle, high) if share < self.win_rate else (low, middle)
        return (low + high) / 2


def simulated_frame(
    model: Raters,
    rng: np.random.Generator,
    raters: int,
    pairs: int = 20,
    prompts: int = 45,
    images: int = 10,
    seeds: tuple[int, ...] = (0,),
    experiment: str = "06_dancegrpo_flux_hps",
) -> pd.DataFrame:
    """A study's frame, without checks: each rater sees `pairs` pairs, comparisons in turn."""
    logit = model.logit
    of_prompt = rng.normal(0, model.prompt_sd, (len(QUESTIONS), prompts))
    rows = []
    for rater in range(raters):
        careless = rng.random() < model.careless
        own = rng.normal(0, model.rater_sd)
        chosen = rng.permuted(np.arange(prompts * -(-pairs // prompts)) % prompts)[:pairs]
        device = ("phone", "desktop")[int(rng.integers(2))]
        for position, prompt in enumerate(chosen, 1):
            image = int(rng.integers(images))
            left = bool(rng.integers(2))
            for place, category in enumerate(QUESTIONS):
                at = logit + own + of_prompt[place, prompt] + (model.left if left else -model.left)
                wins = rng.random() < (0.5 if careless else _probability(at))
                rows.append(
                    {
                        "experiment": experiment,
                        "rater": rater + 1,
                        "device": device,
                        "position": position,
                        "kind": "pair",
                        "category": category,
                        "comparison": COMPARISONS[(position + rater) % 2],
                        "seed": seeds[image % len(seeds)],
                        "pcpo_epoch": 120,
                        "baseline_epoch": (180, 240)[(position + rater) % 2],
                        "prompt_id": int(prompt),
                        "image_seed": image,
                        "side": "left" if left else "right",
                        "preferred": "pcpo" if wins else "baseline",
                        "seconds": float(rng.lognormal(2.3, 0.5)),
                    }
                )
    return frame_file.of_rows(rows, frames.PREFERENCE)


@dataclass(frozen=True)
class Power:
    """Of simulated studies: how often the interval excludes a half, and contains the truth."""

    raters: int
    win_rate: float
    above: float  # share of studies whose interval lies above a half
    below: float
    covered: float  # whose interval contains the population's share
    width: float  # mean width of the interval


def power(model: Raters, raters: int, studies: int, seed: int = 0, pairs: int = 20) -> Power:
    """Simulate studies of one comparison and category, as `analysis.rate` judges them.

    Each rater sees `pairs` pairs, half of them of the comparison, on prompts drawn anew.
    """
    rng = np.random.default_rng(seed)
    prompts, logit = 45, model.logit
    found = np.empty((studies, 2))
    for study in range(studies):
        rater = np.repeat(np.arange(raters), max(1, pairs // 2))
        prompt = np.concatenate([
            rng.permutation(prompts)[: max(1, pairs // 2)] for _ in range(raters)
        ])  # fmt: skip
        at = logit + rng.normal(0, model.rater_sd, raters)[rater]
        at = at + rng.normal(0, model.prompt_sd, prompts)[prompt]
        score = (rng.random(len(rater)) < _probability(at)).astype(float)
        rows = pd.DataFrame({"rater": rater, "prompt_id": prompt, "score": score})
        one = rate(rows)
        found[study] = one.low, one.high
    low, high = found.T
    return Power(
        raters=raters,
        win_rate=model.win_rate,
        above=float((low > 0.5).mean()),
        below=float((high < 0.5).mean()),
        covered=float(((low <= model.win_rate) & (model.win_rate <= high)).mean()),
        width=float((high - low).mean()),
    )


def rehearse(answers: Answers, key: Key, model: Raters, raters: int, seed: int = 0) -> int:
    """Let simulated raters answer a whole study through its store; the number of answers.

    Raises ValueError for a store that is for people.
    """
    if answers.options.origin != "simulated":
        raise ValueError("simulated raters need a file of their own: it is not for people")
    rng = np.random.default_rng(seed)
    of_prompt: dict[int, float] = {}
    logit, count = model.logit, 0
    for number in range(raters):
        token = answers.begin(("phone", "desktop")[number % 2])
        session = answers.session(token)
        assert session is not None
        own = rng.normal(0, model.rater_sd)
        careless = rng.random() < model.careless
        while (question := answers.question(session)) is not None:
            pair, left_first = answers.asked(session, question.token)
            whose = key.pairs[pair]
            wanted_left = (whose.first in ("pcpo", "intact")) == left_first
            prompt = whose.prompt_id
            if prompt not in of_prompt:
                of_prompt[prompt] = float(rng.normal(0, model.prompt_sd))
            at = logit + own + of_prompt[prompt] + (model.left if wanted_left else -model.left)
            if whose.comparison == "check":
                at = 6.0
            chance = 0.5 if careless else _probability(at)
            choices: dict[str, str] = {}
            for category in QUESTIONS:
                wins = rng.random() < chance
                choices[category] = "left" if wins == wanted_left else "right"
            answers.answer(session, question.token, choices)
            count += 1
    return count


def _probability(logit: np.ndarray | float) -> np.ndarray | float:
    return 1 / (1 + np.exp(-logit))
