"""The workflow: from base models to the paper's tables, at a scale.

snakemake --cores all                         everything, at the scale of config/config.yaml
snakemake --cores all table3                  one table and what it needs
snakemake --cores all 05_dancegrpo_sd14_hps   one experiment: every arm, selected and measured
snakemake --cores all --config scale=smoke    the same code path with nothing learnt
"""

from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


include: "rules/common.smk"


wildcard_constraints:
    experiment="|".join(EXPERIMENTS),
    arm="|".join(arm_names()),
    seed=r"\d+",
    base="|".join(BASES),
    table="|".join(TABLES),


if SCALE.world:

    include: "rules/assets.smk"

else:

    include: "rules/downloads.smk"


include: "rules/train.smk"
include: "rules/select.smk"
include: "rules/generate.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"
include: "rules/claims.smk"
include: "rules/html.smk"
include: "rules/plan.smk"


rule all:
    default_target: True
    input:
        WORLD_REPORT,
        rules.tables.input,
        rules.figures.input,
        rules.compare.input,
        rules.experiments.input,
        rules.claims.output,
        rules.report.output,
