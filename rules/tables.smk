# Tables, figures, and the paper's numbers beside ours.


rule table:
    input:
        unpack(T.table_inputs),
        # A line below each table lists what the scale changes.
        code=lambda wc: frames_code(
            "pcpo.cli.table",
            "pcpo.config.scale_differences",
            f"pcpo.tables.{wc.table}",
        ),
        published=lambda wc: T.published(wc.table, HOME),
    output:
        multiext(P.table, ".csv", ".md", ".tex", ".json"),
    log:
        P.log("table", "table"),
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
        sampler=SAMPLER,
        note=SCALE.note,
        scale_differences=lambda wc: T.table_differences(wc.table),
        compared=lambda wc: T.table_compared(wc.table),
        frames=lambda wc, input: frame_options(input),
        out=lambda wc: P.table.format(**wc),
    shell:
        "python -m pcpo.cli.table {wildcards.table:q} --scale {params.scale:q} {params.frames:q}"
        " --evaluation-sampler {params.sampler:q} --out {params.out:q} --log {log:q}"


for table in T.tables:

    rule:
        name:
            table
        input:
            T.table_files([table]),


rule tables:
    input:
        T.table_files(T.tables),


for figure, spec in T.figures.items():

    rule:
        name:
            figure
        input:
            **T.figure_inputs(spec),
            code=frames_code("pcpo.cli.figure", f"pcpo.figures.{spec.kind}"),
        output:
            multiext(
                P.figure.format(figure=figure), ".pdf", ".png", ".svg", ".md", ".json"
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
            options=T.figure_options(figure, spec),
            compared=T.compared_at(spec.experiments),
            frames=lambda wc, input: frame_options(input),
            out=lambda wc, output: output[0].removesuffix(".pdf"),
        shell:
            "python -m pcpo.cli.figure {params.kind:q} --scale {params.scale:q} {params.options:q}"
            " {params.frames:q} --evaluation-sampler {params.sampler:q} --out {params.out:q} --log {log:q}"


rule figures:
    input:
        T.figure_files(T.figures),


# Asked for by name, what cannot be made says why.
for name, why in T.not_made.items():

    rule:
        name:
            name
        input:
            refusal(name, why),


# One target, as in `snakemake figure1`, for each table or figure of the paper that has parts.
for name, files in T.in_parts.items():

    rule:
        name:
            name
        input:
            files,


rule compare_tables:
    """The paper's number and ours for each published cell, and whether the direction agrees."""
    input:
        tables=T.table_files(T.tables, ["csv"]),
        code=code("pcpo.cli.compare", *members("pcpo.tables")),
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
