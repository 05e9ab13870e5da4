# Tables, figures, and the paper's numbers beside ours.

SEED = SEEDS[0]  # tables compare single runs; further seeds lie beside them
AVAILABLE = {e.number: e.name for e in EXPERIMENTS.values()}
READY_TABLES = [t for t in TABLES if set(TABLES[t].experiments) <= set(AVAILABLE)]
READY_FIGURES = [f for f in FIGURES if set(FIGURES[f].experiments) <= set(AVAILABLE)]


def frame_files(frame, numbers, arms=COMPARED):
    """Files of a frame for some experiments: what `--<frame>` of a table's or figure's command takes."""
    names = [AVAILABLE[number] for number in numbers]
    if frame == "updates":
        return [
            P.updates.format(experiment=n, arm=a, seed=SEED)
            for n in names
            for a in arms
        ]
    if frame == "credit":
        return [P.credit]
    return [getattr(P, frame).format(experiment=name, seed=SEED) for name in names]


def table_inputs(wildcards):
    table = TABLES[wildcards.table]
    return {frame: frame_files(frame, table.experiments) for frame in table.frames}


def frame_options(wildcards, input):
    """The command line's `--<frame> FILE ...` for the inputs that are frames."""
    return " ".join(
        f"--{key.replace('_', '-')} {' '.join(input[key])}"
        for key in (
            "updates",
            "overall",
            "per_prompt",
            "selection",
            "alignment",
            "credit",
        )
        if key in input.keys()
    )


rule table:
    input:
        unpack(table_inputs),
        code=[
            *code("cli/table.py", "stats/mixed_model.py", "stats/speedup.py"),
            *table_files(),
        ],
        curves=code("curves.py"),
        published=lambda wc: f"config/paper/{wc.table}.csv",
    output:
        [P.table + f".{suffix}" for suffix in TABLE_SUFFIXES],
    log:
        P.log("table", "table"),
    conda:
        "../envs/report.yaml"
    params:
        scale=SCALE.name,
        note=SCALE.note,
        frames=frame_options,
        out=P.table,
    shell:
        "python -m pcpo.cli.table {wildcards.table} --scale {params.scale} {params.frames}"
        " --out {params.out} > {log}"


for table in READY_TABLES:

    rule:
        name:
            table
        input:
            expand(P.table + ".{suffix}", table=table, suffix=TABLE_SUFFIXES),


for number in (2, 5):
    if f"table{number}a" in READY_TABLES and f"table{number}b" in READY_TABLES:

        rule:
            name:
                f"table{number}"
            input:
                expand(
                    P.table + ".{suffix}",
                    table=[f"table{number}a", f"table{number}b"],
                    suffix=TABLE_SUFFIXES,
                ),


rule tables:
    input:
        expand(P.table + ".{suffix}", table=READY_TABLES, suffix=TABLE_SUFFIXES),


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


def grid_options(number):
    """Rows of a sample grid: base model, baseline and PCPO at matched reward."""
    experiment = EXPERIMENTS[AVAILABLE[number]]
    folders = {"base model": P.base_images.format(base=experiment.base_images)}
    for arm in COMPARED:
        folders[arm] = P.images.format(experiment=experiment.name, arm=arm, seed=SEED)
    return folders


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
            out=P.figure.format(figure=figure),
        shell:
            "python -m pcpo.cli.figure {params.kind} --scale {params.scale} {params.options}"
            " {params.frames} --out {params.out} > {log}"


rule figures:
    input:
        expand(P.figure + ".{suffix}", figure=READY_FIGURES, suffix=("pdf", "png")),


rule compare_tables:
    """For each published cell the paper's number, ours, and whether the claim's direction holds."""
    input:
        tables=expand(P.table + ".csv", table=READY_TABLES),
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
