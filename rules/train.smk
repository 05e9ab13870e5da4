# One run of an experiment's arm. Checkpoints and the resume state lie beside the declared outputs.
# They are not declared, because Snakemake deletes the declared outputs of a job that failed.


rule train:
    input:
        model=model_files,
        prompts=lambda wc: inputs.prompt_files(SCALE, inputs.training_prompts(T.of(wc))),
        reward=lambda wc: inputs.reward_files(SCALE, [T.of(wc).reward.name]),
    output:
        manifest=P.manifest,
        updates=P.updates,
        timesteps=P.timesteps,
        validation=P.validation,
    log:
        P.log("train", "experiment", "arm", "seed"),
    benchmark:
        P.benchmark("train", "experiment", "arm", "seed")
    priority: 10
    conda:
        "../envs/train.yaml"
    resources:
        gpu=lambda wc: gpus(T.of(wc)),
        cpus_per_task=lambda wc: cores(T.of(wc)),
        mem_mb=memory(2000, training=True),
        runtime=hours(48),
    params:
        out=lambda wc: P.run.format(**wc),
        scale=SCALE.name,
        # A changed value reruns exactly the runs that it affects.
        experiment=lambda wc: T.of(wc).identity(*TRAINING_FIELDS),
        epochs=lambda wc: T.of(wc).epochs,
        arm=lambda wc: load_arm(wc.arm).identity(),
        reward=lambda wc: inputs.reward_settings(SCALE, [T.of(wc).reward.name]),
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.train"
        " {wildcards.experiment:q} {wildcards.arm:q} --seed {wildcards.seed:q}"
        " --scale {params.scale:q} --out {params.out:q} --log {log:q}"
