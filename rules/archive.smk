# One file to share: everything of the run that is small.


rule archive:
    """Tables, figures, claims, report, frames, configuration, code, logs and provenance."""
    input:
        rules.tables.input,
        rules.figures.input,
        rules.claims.input,
        rules.claims.output,
        rules.report.output,
        rules.compare.input,
        WORLD_REPORT,
        manifests=run_frames(
            "manifest", EXPERIMENTS, lambda experiment: experiment.arms
        ),
        images=grid_images(),
        code=[
            *code("cli/archive.py"),
            *sorted(map(str, Path("pcpo/archive").glob("*.py"))),
        ],
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
        grids=grid_options(),
    shell:
        "python -m pcpo.cli.archive {params.experiments:q} --scale {params.scale:q}"
        " --seeds {params.seeds:q} {params.grids:q} --out {output:q} --log {log:q}"
