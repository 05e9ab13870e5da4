"""The claims ledger: the paper's assertions, tested on this run's frames.

    ledger = evaluate(read_claims("config/claims.yaml"), Evidence(experiments, frames))
    ledger.to_csv("claims.csv", index=False)
    Path("claims.md").write_text(to_markdown(ledger, "demo"))

config/claims.yaml has the claims and names the test of each. `outcomes`, `curves`, `images`,
`guidance`, `gradients`, `preference` and `exact` have the tests: the named functions in
`PROCEDURES`. `verdict` is the rule that judges their estimates.
`cells` judges the numbers of the paper's tables by the same rule.
"""

from pcpo.claims.claim import Claim, read_claims
from pcpo.claims.estimate import PROCEDURES, Estimate
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.claims.ledger import COLUMNS, counted, evaluate
from pcpo.claims.markdown import to_markdown
from pcpo.claims.words import LEDGER_VERDICTS

__all__ = [
    "COLUMNS",
    "LEDGER_VERDICTS",
    "PROCEDURES",
    "Claim",
    "Estimate",
    "Evidence",
    "NotRun",
    "counted",
    "evaluate",
    "read_claims",
    "to_markdown",
]
