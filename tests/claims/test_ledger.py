import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pcpo.analysis.phases import find_phases
from pcpo.claims.claim import read_claims
from pcpo.claims.estimate import PROCEDURES, Estimate
from pcpo.claims.evidence import Evidence
from pcpo.claims.ledger import COLUMNS, counted, evaluate, judge
from pcpo.claims.markdown import to_markdown
from pcpo.claims.words import LEDGER_VERDICTS
from pcpo.cli import claims as command
from pcpo.config import load_experiments, load_scale
from pcpo.config.files import CONFIG, ConfigError
from pcpo.records import frame_file, frames
from tests.claims import planted
from tests.test_layers import TRAINER, below, reached, within

FILE = CONFIG / "claims.yaml"
SPECS = frames.BY_NAME

# What the paper has.
SECTIONS = {"Abstract", "1", "2", "2.1", "2.2", "3", "3.1", "3.2", "3.3", "4", "5"}
APPENDICES = {"A", "A.1", "A.2", "A.3", "B", "B.1", "B.1.1", "B.2", "B.2.1", "B.2.2", "B.2.3"}
APPENDICES |= {"B.3", "B.3.1", "B.3.2", "B.3.3", "B.3.4", "B.4", "C", "D", "E", "F", "G", "H", "I"}
PANELS = {"Table 2": "ab", "Fig. 1": "ab", "Fig. 2": "abcd", "Fig. 3": "abcd", "Fig. 5": "abcd"}
PANELS |= {"Table 5": "ab", "Fig. 7": "abcd", "Fig. 9": "ab", "Fig. 10": "ab", "Fig. 11": "ab"}


@pytest.fixture(scope="module")
def claims():
    return read_claims(FILE)


@pytest.fixture(scope="module")
def experiments():
    return load_experiments("paper")


SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def ledgers(claims, experiments):
    """Effect -> ledger, three training seeds."""
    return {
        effect: evaluate(claims, Evidence(experiments, planted.frames(experiments, effect, SEEDS)))
        for effect in (1, 0, -1)
    }


@pytest.fixture(scope="module")
def one_run(claims, experiments):
    return evaluate(claims, Evidence(experiments, planted.frames(experiments, 1)))


def as_planted(ledger, claims):
    """Parts that follow the sentences, not the tables that contradict them."""
    contradicted = {part for claim in claims for part in claim.contradicted}
    return ledger[~ledger["id"].isin(contradicted)]


def test_the_planted_frames_are_valid(experiments):
    for name, frame in planted.frames(experiments[:2] + experiments[7:8], 1).items():
        if len(frame):
            frame_file.check(frame, SPECS[name], name)


def test_every_claim_gets_a_row_for_each_of_its_parts(ledgers, claims):
    for ledger in ledgers.values():
        assert list(ledger.columns) == COLUMNS
        assert ledger["id"].is_unique
        assert list(ledger["claim_id"].unique()) == [claim.id for claim in claims]
        assert set(ledger["verdict"]) <= set(LEDGER_VERDICTS)
        assert (ledger["low"].dropna() <= ledger["high"].dropna()).all()
        assert "not run at this scale" not in set(ledger["verdict"])


SHOWN = ["id", "estimate", "low", "high", "p", "p_holm", "verdict", "why"]


def test_a_planted_effect_holds(ledgers, claims):
    ledger = as_planted(ledgers[1], claims)
    wrong = ledger[ledger["verdict"] != "holds"]
    # Table 2 prints lower FD-DINOv2 and Table 3 calls it not significant: planted is the first.
    assert list(wrong["id"]) == ["fd_dinov2_not_significant"], wrong[SHOWN].to_string()
    assert list(wrong["verdict"]) == ["fails"]


def test_a_reversed_effect_fails(ledgers, claims):
    ledger = as_planted(ledgers[-1], claims)
    wrong = ledger[ledger["verdict"] != "fails"]
    assert wrong.empty, wrong[SHOWN].to_string()


def test_no_effect_decides_no_direction(ledgers):
    """But for one in twenty, which is what 5 % means."""
    ledger = ledgers[0][ledgers[0]["claimed"].isin(["higher", "lower"])]
    estimated = ledger[ledger["low"].notna()]
    assert len(estimated) > 80
    assert estimated["verdict"].isin(["holds", "fails"]).mean() < 0.08
    assert not (estimated["verdict"] == "not run at this scale").any()


def test_one_run_gives_no_verdict_that_needs_a_second(one_run):
    """Only what is checked row by row is judged; the interval within the run is shown."""
    exact = one_run["test"].map(lambda name: PROCEDURES[name].exact)
    assert set(one_run.loc[exact, "verdict"]) == {"holds"}
    estimated = one_run[~exact]
    assert set(estimated["verdict"]) == {"one run"}
    assert estimated["low"].notna().mean() > 0.8
    assert estimated[["p", "p_holm"]].isna().all(axis=None)
    whole = one_run[~exact].drop_duplicates("claim_id")["claim_verdict"]
    assert set(whole) == {"one run"}


def test_where_a_table_contradicts_its_sentence_the_table_is_judged(ledgers, claims):
    contradicted = {part: claim for claim in claims for part in claim.contradicted}
    rows = ledgers[1].set_index("id").loc[[*contradicted]]
    assert rows["why"].str.contains("judged on the paper's own table, which shows").all()
    assert set(rows["verdict"]) == {"fails"}  # planted are the sentences
    levels = published("table10").query("setting == 'BERTScore (288/144)'")
    speedups = levels.sort_values("reward_level", ascending=False)["speedup_pct"]
    slower = {f"faster_at_every_level-3-{n}" for n, s in enumerate(speedups, 1) if s < 0}
    assert slower == {part for part in contradicted if part.startswith("faster")}
    for dataset, name in (("coco", "table5a"), ("mjhq", "table5b")):
        table = published(name)
        for model, claim in (("SD1.4", "sd14"), ("FLUX", "flux")):
            of_model = table[table["model"] == model].set_index("method")
            for score in ("hpsv2_1", "aesthetic", "clipscore", "pickscore", "imagereward"):
                gap = of_model.loc["PCPO", score] - of_model.loc["DanceGRPO", score]
                part = f"{claim}_unseen_prompts-{dataset}-{score}"
                assert (part in contradicted) == (gap <= 0), part
                if gap <= 0:
                    direction = contradicted[part].contradicted[part].direction
                    assert direction == ("none" if gap == 0 else "lower")


def test_a_part_that_a_table_contradicts_does_not_decide_its_sentence(ledgers, claims):
    """Planted are the sentences: they hold though the tables' parts fail."""
    ledger = ledgers[1].set_index("id")
    for claim in (c for c in claims if c.contradicted):
        rows = ledger[ledger["claim_id"] == claim.id]
        beside = rows.index.isin(claim.contradicted)
        assert list(rows["judged_by"] == "table") == list(beside)
        assert set(rows["claim_verdict"]) == {"holds"}, claim.id
        assert set(rows.loc[~beside, "claimed"]) == {"higher"}
        for part, shown in claim.contradicted.items():
            words = {"lower": "lower", "none": "no effect above"}[shown.direction]
            assert rows.loc[part, "claimed"].startswith(words)
    text = to_markdown(ledgers[1], "paper")
    assert "of 22 settings: holds 22; beside them, by the paper's own table: fails 2." in text


def published(name):
    return pd.read_csv(CONFIG / "paper" / f"{name}.csv")


def test_margins_are_half_of_the_papers_effect(claims):
    table2a, table2b = published("table2a"), published("table2b")
    table3, table4 = (
        published(n).set_index(k) for n, k in (("table3", "effect"), ("table4", "model"))
    )
    half = table2a.query("batch_size == 256 and method == 'Baseline'").iloc[0]
    flux = table2b.query("model == 'FLUX' and method == 'Baseline'").iloc[0]
    for name, rows, label, metric, base in (
        ("fd_dinov2_not_significant", table3, "Algorithm", "fd_dinov2", half),
        ("fd_dinov2_batch", table3, "Batch Size", "fd_dinov2", half),
        ("diversity_main_effect", table3, "Algorithm", "lpips_diversity", half),
        ("diversity_dancegrpo", table4, "FLUX", "lpips_diversity", flux),
    ):
        (claim,) = claims_named(claims, name)
        effect = rows[rows["metric"] == metric].loc[label, "coef"]
        assert claim.relative_margin == pytest.approx(abs(effect) / 2 / base[metric], rel=0.03)


def test_algebra_and_conventions_are_not_counted(ledgers, claims):
    assert {c.id for c in claims if c.kind == "algebra"} == {
        c.id for c in claims if c.group == "Credit weights"
    }
    kept = counted(ledgers[1])
    assert len(kept) == sum(c.kind == "empirical" for c in claims)
    text = to_markdown(ledgers[1], "paper")
    assert f"| of {len(kept)} empirical claims |" in text
    assert "6 about the schedule of weights alone, which no training can change: 6 holds" in text


def test_several_seeds_decide_over_seeds(claims, experiments, ledgers):
    """Wall time too, which one run cannot; the interval is Student's over the seeds."""
    chosen = {"no_slower_epoch", "half_timesteps_time", "clipping_lower", "faster"}
    chosen |= {"keeps_text_alignment", "distances_lower_ddpo", "ratio_mean_below_one"}
    chosen |= {"weight_drives_clipping", "flow_grpo_kl", "pick_a_pic_gains"}
    given = planted.frames(experiments, 1, SEEDS)
    ledger = ledgers[1][ledgers[1]["claim_id"].isin(chosen)]
    assert set(ledger["claim_id"]) == chosen
    listed = as_planted(ledger, claims)
    assert set(listed["verdict"]) == {"holds"}, listed[["id", "verdict", "why"]].to_string()
    assert (ledger["n"] == "3 runs per arm").all()
    rows = given["updates"].groupby(["experiment", "arm", "seed"])["clip_fraction"].mean()
    name = experiments[1].name
    differences = (rows[name, "pcpo"] - rows[name, "baseline"]).to_numpy()
    expected = stats.t.interval(0.95, 2, differences.mean(), stats.sem(differences))
    row = ledger.set_index("id").loc["clipping_lower-2"]
    np.testing.assert_allclose([row["low"], row["high"]], expected)


def test_without_frames_nothing_is_run_and_nothing_is_dropped(claims, experiments):
    ledger = evaluate(claims, Evidence(experiments, {}))
    assert set(ledger["verdict"]) == {"not run at this scale"}
    assert (ledger["why"] != "").all()
    assert len(ledger) == sum(1 for claim in claims for _ in claim.parts())
    assert "nan" not in to_markdown(ledger, "paper").lower()
    few = [e for e in experiments if e.number != 5]
    row = evaluate(claims, Evidence(few, {})).set_index("id").loc["clipping_lower-5"]
    assert row["why"] == "configuration 5 is not part of this run"


def test_a_number_of_the_papers_scale_is_shown_and_not_judged_elsewhere(claims, experiments):
    elsewhere = [e.model_copy(update={"scale": "demo"}) for e in experiments]
    given = planted.frames(experiments, -1)
    chosen = [claim for claim in claims if claim.scales]
    ledger = evaluate(chosen, Evidence(elsewhere, given))
    assert set(ledger["verdict"]) == {"not run at this scale"}
    assert ledger["estimate"].notna().all()
    assert ledger["why"].str.startswith("the number belongs to scale paper").all()


def claims_named(claims, *names):
    return [claim for claim in claims if claim.id in names]


def test_unmatched_checkpoints_decide_nothing(claims, experiments):
    given = planted.frames(experiments, 1, SEEDS)
    chosen = claims_named(claims, "fid_dancegrpo", "distances_lower_ddpo", "diversity_full_batch")
    far = given["selection"].assign(matched=given["selection"]["arm"] == "baseline")
    for side in (1, -1):
        given["selection"] = far.assign(difference=side * 0.3)
        ledger = evaluate(chosen, Evidence(experiments, given))
        assert set(ledger["verdict"]) == {"undecided"}
        assert ledger["why"].str.contains("not matched").all()
    (as_they_are,) = claims_named(claims, "pick_a_pic_gains")
    assert set(evaluate([as_they_are], Evidence(experiments, given))["verdict"]) == {"holds"}
    # Over the seeds the rewards are equal, though in no seed.
    sign = far["seed"].map({0: 0.3, 1: -0.6, 2: 0.29})
    given["selection"] = far.assign(difference=sign)
    assert set(evaluate(chosen, Evidence(experiments, given))["verdict"]) == {"holds"}


def test_prompts_and_all_images_that_disagree_decide_nothing(claims, experiments):
    given = planted.frames(experiments, 1, SEEDS)
    pcpo = given["overall"]["arm"] == "pcpo"
    given["overall"].loc[pcpo, "value"] += 100
    ledger = evaluate(claims_named(claims, "distances_lower_ddpo"), Evidence(experiments, given))
    assert set(ledger["verdict"]) == {"undecided"}
    assert ledger["why"].str.contains("the two disagree").all()


def test_scores_are_judged_at_the_pair_that_the_claim_names(claims, experiments):
    """The planted effect is at the published epochs alone."""
    given = planted.frames(experiments, 1, SEEDS)
    (at_published,) = claims_named(claims, "keeps_text_alignment")
    at_published = at_published.model_copy(update={"contradicted": {}})
    assert set(evaluate([at_published], Evidence(experiments, given))["verdict"]) == {"holds"}
    options = at_published.options | {"checkpoint": "matched"}
    matched = at_published.model_copy(update={"options": options})
    ledger = evaluate([matched], Evidence(experiments, given))
    np.testing.assert_allclose(ledger["estimate"], 0.0, atol=0.06)
    given["selection"] = given["selection"].assign(matched=False, difference=0.3)
    assert evaluate([matched], Evidence(experiments, given))["why"].str.contains("matched").all()


def test_gradients_are_compared_in_the_phases_of_figure_11(claims, experiments):
    """Only after each arm's own crossing do PCPO's gradients differ; elsewhere they are larger."""
    given = planted.frames(experiments, 1)
    of_two = given["updates"]["experiment"] == experiments[1].name
    updates = given["updates"] = given["updates"][of_two].reset_index(drop=True)
    level, phases = 6.9, find_phases(updates, experiments[1].evaluation)
    for arm, factor in (("baseline", 2.0), ("pcpo", 1.0)):
        rows = updates["arm"] == arm
        rewards = updates[rows].groupby("epoch")["reward_mean"].first()
        crossing = rewards.rolling(5).mean().ge(level).idxmax()
        assert list(phases[arm, 0].near) == list(range(crossing + 1, crossing + 6))
        near = rows & updates["epoch"].between(crossing + 1, crossing + 5)
        away = 1.0 if arm == "baseline" else 3.0
        for column in ("gradient_abs_mean", "gradient_abs_var"):
            noise = 1 + 1e-3 * np.sin(updates["epoch"])
            updates.loc[rows, column] = away * noise
            updates.loc[near, column] = factor * noise
    chosen = claims_named(claims, "gradients_near_convergence", "gradients_at_start")
    ledger = evaluate(chosen, Evidence(experiments, given)).set_index("claim_id")
    two = ledger[ledger["configurations"] == "2"]
    # 0.5 near convergence, relative to 3 at the start.
    near = two.loc["gradients_near_convergence", "estimate"]
    np.testing.assert_allclose(near, 0.5 / 3, rtol=1e-2)
    np.testing.assert_allclose(two.loc["gradients_at_start", "estimate"], 3.0, rtol=1e-2)
    assert not two["why"].str.contains("last epochs").any()
    given["updates"] = updates.assign(reward_mean=updates["reward_mean"] - 100)
    ledger = evaluate(chosen[:1], Evidence(experiments, given))
    reasons = ledger.loc[ledger["configurations"] == "2", "why"]
    assert reasons.str.contains("epochs 56 to 60: never at the level 6.9").all()


def test_runs_shorter_than_the_trailing_mean_are_noted(claims):
    """The smoke scale's two epochs."""
    smoke = load_experiments("smoke")
    given = planted.frames(smoke, 1)
    given["updates"] = given["updates"][given["updates"]["epoch"] <= 2]
    names = ("faster_by_training_reward", "faster_at_every_level")
    ledger = evaluate(claims_named(claims, *names), Evidence(smoke, given))
    assert set(ledger["verdict"]) == {"not run at this scale"}
    assert ledger["why"].str.contains("a run of 2 epochs is shorter than the trailing").all()
    near = evaluate(claims_named(claims, "gradients_near_convergence"), Evidence(smoke, given))
    assert near["why"].str.contains("no level").all()


def test_a_reason_says_what_decided_then_what_blocks_then_what_was_found(claims):
    (faster,) = claims_named(claims, "faster")
    part = next(faster.parts())

    def why(found, scale="demo"):
        cells = judge(faster, [part], [found], scale)[0]
        return cells["verdict"], cells["why"]

    found = Estimate(1.0, -1.0, 3.0, why="level 6.9", runs=4, df=3)
    assert why(found) == ("undecided", "the interval contains 0; level 6.9")
    found = Estimate(1.0, 0.1, 1.9, why="level 6.9", runs=4, df=3, blocked="not matched")
    assert why(found) == ("undecided", "not matched; level 6.9")
    assert why("nothing there") == ("not run at this scale", "nothing there")


def test_a_ledger_of_our_own_questions_does_not_name_the_paper(experiments):
    own = claims_named(read_claims(CONFIG / "questions.yaml"), "equation_6_is_slower")
    ledger = evaluate(own, Evidence(experiments, planted.frames(experiments, 1)))
    page = to_markdown(ledger, "study")
    assert page.startswith("# Our own questions, at scale study")
    assert "| of 1 empirical questions |" in page and "| Verdict | Question | Here |" in page
    assert "What the paper" not in page and "| The paper |" not in page and "ours" not in page


@pytest.mark.parametrize(("power", "end"), [(1, 56), (2, 40)])
def test_kl_is_compared_at_equal_reward(experiments, power, end):
    """PCPO is faster and pays 0 to 20 % more for a reward: at equal epochs its KL is far larger.

    Rewards rise on a line, so that the KL at a reward is a power of the gain times its price.
    Interpolation is exact: of lines everywhere, of squares because the ten times are of updates.
    """
    eight = experiments[7:8]
    given = planted.frames(eight, 0, SEEDS)
    two = given["updates"]
    third = two[two["update"] == 2].assign(update=3)
    updates = pd.concat([two, third], ignore_index=True)
    epochs, rows = np.arange(0, end + 1, 4), []
    for arm, seed in given["validation"].groupby(["arm", "seed"]).groups:
        speed = 1.5 if arm == "pcpo" else 1.0
        price = 1 + 0.1 * seed * (arm == "pcpo")
        rows.append(
            pd.DataFrame({"epoch": epochs, "reward_mean": 0.5 + speed * epochs / 100}).assign(
                experiment=eight[0].name, arm=arm, seed=seed, images=8, reward_std=0.1
            )
        )
        own = updates[(updates["arm"] == arm) & (updates["seed"] == seed)]
        before = own["epoch"] - 1 + (own["update"] - 1) / 3  # of the weights before the step
        updates.loc[own.index, "kl"] = price * (speed * before / 100) ** power
    given |= {"validation": pd.concat(rows), "updates": updates}
    found = PROCEDURES["kl_at_reward"].function(Evidence(eight, given), 8)
    # At shares 0.1, 0.2, ..., 1.0 of the gain at which the baseline ends.
    baseline = {1: 0.55, 2: 0.385}[power] * (end / 100) ** power
    assert found.reference == pytest.approx(baseline, rel=1e-9)
    assert found.value == pytest.approx(0.1 * baseline, rel=1e-9)
    assert found.runs == len(SEEDS)
    apart = PROCEDURES["epoch_mean"].function(Evidence(eight, given), 8, of="kl")
    assert apart.value / apart.reference == pytest.approx(1.1 * 1.5**power - 1)


def test_scores_that_a_claim_asks_for_are_measured(claims):
    for scale in ("paper", "demo"):
        measured = load_scale(scale).alignment
        parts = [p for c in claims if c.test == "score_difference" for p in c.parts()]
        for options in (part.options for part in parts):
            assert options["score"] in measured[options["dataset"]], f"{scale}: {options}"


def test_every_source_is_in_the_paper(claims):
    for item in claims:
        for place in item.source.split(", "):
            found = re.fullmatch(r"(Sec\.|App\.|Table|Fig\.) ([\w.]+?)(?:\(([a-d])\))?", place)
            assert found, f"{item.id}: source '{place}'"
            kind, number, panel = found.groups()
            known = {
                "Sec.": SECTIONS,
                "App.": APPENDICES,
                "Table": {str(n) for n in range(1, 11)},
                "Fig.": {str(n) for n in range(1, 21)},
            }[kind]
            assert number in known, f"{item.id}: source '{place}'"
            assert not panel or panel in PANELS.get(f"{kind} {number}", ""), f"{item.id}: {place}"


def test_every_procedure_is_used_and_documented(claims):
    ours = [q for name in ("questions", "questions2") for q in read_claims(CONFIG / f"{name}.yaml")]
    assert {item.test for item in [*claims, *ours]} == set(PROCEDURES)
    assert len({item.id for item in [*claims, *ours]}) == len([*claims, *ours])
    assert all(procedure.function.__doc__ for procedure in PROCEDURES.values())


GOOD = """
good:
  group: g
  sentence: s
  source: Table 1
  quantity: q
  test: epoch_mean
  direction: lower
  configurations: [2]
  options: {of: kl}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "epoch_mean",
            "epoch_maen",
            "good: test: unknown procedure 'epoch_maen'; known: always_ze",
        ),
        ("  source: Table 1\n", "", "good: source: this key is missing"),
        ("  group: g\n", "  group: g\n  gruop: g\n", "good: gruop: unknown key"),
        ("  direction: lower\n", "", "good: direction: 'epoch_mean' takes either"),
        ("{of: kl}", "{}", "good: options: of: this key is missing"),
        ("{of: kl}", "{of: kll}", "good: options: of: Input should be 'reward_mean'"),
        ("{of: kl}", "{of: kl, odd: 1}", "good: options: odd: unknown key"),
        ("{of: kl}", "{of: kl, arms: [pcop, baseline]}", "options: arms: unknown arm 'pcop'"),
        ("[2]", "[[1, 2]]", "good: configurations: 'epoch_mean' takes one at a time"),
        ("[2]", "[2]\n  scales: [papre]", "good: scales: unknown scale 'papre'"),
        ("lower", "none", "good: margin: a claim of no effect (direction none) needs a margin"),
        ("lower", "lower\n  margin: 0.1", "good: margin: a claim of no effect"),
        (
            "lower",
            "lower\n  only_where: other",
            "good: only_where: 'other' is no claim of this file",
        ),
        ("lower", "lower\n  only_where: good", "good: only_where: 'good' is no claim of this file"),
        (
            "epoch_mean\n  direction: lower\n  configurations: [2]\n  options: {of: kl}",
            "larger_step\n  direction: none\n  paired_margin: 0.2\n  configurations: [2]\n"
            "  options: {chain: [baseline, log_hinge, pcpo], than: log_hinge}",
            "good: paired_margin: 'larger_step' gives no reference of each run",
        ),
        ("lower", "lower\n  kind: algbra", "good: kind: Input should be 'empirical'"),
        (
            "lower",
            "lower\n  contradicted: {good-3: {direction: higher, shows: more}}",
            "good: contradicted: the claim has no part 'good-3'",
        ),
        (
            "lower",
            "lower\n  contradicted: {good: {direction: higher, shows: more}}",
            "good: contradicted: no part is left to the sentence",
        ),
        (
            "epoch_mean\n  direction: lower\n  configurations: [2]\n  options: {of: kl}",
            "larger_step\n  direction: lower\n  configurations: [2]\n"
            "  options: {chain: [baseline, log_hinge, pcpo], than: pcpo, fraction: 0.5}",
            "good: options: than: 'pcpo' is no step before the last of baseline -> log_hinge",
        ),
        ("good:", "good: 1\nbetter:", "good: expected the keys of a claim"),
    ],
)
def test_mistakes_in_the_file_are_named_with_file_and_key(tmp_path, old, new, message):
    path = tmp_path / "claims.yaml"
    path.write_text(GOOD)
    assert len(read_claims(path)) == 1
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_claims(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


CONDITION = """
same_clipping:
  group: g
  sentence: s
  source: Table 1
  quantity: q
  test: epoch_mean
  direction: none
  paired_margin: 0.2
  configurations: [1, 2]
  options: {of: clip_fraction, arms: [log_hinge, baseline]}
asked_there:
  group: g
  sentence: s
  source: Table 1
  quantity: q
  test: validation_area
  direction: higher
  configurations: [1, 2]
  only_where: same_clipping
"""


def test_a_claim_is_judged_only_where_its_condition_holds(tmp_path, experiments):
    """Configuration 2 has no log_hinge at this scale; in 1 it clips as often, or half as often."""
    (tmp_path / "claims.yaml").write_text(CONDITION)
    given = planted.frames(experiments, 1, SEEDS)
    updates = given["updates"] = given["updates"].reset_index(drop=True)
    one = updates["experiment"] == experiments[0].name
    columns = ["seed", "epoch", "update"]
    same = updates[one & (updates["arm"] == "baseline")].set_index(columns)["clip_fraction"]
    rows = one & (updates["arm"] == "log_hinge")
    equal = same.loc[pd.MultiIndex.from_frame(updates.loc[rows, columns])].to_numpy()

    def verdicts(factor):
        updates.loc[rows, "clip_fraction"] = factor * equal
        claims = read_claims(tmp_path / "claims.yaml")
        return evaluate(claims, Evidence(experiments, given)).set_index("id")

    same, half = verdicts(1.0), verdicts(0.5)
    assert same.loc["same_clipping-1", "verdict"] == same.loc["asked_there-1", "verdict"] == "holds"
    assert half.loc["same_clipping-1", "verdict"] == "fails"
    assert half.loc["asked_there-1", "verdict"] == "undecided"
    assert "judged only where same_clipping holds: fails" in half.loc["asked_there-1", "why"]
    assert same.loc["asked_there-2", "verdict"] == "undecided"
    assert "holds: not run" in same.loc["asked_there-2", "why"]
    assert same.loc["same_clipping-1", "claimed"].endswith(
        "20 % of the reference value, run by run"
    )


def test_a_condition_is_asked_of_the_same_configurations(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(CONDITION.replace("[1, 2]", "[1]", 1))
    with pytest.raises(ConfigError, match="only_where: 'same_clipping' is not asked of conf.* 2"):
        read_claims(path)


def test_the_page_leads_with_verdicts(ledgers):
    text = to_markdown(ledgers[1], "paper", "a note")
    lines = text.splitlines()
    counts = counted(ledgers[1])["claim_verdict"].value_counts()
    assert f"|  | {counts['holds']} | {counts['fails']} | 0 | 0 | 0 |" in lines
    first = next(line for line in lines if "substantial training acceleration" in line)
    assert first.startswith('| **holds** | "This stability')
    assert first.endswith("of 4 settings: holds 4. [more](#faster) |")
    for name in ledgers[1]["claim_id"].unique():
        assert f"### {name}" in lines
    tables = [line.count(" | ") for line in lines if line.startswith("| ")]
    assert set(tables) == {2, 5}


def test_the_command_writes_what_the_report_reads(tmp_path, capsys):
    """On files; some frames are not given, that of validation is empty."""
    experiments = load_experiments("demo")
    given = planted.frames(experiments, 1)
    for name in ("overall", "per_prompt", "alignment"):
        del given[name]
    given["validation"] = frame_file.of_rows([], frames.VALIDATION)
    arguments = ["--scale", "demo", "--claims", str(FILE), "--out", str(tmp_path / "claims")]
    for name, frame in given.items():
        path = tmp_path / f"{name}.parquet"
        frame_file.write(frame, SPECS[name], path, "demo")
        arguments += [f"--{name.replace('_', '-')}", str(path)]
    command.main(arguments)
    ledger = pd.read_csv(tmp_path / "claims.csv")
    verdicts = ledger.set_index("id")["verdict"]
    assert verdicts["flow_grpo_reward-8"] == verdicts["fid_ddpo"] == "not run at this scale"
    assert verdicts["clipping_lower-2"] == "one run"
    assert "What the paper claims, at scale demo" in (tmp_path / "claims.md").read_text()
    assert sorted(p.name for p in tmp_path.glob("claims*")) == ["claims.csv", "claims.md"]
    assert f"{len(counted(ledger))} empirical claims: " in capsys.readouterr().out


def test_the_ledger_needs_no_torch():
    assert "pcpo.claims.verdict" in below("pcpo.claims")
    for module in below("pcpo.claims"):
        assert not within(reached(module), {"torch", "diffusers", "pcpo.rewards", *TRAINER})
    code = "import sys, pcpo.claims.ledger, pcpo.claims.cells; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
