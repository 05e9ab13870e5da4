# The gradient of each timestep at checkpoints of a run, for the runs that `gradients` names.


rule gradients:
    input:
        manifest=P.manifest,
        model=model_files,
        prompts=lambda wc: inputs.prompt_files(SCALE, [T.of(wc).prompts]),
        reward=lambda wc: inputs.reward_files(SCALE, [T.of(wc).reward.name]),
        code=lambda wc: measuring_code(
            "pcpo.cli.gradients",
            trained_by=inputs.reward_modules(SCALE, [T.of(wc).reward.name]),
        ),
    output:
        P.gradients,
    log:
        P.log("gradients", "experiment", "arm", "seed"),
    benchmark:
        P.benchmark("gradients", "experiment", "arm", "seed")
    conda:
        "../envs/train.yaml"
    resources:
        gpu=gpus(),
        cpus_per_task=cores(),
        mem_mb=memory(2000),
        runtime=hours(24),
    params:
        run=lambda wc: P.run.format(**wc),
        scale=SCALE.name,
        epochs=lambda wc: measured_epochs(T.of(wc)),
        experiment=lambda wc: T.of(wc).identity(*TRAINING_FIELDS),
        arm=lambda wc: load_arm(wc.arm).identity(),
        reward=lambda wc: inputs.reward_settings(SCALE, [T.of(wc).reward.name]),
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.gradients"
        " {wildcards.experiment:q} {wildcards.arm:q} --seed {wildcards.seed:q}"
        " --scale {params.scale:q} --run {params.run:q} --epochs {params.epochs:q}"
        " --out {output:q} --log {log:q}"
