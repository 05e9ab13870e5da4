# Training in pictures: an experiment's previews as a figure. Previews are not declared, like
# checkpoints: a run has them where the scale has `previews`.


rule picture:
    input:
        manifests=lambda wc: T.run_frames("manifest", [T.of(wc)], seeds=[int(wc.seed)]),
        code=code("pcpo.cli.pictures"),
    output:
        multiext(P.pictures, ".png", ".md", ".json"),
    log:
        P.log("picture", "experiment", "seed"),
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
        note=SCALE.note,
        arms=lambda wc: T.picture_options(wc),
        out=lambda wc: P.pictures.format(**wc),
    shell:
        "python -m pcpo.cli.pictures {wildcards.experiment:q} --seed {wildcards.seed:q}"
        " --scale {params.scale:q} {params.arms:q} --out {params.out:q} --log {log:q}"


rule pictures:
    input:
        T.picture_files(),
