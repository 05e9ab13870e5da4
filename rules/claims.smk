# The ledger: each measurable sentence of the paper with this run's estimate and verdict.


rule claims:
    """What holds, fails, is undecided or was not run, as a table and as a page."""
    input:
        updates=run_frames("updates", EXPERIMENTS, lambda experiment: experiment.arms),
        timesteps=run_frames(
            "timesteps", EXPERIMENTS, lambda experiment: experiment.arms
        ),
        validation=run_frames(
            "validation", EXPERIMENTS, lambda experiment: experiment.arms
        ),
        overall=measured_frames("overall", EXPERIMENTS),
        per_prompt=measured_frames("per_prompt", EXPERIMENTS),
        selection=measured_frames("selection", EXPERIMENTS),
        alignment=measured_frames("alignment", EXPERIMENTS),
        credit=[P.credit],
        readings=[P.readings],
        claims=f"{HOME}config/claims.yaml",
        code=[
            *code(
                "cli/claims.py",
                "analysis/curves.py",
                "analysis/phases.py",
                "analysis/reward_levels.py",
            ),
            *sorted(map(str, Path("pcpo/claims").glob("*.py"))),
            *sorted(map(str, Path("pcpo/stats").glob("*.py"))),
            *table_files(),
        ],
    output:
        report(
            f"{P.claims}.csv",
            caption="../pcpo/report/templates/claims.rst",
            category="Claims",
            labels={"what": "the ledger"},
        ),
        f"{P.claims}.md",
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
        frames=frame_options,
        out=lambda wc, output: output[0].removesuffix(".csv"),
    shell:
        "python -m pcpo.cli.claims --scale {params.scale:q} --claims {input.claims:q}"
        " {params.frames:q} --evaluation-sampler {params.sampler:q} --out {params.out:q} --log {log:q}"
