# One file to share: all small files of the run.


rule archive:
    """Tables, figures, claims, report, frames, configuration, code, logs and provenance."""
    input:
        rules.tables.input,
        rules.figures.input,
        rules.claims.input,
        rules.claims.output,
        rules.questions.output if SCALE.questions else [],
        rules.report.output,
        rules.compare.input,
        rules.pictures.input,
        T.synthetic_report,
        T.headroom,
        manifests=T.run_frames("manifest"),
        images=T.grid_images(),
        code=code("pcpo.cli.archive"),
    output:
        P.archive,
    log:
        P.log("archive"),
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
        experiments=list(EXPERIMENTS),
        seeds=SEEDS,
        digests=[experiment.digest() for experiment in EXPERIMENTS.values()],
        grids=T.grid_options(),
    shell:
        "python -m pcpo.cli.archive {params.experiments:q} --scale {params.scale:q}"
        " --seeds {params.seeds:q} {params.grids:q} --out {output:q} --log {log:q}"
