"""The workflow: from base models to the paper's tables, at a scale.

snakemake --cores all                         everything, at the scale of config/config.yaml
snakemake --cores all table3                  one table and what it needs
snakemake --cores all 05_dancegrpo_sd14_hps   one experiment: every arm, selected and measured
snakemake --cores all --config scale=smoke    the same code path, too short to learn anything
snakemake --cores all study_pairs             pairs of images for the preference study
snakemake --cores 1 archive                   one file to share: results/<scale>/archive.zip
snakemake --cores 1 report --config from_bundle=archive.zip    tables, figures, report from it
"""

from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


include: "rules/common.smk"


# An image with the software (Dockerfile), for `--sdm apptainer`: docs/environments.md.
if "container" in config:

    container: config["container"]


wildcard_constraints:
    experiment="|".join(EXPERIMENTS),
    arm="|".join(arm_names()),
    seed=r"[0-9]+",
    base="|".join(T.base_images),
    table="|".join(TABLES),


if ARCHIVE:

    include: "rules/from_bundle.smk"

elif SCALE.synthetic:

    include: "rules/synthetic.smk"

else:

    include: "rules/downloads.smk"


if not ARCHIVE:

    include: "rules/train.smk"
    include: "rules/select.smk"
    include: "rules/generate.smk"
    include: "rules/evaluate.smk"
    include: "rules/guidance.smk"
    include: "rules/gradients.smk"
    include: "rules/plan.smk"
    include: "rules/study.smk"


include: "rules/pictures.smk"
include: "rules/tables.smk"
include: "rules/claims.smk"
include: "rules/report.smk"


if not ARCHIVE and SAMPLER == NATIVE:

    include: "rules/archive.smk"


rule all:
    default_target: True
    input:
        T.synthetic_report,
        rules.tables.input,
        rules.figures.input,
        rules.compare.input,
        rules.pictures.input,
        [] if ARCHIVE else rules.experiments.input,
        rules.claims.output,
        rules.questions.output if SCALE.questions else [],
        rules.report.output,
