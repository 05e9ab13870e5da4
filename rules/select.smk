# Checkpoint selection at matched reward.


rule select:
    input:
        run_files,
        model=lambda wc: model_files(EXPERIMENTS[wc.experiment]),
        reward=lambda wc: reward_files(EXPERIMENTS[wc.experiment].reward.name),
        code=code(
            "evaluation/selection.py",
            "analysis/reward_levels.py",
            "stats/speedup.py",
            "cli/select.py",
        )
        + SAMPLER_CODE,
    output:
        P.selection,
    log:
        P.log("select", "experiment", "seed"),
    benchmark:
        P.benchmark("select", "experiment", "seed")
    conda:
        "../envs/train.yaml"
    resources:
        gpu=gpus(),
        cpus_per_task=cores(gpus()),
        mem_mb=memory(2000),
        runtime=hours(96),
    params:
        scale=SCALE.name,
        sampler=SAMPLER,
        evaluation=lambda wc: EXPERIMENTS[wc.experiment].identity(
            "evaluation", "sampler"
        ),
        reward=lambda wc: reward_sources(EXPERIMENTS[wc.experiment].reward.name),
        runs=lambda wc: [
            word
            for arm in EXPERIMENTS[wc.experiment].measured
            for word in ("--run", P.run.format(arm=arm, **wc))
        ],
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.select"
        " {wildcards.experiment:q} --scale {params.scale:q}"
        " --evaluation-sampler {params.sampler:q}"
        " --seed {wildcards.seed:q} {params.runs:q} --out {output:q} --log {log:q}"
