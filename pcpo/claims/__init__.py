"""The claims ledger: what the paper asserts, tested on this run's frames.

    ledger = evaluate(read_claims("config/claims.yaml"), Evidence(experiments, frames))
    ledger.to_csv("claims.csv", index=False)
    Path("claims.md").write_text(to_markdown(ledger, "demo"))

config/claims.yaml says what is claimed and which test judges it; `curves`, `exact` and `images`
have the tests, the named functions in `PROCEDURES`.
"""

from pcpo.claims.claim import Claim, read_claims
from pcpo.claims.estimate import PROCEDURES, Estimate
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.claims.ledger import COLUMNS, VERDICTS, evaluate, overall
from pcpo.claims.markdown import to_markdown

__all__ = [
    "COLUMNS",
    "PROCEDURES",
    "VERDICTS",
    "Claim",
    "Estimate",
    "Evidence",
    "NotRun",
    "evaluate",
    "overall",
    "read_claims",
    "to_markdown",
]
