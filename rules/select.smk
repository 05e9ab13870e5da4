# Checkpoint selection at matched reward.


rule select:
    input:
        T.run_files,
        model=model_files,
        reward=lambda wc: inputs.reward_files(SCALE, [T.of(wc).reward.name]),
        code=measuring_code("pcpo.cli.select", *SAMPLER_MODULES),
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
        cpus_per_task=cores(),
        mem_mb=memory(2000),
        runtime=hours(96),
    params:
        scale=SCALE.name,
        sampler=SAMPLER,
        evaluation=lambda wc: T.of(wc).identity("evaluation", "sampler"),
        reward=lambda wc: inputs.reward_settings(SCALE, [T.of(wc).reward.name]),
        runs=lambda wc: T.run_options(wc),
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.select"
        " {wildcards.experiment:q} --scale {params.scale:q}"
        " --evaluation-sampler {params.sampler:q}"
        " --seed {wildcards.seed:q} {params.runs:q} --out {output:q} --log {log:q}"
