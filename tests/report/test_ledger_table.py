from pcpo.cli import ledger as command
from tests.report.test_ledger import ABSENT, row

RUNS = {"n": "8 runs per arm", "claim_verdict": "fails"}
HEAD = "| claim | configuration: estimate (95 % interval) | runs per arm | verdict |"


def test_a_row_has_all_settings_of_a_sentence_that_ran(write_claims, capsys):
    slower = {"id": "fast-4", "setting": "configuration 4 (DDPO BERT), FID*", "verdict": "fails"}
    other = {"id": "c", "claim_id": "c", "claim_verdict": "not run at this scale"}
    path = write_claims(
        row(**RUNS),
        row(**RUNS, **slower, estimate=-3, low=-5, high=-0.5),
        row(**RUNS, **ABSENT | {"id": "fast-6", "setting": "configuration 6 (FLUX)"}),
        row(**RUNS, **ABSENT | {"id": "fast-7", "setting": "configuration 7 (SD1.5), FID"}),
        row(**RUNS, id="by-table", judged_by="table"),
        row(**other, primary="True", **ABSENT),
        row(**other | {"id": "d", "claim_id": "d"}, primary="True", **ABSENT),
    )
    fast = (
        "| `fast`: speed-up; claimed: higher | configuration 2: 41.7 (20 to 50) **holds**; "
        r"4, FID\*: −3 (−5 to −0.5); not run: 6; 7, FID | 8 | **fails** |"
    )
    absent = ["", "Not run at this scale: `c`, `d`."]
    head = [HEAD, "| :-- | :-- | :-- | :-- |"]
    command.main([str(path)])
    assert capsys.readouterr().out.splitlines() == [*head, fast, *absent]
    command.main([str(path), "--primary"])
    assert capsys.readouterr().out.splitlines() == [*head, *absent]


def test_counts_of_runs_are_numbers_in_order(write_claims, capsys):
    several = [row(n=f"{n} runs per arm", id=f"p{n}") for n in (16, 4, 8)]
    one = row(n="1 run per arm", id="d", claim_id="d")
    command.main([str(write_claims(*several, one))])
    cells = [line.split(" | ")[2] for line in capsys.readouterr().out.splitlines()[2:]]
    assert cells == ["4, 8, 16", "1"]
