# Evaluation images: the base model's, shared by experiments that sample alike, and each selected
# checkpoint's, from the same noise.


rule generate_base:
    input:
        model=model_files,
        prompts=lambda wc: inputs.prompt_files(SCALE, [T.of(wc).prompts]),
        code=measuring_code("pcpo.cli.generate", "pcpo.evaluation.generation"),
    output:
        P.base_index,
    log:
        P.log("generate_base", "base"),
    benchmark:
        P.benchmark("generate_base", "base")
    conda:
        "../envs/train.yaml"
    resources:
        gpu=gpus(),
        cpus_per_task=cores(),
        mem_mb=memory(2000),
        runtime=hours(48),
    params:
        out=lambda wc: P.base_images.format(**wc),
        scale=SCALE.name,
        experiment=lambda wc: T.of(wc).name,
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.generate"
        " {params.experiment:q} --scale {params.scale:q}"
        " --out {params.out:q} --log {log:q}"


rule generate:
    input:
        manifest=P.manifest,
        selection=P.selection,
        model=model_files,
        code=measuring_code(
            "pcpo.cli.generate", "pcpo.evaluation.generation", *SAMPLER_MODULES
        ),
    output:
        P.image_index,
    log:
        P.log("generate", "experiment", "arm", "seed"),
    benchmark:
        P.benchmark("generate", "experiment", "arm", "seed")
    conda:
        "../envs/train.yaml"
    resources:
        gpu=gpus(),
        cpus_per_task=cores(),
        mem_mb=memory(2000),
        runtime=hours(48),
    params:
        out=lambda wc: P.images.format(**wc),
        run=lambda wc: P.run.format(**wc),
        scale=SCALE.name,
        sampler=SAMPLER,
        evaluation=lambda wc: T.of(wc).identity("evaluation", "sampler"),
    shell:
        "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.generate"
        " {wildcards.experiment:q} --scale {params.scale:q}"
        " --evaluation-sampler {params.sampler:q}"
        " --arm {wildcards.arm:q} --run {params.run:q} --selection {input.selection:q}"
        " --out {params.out:q} --log {log:q}"
