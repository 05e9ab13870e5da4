# Tables, figures, and the paper's numbers beside ours.


rule table:
    input:
        unpack(table_inputs),
        code=[
            *code("cli/table.py", "stats/mixed_model.py", "stats/speedup.py"),
            *code("config/cuts.py"),
            *table_files(),
        ],
        curves=code("curves.py"),
        published=lambda wc: f"config/paper/{wc.table}.csv",
    output:
        multiext(P.table, *(f".{suffix}" for suffix in TABLE_SUFFIXES)),
    log:
        P.log("table", "table"),
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
        note=SCALE.note,
        cuts=lambda wc: table_cuts(wc.table),
        frames=frame_options,
        out=lambda wc: P.table.format(**wc),
    shell:
        "python -m pcpo.cli.table {wildcards.table} --scale {params.scale} {params.frames}"
        " --out {params.out} > {log}"


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


rule credit:
    """Credit weights of every experiment and arm over the timesteps."""
    input:
        [model_files(experiment) for experiment in EXPERIMENTS.values()],
        code("credit.py", "samplers/ddim.py", "samplers/flow_sde.py"),
    output:
        P.credit,
    log:
        P.log("credit"),
    conda:
        "../envs/evaluate.yaml"
    params:
        scale=SCALE.name,
        experiments=" ".join(EXPERIMENTS),
        digests=[
            experiment.digest("sampler", "timesteps")
            for experiment in EXPERIMENTS.values()
        ],
    shell:
        "python -m pcpo.cli.credit {params.experiments} --scale {params.scale} --out {output} > {log}"


for figure in READY_FIGURES:
    spec = FIGURES[figure]
    numbers = " ".join(map(str, spec.experiments))
    if spec.kind == "sample_grid":
        folders = grid_options(spec.experiments[0])
        figure_inputs = {
            "images": [f"{folder}/index.csv" for folder in folders.values()]
        }
        options = " ".join(
            f"--row '{label}={folder}'" for label, folder in folders.items()
        )
    else:
        figure_inputs = {
            spec.frame: frame_files(spec.frame, spec.experiments, spec.arms)
        }
        options = f"--experiments {numbers}"

    rule:
        name:
            figure
        input:
            **figure_inputs,
            code=code(
                "cli/figure.py",
                "figures/style.py",
                f"figures/{spec.kind}.py",
                "curves.py",
            ),
        output:
            multiext(P.figure.format(figure=figure), ".pdf", ".png"),
        log:
            P.log(figure),
        conda:
            "../envs/report.yaml"
        params:
            kind=spec.kind,
            scale=SCALE.name,
            options=options,
            frames=frame_options,
            out=lambda wc, output: output[0].removesuffix(".pdf"),
        shell:
            "python -m pcpo.cli.figure {params.kind} --scale {params.scale} {params.options}"
            " {params.frames} --out {params.out} > {log}"


rule figures:
    input:
        expand(P.figure_file, figure=READY_FIGURES, suffix=("pdf", "png")),


rule compare_tables:
    """For each published cell the paper's number, ours, and whether the claim's direction holds."""
    input:
        tables=expand(P.table_csv, table=READY_TABLES),
        code=code("compare.py", "cli/compare.py"),
    output:
        P.compare,
    log:
        P.log("compare_tables"),
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
    shell:
        "python -m pcpo.cli.compare --scale {params.scale} --tables {input.tables} --out {output} > {log}"


rule compare:
    input:
        P.compare,
