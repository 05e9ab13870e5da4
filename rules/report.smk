# The report, one page: results/<scale>/report.html, from the files that the other rules wrote.


rule report:
    """The claims ledger, tables, figures, configurations, costs and provenance, in one file."""
    input:
        claims=f"{P.claims}.csv",
        questions=f"{P.questions}.csv" if SCALE.questions else [],
        compare=P.compare,
        tables=T.table_files(T.tables),
        figures=T.figure_files(T.figures, ("png", "md", "json")),
        pictures=T.picture_files(),
        synthetic=T.synthetic_report,
        headroom=T.headroom,
        templates=sorted(map(str, Path("pcpo/report/templates").glob("*"))),
        # The report lists figures that are not drawn, what a scale changes, and sampler names.
        code=code(
            *(
                "pcpo.cli.report",
                "pcpo.figures.registry",
                "pcpo.config.scale_differences",
            ),
            *("pcpo.config.settings", *members("pcpo.tables")),
        ),
    output:
        P.report,
    log:
        P.log("report"),
    # It reads the state of git and of the machine, so it runs where the workflow is started.
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
