"""results/<scale>/report.html: one self-contained page from the files of a finished run.

    from pcpo.report import collect, render
    html = render(collect(Path("results/demo"), "demo", experiments_at("demo"), seeds=[0]))

Each section is a module: `ledger` (claims), `side_by_side` and `tables`, `figures`,
`configurations`, `costs` (time and GPU-hours), `synthetic` (models that were trained here) and
`plan`; git, packages and machine are those of `pcpo.records.provenance`. They read files of other
rules and compute nothing new. The page names what is missing. A file that cannot be understood is
refused by its name.
"""

from pcpo.report.page import collect, render

__all__ = ["collect", "render"]
