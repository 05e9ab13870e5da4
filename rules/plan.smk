# The cost of a scale, before any run: needs no network, no weights and no GPU.

from glob import glob


rule plan:
    """GPU-hours, memory, disk and images of every run, printed and written."""
    input:
        # Speeds measured by `make bench-gpu` if there are any; else assumed ones.
        bench=lambda wc: sorted(glob("results/bench/*.csv"))[:1],
        code=code("pcpo.cli.plan"),
    output:
        multiext(f"{P.root}/plan", ".md", ".csv"),
    log:
        P.log("plan"),
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        scale=SCALE.name,
        device=SCALE.device,
        experiments=list(EXPERIMENTS),
        seeds=SEEDS,
        bench=lambda wc, input: ["--bench", *input.bench] if input.bench else [],
        out=lambda wc, output: output[0].removesuffix(".md"),
        digests=[experiment.digest() for experiment in EXPERIMENTS.values()],
    shell:
        "python -m pcpo.cli.plan {params.experiments:q} --scale {params.scale:q}"
        " --seeds {params.seeds:q} {params.bench:q} --out {params.out:q} | tee {log:q}"
