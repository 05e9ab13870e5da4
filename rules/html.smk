# One page for a reader: results/<scale>/report.html, from what the other rules wrote.


rule report:
    """The claims ledger, tables, figures, configurations, costs and provenance, in one file."""
    input:
        claims=f"{P.claims}.csv",
        compare=P.compare,
        tables=expand(P.table_file, table=READY_TABLES, suffix=TABLE_SUFFIXES),
        figures=expand(P.figure_file, figure=READY_FIGURES, suffix=("png", "md")),
        world=WORLD_REPORT,
        code=sorted(
            str(file)
            for pattern in ("cli/report.py", "report/*.py", "report/templates/*")
            for file in Path("pcpo").glob(pattern)
        )
        + code("paths.py", "config/settings.py"),
    output:
        report(
            P.report,
            category="Report",
            caption="../pcpo/report/templates/report.rst",
            labels={"what": "the report of this workflow"},
        ),
    log:
        P.log("report"),
    # It asks git and the machine: the one that the workflow is started on.
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
        sampler=SAMPLER,
        root=lambda wc: P.root,
        archive=ARCHIVE.name if ARCHIVE else "",
        experiments=list(EXPERIMENTS),
        seeds=SEEDS,
        digests=[experiment.digest() for experiment in EXPERIMENTS.values()],
    shell:
        "python -m pcpo.cli.report {params.experiments:q} --scale {params.scale:q}"
        " --seeds {params.seeds:q} --results {params.root:q} --archive={params.archive:q}"
        " --evaluation-sampler {params.sampler:q} --out {output:q} --log {log:q}"
