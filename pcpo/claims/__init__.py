"""The claims ledger: the paper's assertions, tested on this run's frames.

    from pcpo.claims.claim import read_claims
    from pcpo.claims.evidence import Evidence
    from pcpo.claims.ledger import evaluate
    from pcpo.claims.markdown import to_markdown

    ledger = evaluate(read_claims("config/claims.yaml"), Evidence(experiments, frames))
    ledger.to_csv("claims.csv", index=False)
    Path("claims.md").write_text(to_markdown(ledger, "demo"))

config/claims.yaml has the claims and names the test of each. `outcomes`, `curves`, `images`,
`guidance`, `gradients`, `surface`, `preference` and `exact` have the tests: the named functions in
`PROCEDURES` of `estimate`. `verdict` is the rule that judges their estimates.
`cells` judges the numbers of the paper's tables by the same rule. `words` has what files of results
say; this package imports nothing, so that their readers load no statistics.
"""
