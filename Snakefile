# Index of the workflow: rules, and one target per stage.


include: "rules/common.smk"
include: "rules/assets.smk"
include: "rules/prompts.smk"
include: "rules/traces.smk"
include: "rules/annotations.smk"
include: "rules/subsets.smk"
include: "rules/sft.smk"
include: "rules/evals.smk"
include: "rules/report.smk"


localrules:
    all,
    assets,
    prompts,
    traces,
    annotations,
    subsets,
    sft,
    evals,
    report,


rule all:
    """Everything up to the report (default)."""
    default_target: True
    input:
        expand(rules.build_report.output.page, study=PLAN.study.study),
        # Files behind a report that is up to date may be deleted to save room, but a deleted score
        # is made again.
        each(rules.grade.output.score, PLAN.evals()),


rule assets:
    """Files from outside: run this where there is internet."""
    input:
        each(rules.fetch_asset.output.manifest, PLAN.assets()),


rule prompts:
    """Pools, cut into shards."""
    input:
        each(rules.shard_prompts.output.prompts, PLAN.prompts()),


rule traces:
    """One answer of the teacher per prompt."""
    input:
        each(rules.generate_traces.output.traces, PLAN.traces()),
        each(rules.summarise_traces.output.statistics, PLAN.trace_sets()),


rule annotations:
    """Labels of every trace and question."""
    input:
        each(rules.annotate.output.labels, PLAN.annotations()),
        each(rules.annotate_questions.output.labels, PLAN.question_labels()),


rule subsets:
    """What each selector picks."""
    input:
        each(checkpoints.select_subset.rule.output.subset, PLAN.subsets()),


rule sft:
    """Trained and exported students."""
    input:
        each(rules.export_model.output.manifest, PLAN.sft()),


rule evals:
    """Scores of every run."""
    input:
        each(rules.grade.output.score, PLAN.evals()),


rule report:
    """The report of the study."""
    input:
        expand(rules.build_report.output.page, study=PLAN.study.study),
