"""Write the report of the study.

REQUIRED INPUTS   all small results of the other stages
                  earlier    summary.json of an earlier report, if the study names one
                  truth      true differences, if the study names them
OUTPUTS           page       results/report/{study}/index.html; summary.json, tables, figures and pages of rows next to it
                  truth      results/truth/{study}.json, from the report of a study with many seeds
"""

import re


rule build_report:
    """Compare the runs and write tables, figures and one page."""
    input:
        pools=each(rules.ingest_pool.output.manifest, PLAN.pools()),
        prompts=each(rules.ingest_pool.output.prompts, PLAN.pools()),
        traces=each(rules.summarise_traces.output.statistics, PLAN.trace_sets()),
        texts=each(rules.generate_traces.output.traces, PLAN.traces()),
        labels=lambda wc: [
            *each(rules.annotate.output.labels, PLAN.annotations()),
            *each(rules.annotate_questions.output.labels, PLAN.question_labels()),
        ],
        subsets=each(checkpoints.select_subset.rule.output.subset, PLAN.subsets()),
        manifests=each(checkpoints.select_subset.rule.output.manifest, PLAN.subsets()),
        examples=each(rules.build_examples.output.manifest, PLAN.sft()),
        runs=each(rules.train.output.run, PLAN.sft()),
        scores=each(rules.grade.output.score, PLAN.evals()),
        grades=each(rules.grade.output.grades, PLAN.evals()),
        benchmarks=[
            manifest
            for benchmark in PLAN.benchmarks()
            for manifest in inputs.source_manifest("benchmarks", benchmark)
        ],
        earlier=PLAN.earlier(),
        truth=PLAN.truth(),
        samples=lambda wc: each(rules.sample_answers.output.samples, PLAN.answers()),
    output:
        page=report(
            "results/report/{study}/index.html",
            caption="report/page.rst",
            category="Report",
        ),
        summary="results/report/{study}/summary.json",
        tables=directory("results/report/{study}/tables"),
        figures=directory("results/report/{study}/figures"),
        pages=directory("results/report/{study}/pages"),
    log:
        "logs/build_report/{study}.log",
    benchmark:
        "timings/build_report/{study}.jsonl"
    wildcard_constraints:
        study=re.escape(PLAN.study.study),  # otherwise this rule would also build the earlier report
    conda:
        "../envs/workflow.yaml"
    resources:
        **listed(
            "pools",
            "prompts",
            "traces",
            "texts",
            "labels",
            "subsets",
            "manifests",
            "examples",
            "runs",
            "scores",
            "benchmarks",
        ),
        mem_mb=memory(8_000),
        runtime=minutes(60),
        command=lambda wc: remake_command(
            Path(workflow.basedir),
            sys.argv,
            workflow.config_settings.configfiles,
            workflow.config_settings.config_args or (),
        ),
    params:
        spec=lambda wc: PLAN.report_spec(),
    shell:
        "python -m scripts.build_report"
        " --spec {params.spec:q}"
        " --pools {resources.pools}"
        " --prompts {resources.prompts}"
        " --traces {resources.traces}"
        " --texts {resources.texts}"
        " --labels {resources.labels}"
        " --subsets {resources.subsets}"
        " --manifests {resources.manifests}"
        " --examples {resources.examples}"
        " --runs {resources.runs}"
        " --scores {resources.scores}"
        " --benchmarks {resources.benchmarks}"
        " --timings timings"
        " --earlier {input.earlier:q}"
        " --truth {input.truth:q}"
        " --command {resources.command:q}"
        " --out {output.page:q}"
        " > {log:q} 2>&1"


rule keep_truth:
    """Keep what a study measured, for the reports of others (make truth)."""
    input:
        summary=rules.build_report.output.summary,
    output:
        truth="results/truth/{study}.json",
    log:
        "logs/keep_truth/{study}.log",
    benchmark:
        "timings/keep_truth/{study}.jsonl"
    wildcard_constraints:
        study=re.escape(PLAN.study.study),
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=memory(1_000),
        runtime=minutes(10),
    params:
        spec=lambda wc: PLAN.truth_spec(),
    shell:
        "python -m scripts.keep_truth"
        " --spec {params.spec:q}"
        " --summary {input.summary:q}"
        " --out {output.truth:q}"
        " > {log:q} 2>&1"
