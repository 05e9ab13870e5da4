# The preference study (Figure 4): pairs of images for people, and their answers as a frame.
# People are asked between the two: `python -m pcpo.cli.preference serve`, docs/preference.md.

from pcpo.figures.registry import COMPARED_BY_PEOPLE

STUDIED = next(
    (e for e in EXPERIMENTS.values() if e.number in COMPARED_BY_PEOPLE and e.measured),
    None,
)


if STUDIED and SAMPLER == NATIVE and not T.answered:

    rule study_pairs:
        """The pool of pairs and its sealed key."""
        # A newer input makes no other pairs: people may be looking at these.
        input:
            ancient(inputs.model_files(SCALE, STUDIED)),
            ancient(inputs.reward_files(SCALE, [STUDIED.reward.name])),
            ancient(inputs.prompt_files(SCALE, [STUDIED.prompts])),
            ancient(T.study_files(STUDIED)),
        output:
            P.study_pairs,
        log:
            P.log("study_pairs"),
        benchmark:
            P.benchmark("study_pairs")
        conda:
            "../envs/train.yaml"
        resources:
            gpu=gpus(),
            cpus_per_task=cores(),
            mem_mb=memory(2000, name=STUDIED.name),
            runtime=hours(48),
        params:
            scale=SCALE.name,
            experiment=STUDIED.name,
            runs=T.study_options(STUDIED),
            key_folder=P.study_keys,
        shell:
            "python -m pcpo.cli.launch --gpus {resources.gpu:q} pcpo.cli.study_pairs"
            " {params.experiment:q} --scale {params.scale:q} {params.runs:q}"
            " --keys {params.key_folder:q} --out {output:q} --log {log:q}"


if T.answered:

    # People have answered: their pairs stay as they are. For another study move study/ away.
    rule study_pairs:
        input:
            P.study_pairs,

    rule study_answers:
        """The frame of people's answers, and their analysis as a page."""
        input:
            answers=P.study_answers,
            code=frames_code("pcpo.cli.study_answers"),
        output:
            frame=P.preference,
            analysis=P.study_analysis,
        log:
            P.log("study_answers"),
        localrule: True
        conda:
            "../envs/report.yaml"
        params:
            scale=SCALE.name,
            key_folder=P.study_keys,
        shell:
            "python -m pcpo.cli.study_answers --answers {input.answers:q} --keys {params.key_folder:q}"
            " --scale {params.scale:q} --frame {output.frame:q} --analysis {output.analysis:q}"
            " --log {log:q}"
