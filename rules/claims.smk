# The ledgers: each measurable sentence of the paper, and each question of the scale's own, with this
# run's estimate and verdict.


rule claims:
    """Which claims hold, fail, are undecided or were not run, as a table and as a page."""
    input:
        **T.all_frames(),
        claims=f"{HOME}config/claims.yaml",
        code=frames_code("pcpo.cli.claims"),
    output:
        multiext(P.claims, ".csv", ".md"),
    log:
        P.log("claims"),
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
        sampler=SAMPLER,
        note=SCALE.note,
        evaluation=[e.digest("evaluation") for e in EXPERIMENTS.values()],
        frames=lambda wc, input: frame_options(input),
        out=lambda wc, output: output[0].removesuffix(".csv"),
    shell:
        "python -m pcpo.cli.claims --scale {params.scale:q} --claims {input.claims:q}"
        " {params.frames:q} --evaluation-sampler {params.sampler:q} --out {params.out:q} --log {log:q}"


if SCALE.questions:

    use rule claims as questions with:
        input:
            **T.all_frames(),
            claims=f"{HOME}config/{SCALE.questions}.yaml",
            code=frames_code("pcpo.cli.claims"),
        output:
            multiext(P.questions, ".csv", ".md"),
        log:
            P.log("questions"),
