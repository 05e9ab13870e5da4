# Measurements of an experiment's images, and alignment scores on unseen prompts.


rule evaluate:
    input:
        T.image_indices,
        features=inputs.feature_files(SCALE),
        code=measuring_code("pcpo.cli.evaluate", loaded=inputs.quality_modules(SCALE)),
    output:
        overall=P.overall,
        per_prompt=P.per_prompt,
    log:
        P.log("evaluate", "experiment", "seed"),
    benchmark:
        P.benchmark("evaluate", "experiment", "seed")
    conda:
        "../envs/evaluate.yaml"
    resources:
        gpu=gpus(),
        cpus_per_task=cores(),
        mem_mb=memory(2000),
        runtime=hours(24),
    params:
        scale=SCALE.name,
        quality={key: source.model_dump() for key, source in SCALE.quality.items()},
        base=lambda wc: P.base_images.format(base=T.of(wc).base_images),
        arms=lambda wc: T.image_options(wc),
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.evaluate"
        " {wildcards.experiment:q} --scale {params.scale:q}"
        " --seed {wildcards.seed:q} --base {params.base:q} {params.arms:q}"
        " --overall {output.overall:q} --per-prompt {output.per_prompt:q} --log {log:q}"


rule align:
    input:
        manifests=T.compared_manifests,
        selection=P.selection,
        model=model_files,
        prompts=lambda wc: inputs.prompt_files(SCALE, T.of(wc).alignment),
        rewards=lambda wc: inputs.reward_files(
            SCALE, inputs.alignment_rewards(SCALE, T.of(wc))
        ),
        code=lambda wc: measuring_code(
            "pcpo.cli.align",
            "pcpo.evaluation.generation",
            *SAMPLER_MODULES,
            **inputs.alignment_modules(SCALE, T.of(wc)),
        ),
    output:
        P.alignment,
    log:
        P.log("align", "experiment", "seed"),
    benchmark:
        P.benchmark("align", "experiment", "seed")
    conda:
        "../envs/evaluate.yaml"
    resources:
        gpu=gpus(),
        cpus_per_task=cores(),
        mem_mb=memory(2000),
        runtime=hours(24),
    params:
        scale=SCALE.name,
        sampler=SAMPLER,
        evaluation=lambda wc: T.of(wc).identity(
            "evaluation", "sampler", "alignment", "alignment_checkpoint"
        ),
        columns=lambda wc: {
            dataset: SCALE.alignment[dataset] for dataset in T.of(wc).alignment
        },
        sources=lambda wc: inputs.reward_settings(
            SCALE, inputs.alignment_rewards(SCALE, T.of(wc))
        ),
        arms=lambda wc: T.compared_options(wc),
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.align"
        " {wildcards.experiment:q} --scale {params.scale:q}"
        " --evaluation-sampler {params.sampler:q}"
        " --seed {wildcards.seed:q} --selection {input.selection:q} {params.arms:q}"
        " --out {output:q} --log {log:q}"


rule credit:
    """Credit weights of every experiment and arm over the timesteps."""
    input:
        [inputs.model_files(SCALE, experiment) for experiment in EXPERIMENTS.values()],
        arms=f"{HOME}config/arms.yaml",
        # An arm's record has the values that it leaves out of the file.
        code=code("pcpo.cli.credit", "pcpo.config.arms"),
    output:
        P.credit,
    log:
        P.log("credit"),
    conda:
        "../envs/evaluate.yaml"
    params:
        scale=SCALE.name,
        experiments=list(EXPERIMENTS),
        digests=[
            experiment.digest("sampler", "timesteps")
            for experiment in EXPERIMENTS.values()
        ],
    shell:
        "python -m pcpo.cli.credit {params.experiments:q} --scale {params.scale:q} --out {output:q} --log {log:q}"


rule readings:
    """What each reading of PCPO's credit gives on the paper's own samplers."""
    input:
        arms=f"{HOME}config/arms.yaml",
        code=code("pcpo.cli.readings", "pcpo.config.arms"),
    output:
        P.readings,
    log:
        P.log("readings"),
    conda:
        "../envs/evaluate.yaml"
    shell:
        "python -m pcpo.cli.readings --out {output:q} --log {log:q}"


for experiment in EXPERIMENTS.values():

    rule:
        name:
            experiment.name
        input:
            T.experiment_files(experiment),


rule experiments:
    input:
        [
            file
            for experiment in EXPERIMENTS.values()
            for file in T.experiment_files(experiment)
        ],
