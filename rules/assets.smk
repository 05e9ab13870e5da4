# Base models, reward models, features and prompts. At the demo scale they are trained here, from
# scratch; at the real scales they are downloaded (downloads.smk).

WORLD_SIZES = f"config/scale/{SCALE.name}.yaml"
WORLD_MODELS = (
    "sd",
    "sd35m",
    "flux",
)  # each one training run; `sd` leaves two checkpoints
WORLD_FOLDERS = {"sd": ("sd14", "sd15"), "sd35m": ("sd35m",), "flux": ("flux",)}
WORLD_MODULES = {
    "sd": "pcpo.world.stable_diffusion",
    "sd35m": "pcpo.world.stable_diffusion_3",
    "flux": "pcpo.world.flux",
}


rule world_judge:
    """The prompt sets, and the network that replaces Inception, DINOv2 and LPIPS."""
    input:
        code=world_code("pcpo.world.prompts", "pcpo.world.judge"),
    output:
        sorted(set(SCALE.prompts.values())),
        multiext(P.world("judge/"), "config.json", "model.safetensors"),
    log:
        P.log("world_judge"),
    benchmark:
        P.benchmark("world_judge")
    priority: 30
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=hours(1),
    params:
        out=lambda wc: P.world(""),
        scale_file=WORLD_SIZES,
        sizes=SCALE.world["judge"],
    shell:
        "python -m pcpo.cli.world prompts judge --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"


for model in WORLD_MODELS:

    rule:
        name:
            f"world_{model}"
        input:
            code=world_code(WORLD_MODULES[model]),
        output:
            [P.world(f"{folder}/model_index.json") for folder in WORLD_FOLDERS[model]],
        log:
            P.log(f"world_{model}"),
        benchmark:
            P.benchmark(f"world_{model}")
        priority: 20
        conda:
            "../envs/train.yaml"
        resources:
            mem_mb=memory(3000),
            runtime=hours(1),
        params:
            out=lambda wc: P.world(""),
            scale_file=WORLD_SIZES,
            sizes=SCALE.world[model],
            model=model,
        shell:
            "python -m pcpo.cli.world {params.model:q} --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"


rule world_clip_rewards:
    """The rewards that are based on a CLIP."""
    input:
        code=world_code(
            "pcpo.world.aesthetic_head",
            "pcpo.world.bert_embeddings",
            "pcpo.world.clip",
            "pcpo.world.open_clip_layout",
            "pcpo.world.preference",
        ),
    output:
        [
            P.world(f"rewards/{name}/accuracy.csv")
            for name in ("pickscore", "hps", "aesthetic", "bertscore", "clipscore")
        ],
    log:
        P.log("world_clip_rewards"),
    benchmark:
        P.benchmark("world_clip_rewards")
    priority: 30
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=hours(1),
    params:
        out=lambda wc: P.world(""),
        scale_file=WORLD_SIZES,
        sizes={key: SCALE.world[key] for key in ("clip", "preference", "aesthetic")},
    shell:
        "python -m pcpo.cli.world_rewards clip preference aesthetic bertscore clipscore"
        " --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"


rule world_other_rewards:
    """ImageReward's ranker and the text recogniser."""
    input:
        code=world_code("pcpo.world.blip", "pcpo.world.recogniser"),
    output:
        [P.world(f"rewards/{name}/accuracy.csv") for name in ("imagereward", "ocr")],
    log:
        P.log("world_other_rewards"),
    benchmark:
        P.benchmark("world_other_rewards")
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=hours(1),
    params:
        out=lambda wc: P.world(""),
        scale_file=WORLD_SIZES,
        sizes={key: SCALE.world[key] for key in ("imagereward", "ocr")},
    shell:
        "python -m pcpo.cli.world_rewards imagereward ocr"
        " --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"


rule world_report:
    """How well the base models follow their prompts, and how good the rewards are."""
    input:
        [f"{source.path}/model_index.json" for source in SCALE.models.values()],
        inputs.feature_files(SCALE),
        inputs.reward_files(
            SCALE, (name for name, r in SCALE.rewards.items() if not r.implementation)
        ),
        code=world_code("pcpo.world.accuracy"),
    output:
        T.world_report,
    log:
        P.log("world_report"),
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=hours(1),
    params:
        out=lambda wc: P.world(""),
        scale_file=WORLD_SIZES,
    shell:
        "python -m pcpo.cli.world accuracy --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"
        " && python -m pcpo.cli.world_rewards table --sizes {params.scale_file:q} --out {params.out:q} >> {log:q}"
