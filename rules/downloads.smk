# Real weights and prompt sets, where a scale names folders below data/; all scales share them.
#
# A finished folder is a source like any other file: no rule makes it again. So another scale or
# another choice of experiments never starts a new download, or a new training because of it.

from pcpo.assets import read_assets
from pcpo.assets.needs import DATA, manifest, needed, prompt_source, unfinished
from pcpo.prompts.sets import SETS

try:
    UNFINISHED = unfinished(read_assets())
    WANTED = unfinished(needed(SCALE, EXPERIMENTS.values()))
except ValueError as error:
    raise WorkflowError(str(error)) from error


if UNFINISHED:

    rule preflight:
        """Check network, licences and disk: all that would stop a download, before it starts."""
        output:
            f"{P.root}/preflight.json",
        log:
            P.log("preflight"),
        priority: 100
        localrule: True
        conda:
            "../envs/train.yaml"
        params:
            root=lambda wc: DATA,
            assets=WANTED,
        shell:
            "python -m pcpo.cli.assets preflight --assets {params.assets:q} --root {params.root:q}"
            " --out {output:q} --log {log:q}"

    rule download:
        """One folder of weights or prompt sources, checked against config/assets.lock."""
        input:
            rules.preflight.output,
        output:
            manifest(f"{DATA}/{{asset}}"),
        log:
            P.log("download", "asset"),
        wildcard_constraints:
            asset="|".join(UNFINISHED),
        priority: 90
        retries: 0
        localrule: True
        conda:
            "../envs/train.yaml"
        params:
            root=lambda wc: DATA,
        shell:
            "python -m pcpo.cli.assets fetch {wildcards.asset:q} --root {params.root:q} --log {log:q}"


rule prompt_set:
    """One prompt a line, made from a published file."""
    input:
        lambda wc: prompt_source(wc.set),
    output:
        f"{DATA}/prompts/{{set}}.txt",
    log:
        P.log("prompt_set", "set"),
    wildcard_constraints:
        set="|".join(SETS),
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        root=lambda wc: DATA,
    shell:
        "python -m pcpo.cli.assets prompts {wildcards.set:q} --root {params.root:q} --log {log:q}"
