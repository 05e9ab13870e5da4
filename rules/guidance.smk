# Samples between the base model and aligned models (appendix F), and what is measured of them.


for name in T.guidance.models:

    rule:
        name:
            f"reward_guidance_{name}"
        input:
            manifests=lambda wc, name=name: T.guidance.manifests(name, wc.seed),
            model=inputs.model_files(SCALE, EXPERIMENTS[name]),
            prompts=inputs.prompt_files(
                SCALE, [EXPERIMENTS[name].reward_guidance.prompts]
            ),
            rewards=inputs.reward_files(SCALE, T.guidance.rewards(name)),
            features=inputs.feature_files(SCALE),
            code=measuring_code(
                "pcpo.cli.reward_guidance",
                "pcpo.evaluation.generation",
                **inputs.guidance_modules(SCALE, T.guidance.rewards(name)),
            ),
        output:
            T.guidance.indices(name),
            frame=P.reward_guidance.replace("{experiment}", name),
        log:
            P.log(f"reward_guidance_{name}", "seed"),
        benchmark:
            P.benchmark(f"reward_guidance_{name}", "seed")
        conda:
            "../envs/evaluate.yaml"
        resources:
            gpu=gpus(),
            cpus_per_task=cores(),
            mem_mb=memory(2000, name=name),
            runtime=hours(24),
        params:
            experiment=name,
            scale=SCALE.name,
            images=lambda wc, name=name: T.guidance.images(name, wc.seed),
            runs=lambda wc, name=name: T.guidance.run_options(name, wc.seed),
            identity=T.guidance.identity(name),
            rewards=inputs.reward_settings(SCALE, T.guidance.rewards(name)),
            quality={key: s.model_dump() for key, s in SCALE.quality.items()},
        shell:
            "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.reward_guidance"
            " {params.experiment:q} --scale {params.scale:q} --seed {wildcards.seed:q}"
            " {params.runs:q} --images {params.images:q} --out {output.frame:q} --log {log:q}"
