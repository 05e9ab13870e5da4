# Measurements of an experiment's images, and alignment scores on unseen prompts.


rule evaluate:
    input:
        image_indices,
        features=feature_files(),
        code=code(
            "evaluation/quality.py",
            "evaluation/feature_cache.py",
            "evaluation/rows.py",
            "evaluation/images.py",
            "cli/evaluate.py",
        ),
        metrics=sorted(str(path) for path in Path("pcpo/metrics").glob("*.py")),
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
        cpus_per_task=cores(gpus()),
        mem_mb=memory(2000),
        runtime=hours(24),
    params:
        scale=SCALE.name,
        quality={key: source.model_dump() for key, source in SCALE.quality.items()},
        base=lambda wc: P.base_images.format(
            base=EXPERIMENTS[wc.experiment].base_images
        ),
        arms=lambda wc: [
            word
            for a in EXPERIMENTS[wc.experiment].measured
            for word in ("--arm", a, P.images.format(arm=a, **wc))
        ],
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.evaluate"
        " {wildcards.experiment:q} --scale {params.scale:q}"
        " --seed {wildcards.seed:q} --base {params.base:q} {params.arms:q}"
        " --overall {output.overall:q} --per-prompt {output.per_prompt:q} --log {log:q}"


rule align:
    input:
        manifests=lambda wc: [P.manifest.format(arm=arm, **wc) for arm in COMPARED],
        selection=P.selection,
        model=lambda wc: model_files(EXPERIMENTS[wc.experiment]),
        prompts=lambda wc: prompt_files(*EXPERIMENTS[wc.experiment].alignment),
        rewards=lambda wc: reward_files(*alignment_rewards(EXPERIMENTS[wc.experiment])),
        code=code("evaluation/generation.py", "cli/align.py", "cli/evaluation.py")
        + SAMPLER_CODE,
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
        cpus_per_task=cores(gpus()),
        mem_mb=memory(2000),
        runtime=hours(24),
    params:
        scale=SCALE.name,
        sampler=SAMPLER,
        evaluation=lambda wc: EXPERIMENTS[wc.experiment].identity(
            "evaluation", "sampler", "alignment", "alignment_checkpoint"
        ),
        columns=lambda wc: {
            dataset: SCALE.alignment[dataset]
            for dataset in EXPERIMENTS[wc.experiment].alignment
        },
        sources=lambda wc: reward_sources(
            *alignment_rewards(EXPERIMENTS[wc.experiment])
        ),
        arms=lambda wc: [
            word for a in COMPARED for word in ("--arm", a, P.run.format(arm=a, **wc))
        ],
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.align"
        " {wildcards.experiment:q} --scale {params.scale:q}"
        " --evaluation-sampler {params.sampler:q}"
        " --seed {wildcards.seed:q} --selection {input.selection:q} {params.arms:q}"
        " --out {output:q} --log {log:q}"


# What a schedule of credit is computed with.
CREDIT_CODE = code(
    "credit.py", "analysis/readings.py", "cost/architectures.py", "config/arms.py"
) + sorted(str(path) for path in Path("pcpo/samplers").glob("*.py"))


rule credit:
    """Credit weights of every experiment and arm over the timesteps."""
    input:
        [model_files(experiment) for experiment in EXPERIMENTS.values()],
        CREDIT_CODE,
        arms=f"{HOME}config/arms.yaml",
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
        CREDIT_CODE,
        arms=f"{HOME}config/arms.yaml",
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
            experiment_files(experiment),


rule experiments:
    input:
        [
            file
            for experiment in EXPERIMENTS.values()
            for file in experiment_files(experiment)
        ],
