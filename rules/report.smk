# Tables, figures, and the paper's numbers beside ours.

from pcpo.paths import FIGURE_SUFFIXES

# What every kind of figure draws with.
FIGURE_CODE = [
    f"figures/{part}.py"
    for part in ("captions", "grid_prompts", "kinds", "seed_bands", "style")
] + ["analysis/phases.py", "analysis/reward_levels.py", "stats/speedup.py"]


rule table:
    input:
        unpack(table_inputs),
        code=[
            *code("cli/table.py", "stats/speedup.py", "stats/holm.py"),
            *code("stats/effect_fits.py", "stats/mixed_model.py", "stats/design.py"),
            *code("stats/reml.py", "stats/profiled.py", "stats/satterthwaite.py"),
            *code("stats/random_effects.py"),
            *code(
                "config/cuts.py",
                "analysis/reward_levels.py",
                "stats/speedup_interval.py",
            ),
            *table_files(),
        ],
        curves=code("analysis/curves.py"),
        published=lambda wc: f"{HOME}config/paper/{wc.table}.csv",
    output:
        report(
            P.table_csv,
            caption="../pcpo/report/templates/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        multiext(P.table, ".md", ".tex"),
    log:
        P.log("table", "table"),
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
        sampler=SAMPLER,
        note=SCALE.note,
        cuts=lambda wc: table_cuts(wc.table),
        compared=lambda wc: compared_at(TABLES[wc.table].experiments),
        frames=frame_options,
        out=lambda wc: P.table.format(**wc),
    shell:
        "python -m pcpo.cli.table {wildcards.table:q} --scale {params.scale:q} {params.frames:q}"
        " --evaluation-sampler {params.sampler:q} --out {params.out:q} --log {log:q}"


for table in READY_TABLES:

    rule:
        name:
            table
        input:
            expand(P.table_file, table=table, suffix=TABLE_SUFFIXES),


for number in (2, 5):
    if f"table{number}a" in READY_TABLES and f"table{number}b" in READY_TABLES:

        rule:
            name:
                f"table{number}"
            input:
                expand(
                    P.table_file,
                    table=[f"table{number}a", f"table{number}b"],
                    suffix=TABLE_SUFFIXES,
                ),


rule tables:
    input:
        expand(P.table_file, table=READY_TABLES, suffix=TABLE_SUFFIXES),


for figure in READY_FIGURES:
    spec = FIGURES[figure]
    figure_inputs = {frame: figure_files(frame, spec) for frame in spec.frames}
    options = ["--figure", figure, "--experiments", *spec.experiments]
    if spec.kind == "sample_grid":
        figure_inputs["images"] = [f"{f}/index.csv" for _, f in figure_rows(spec)]
        options += [word for row in grid_rows(spec) for word in ("--row", row)]
    else:
        options += ["--arms", *spec.arms, *spec.also]  # a gap is named

    rule:
        name:
            figure
        input:
            **figure_inputs,
            code=code(
                "cli/figure.py",
                "analysis/curves.py",
                *FIGURE_CODE,
                f"figures/{spec.kind}.py",
            ),
        output:
            multiext(P.figure.format(figure=figure), ".pdf", ".svg", ".md"),
            report(
                P.figure.format(figure=figure) + ".png",
                caption="../pcpo/report/templates/figure.rst",
                category="Figures",
                labels={"figure": figure},
            ),
        log:
            P.log(figure),
        localrule: True
        conda:
            "../envs/report.yaml"
        params:
            kind=spec.kind,
            scale=SCALE.name,
            sampler=SAMPLER,
            note=SCALE.note,
            options=options,
            compared=compared_at(spec.experiments),
            frames=frame_options,
            out=lambda wc, output: output[0].removesuffix(".pdf"),
        shell:
            "python -m pcpo.cli.figure {params.kind:q} --scale {params.scale:q} {params.options:q}"
            " {params.frames:q} --evaluation-sampler {params.sampler:q} --out {params.out:q} --log {log:q}"


# `snakemake figure1` where a figure of the paper is drawn in parts.
for number, parts in {
    "figure1": ("figure1a", "figure1b"),
    "figure7": ("figure7a", "figure7b", "figure7d"),
}.items():
    if set(parts) <= set(READY_FIGURES):

        rule:
            name:
                number
            input:
                expand(P.figure_file, figure=parts, suffix=(*FIGURE_SUFFIXES, "md")),


rule figures:
    input:
        expand(P.figure_file, figure=READY_FIGURES, suffix=(*FIGURE_SUFFIXES, "md")),


rule compare_tables:
    """For each published cell the paper's number, ours, and whether the claim's direction holds."""
    input:
        tables=expand(P.table_csv, table=READY_TABLES),
        code=code("claims/cells.py", "cli/compare.py"),
    output:
        P.compare,
    log:
        P.log("compare_tables"),
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
    shell:
        "python -m pcpo.cli.compare --scale {params.scale:q} --tables {input.tables:q} --out {output:q} --log {log:q}"


rule compare:
    input:
        P.compare,
