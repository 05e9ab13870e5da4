# Base models, reward models, features and prompts. At the demo scale they are trained here, from
# scratch; at the real scales they are downloaded (downloads.smk).

SYNTHETIC_SIZES = f"config/scale/{SCALE.name}.yaml"
SYNTHETIC_MODELS = (
    "sd",
    "sd35m",
    "flux",
)  # each one training run; `sd` leaves two checkpoints
SYNTHETIC_FOLDERS = {"sd": ("sd14", "sd15"), "sd35m": ("sd35m",), "flux": ("flux",)}
SYNTHETIC_MODULES = {
    "sd": "pcpo.synthetic.stable_diffusion",
    "sd35m": "pcpo.synthetic.stable_diffusion_3",
    "flux": "pcpo.synthetic.flux",
}


rule synthetic_quality_network:
    """The prompt sets, and the network that replaces Inception, DINOv2 and LPIPS."""
    input:
        code=synthetic_code("pcpo.synthetic.prompts", "pcpo.synthetic.quality_network"),
    output:
        sorted(set(SCALE.prompts.values())),
        multiext(P.synthetic("quality_network/"), "config.json", "model.safetensors"),
    log:
        P.log("synthetic_quality_network"),
    benchmark:
        P.benchmark("synthetic_quality_network")
    priority: 30
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=hours(1),
    params:
        out=lambda wc: P.synthetic(""),
        scale_file=SYNTHETIC_SIZES,
        sizes=SCALE.synthetic["quality_network"],
    shell:
        "python -m pcpo.cli.synthetic prompts quality_network --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"


for model in SYNTHETIC_MODELS:

    rule:
        name:
            f"synthetic_{model}"
        input:
            code=synthetic_code(SYNTHETIC_MODULES[model]),
        output:
            [
                P.synthetic(f"{folder}/model_index.json")
                for folder in SYNTHETIC_FOLDERS[model]
            ],
        log:
            P.log(f"synthetic_{model}"),
        benchmark:
            P.benchmark(f"synthetic_{model}")
        priority: 20
        conda:
            "../envs/train.yaml"
        resources:
            mem_mb=memory(3000),
            runtime=hours(1),
        params:
            out=lambda wc: P.synthetic(""),
            scale_file=SYNTHETIC_SIZES,
            sizes=SCALE.synthetic[model],
            model=model,
        shell:
            "python -m pcpo.cli.synthetic {params.model:q} --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"


rule synthetic_clip_rewards:
    """The rewards that are based on a CLIP."""
    input:
        code=synthetic_code(
            "pcpo.synthetic.aesthetic_head",
            "pcpo.synthetic.clip",
            "pcpo.synthetic.open_clip_layout",
            "pcpo.synthetic.preference",
        ),
    output:
        [
            P.synthetic(f"rewards/{name}/accuracy.csv")
            for name in ("pickscore", "hps", "aesthetic", "clipscore")
        ],
    log:
        P.log("synthetic_clip_rewards"),
    benchmark:
        P.benchmark("synthetic_clip_rewards")
    priority: 30
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=hours(1),
    params:
        out=lambda wc: P.synthetic(""),
        scale_file=SYNTHETIC_SIZES,
        sizes={key: SCALE.synthetic[key] for key in ("clip", "preference", "aesthetic")},
    shell:
        "python -m pcpo.cli.synthetic_rewards clip preference aesthetic clipscore"
        " --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"


rule synthetic_other_rewards:
    """BERTScore with its captioner, ImageReward's ranker and the text recogniser."""
    input:
        code=synthetic_code(
            "pcpo.synthetic.bert_embeddings",
            "pcpo.synthetic.blip",
            "pcpo.synthetic.captioner",
            "pcpo.synthetic.recogniser",
        ),
    output:
        [
            P.synthetic(f"rewards/{name}/accuracy.csv")
            for name in ("bertscore", "imagereward", "ocr")
        ],
    log:
        P.log("synthetic_other_rewards"),
    benchmark:
        P.benchmark("synthetic_other_rewards")
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=hours(1),
    params:
        out=lambda wc: P.synthetic(""),
        scale_file=SYNTHETIC_SIZES,
        sizes={key: SCALE.synthetic[key] for key in ("captioner", "imagereward", "ocr")},
    shell:
        "python -m pcpo.cli.synthetic_rewards bertscore imagereward ocr"
        " --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"


rule synthetic_report:
    """How well the base models follow their prompts, and how good the rewards are."""
    input:
        [f"{source.path}/model_index.json" for source in SCALE.models.values()],
        inputs.feature_files(SCALE),
        inputs.reward_files(
            SCALE, (name for name, r in SCALE.rewards.items() if not r.implementation)
        ),
        code=synthetic_code("pcpo.synthetic.accuracy"),
    output:
        T.synthetic_report,
    log:
        P.log("synthetic_report"),
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=hours(1),
    params:
        out=lambda wc: P.synthetic(""),
        scale_file=SYNTHETIC_SIZES,
    shell:
        "python -m pcpo.cli.synthetic accuracy --sizes {params.scale_file:q} --out {params.out:q} --log {log:q}"
        " && python -m pcpo.cli.synthetic_rewards table --sizes {params.scale_file:q} --out {params.out:q} >> {log:q}"


rule headroom:
    """How far each experiment's small reward can be pushed beyond its base model's images."""
    input:
        T.base_indices,
        inputs.reward_files(
            SCALE, (name for name, r in SCALE.rewards.items() if not r.implementation)
        ),
        code=measuring_code("pcpo.cli.headroom"),
    output:
        P.synthetic("headroom.csv"),
    log:
        P.log("headroom"),
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=hours(1),
    params:
        scale=SCALE.name,
        rewards=inputs.reward_settings(SCALE, SCALE.rewards),
        options=[e.model_dump(mode="json")["reward"] for e in EXPERIMENTS.values()],
        bases=T.base_options,
    shell:
        "python -m pcpo.cli.headroom --scale {params.scale:q} {params.bases:q} --out {output:q} > {log:q}"
