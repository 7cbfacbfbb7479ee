"""Label traces and questions.

REQUIRED INPUTS   prompts    results/prompts/{pool}/shard-*.parquet
                  traces     results/traces/{pool}/{teacher}/shard-*.parquet
                  pool       results/prompts/{pool}/pool.json for annotators that read its columns
                  model      assets/annotators/{annotator}/ for annotators whose model runs in the job,
                             assets/students/{student}/ for those that ask a student
OUTPUTS           labels     results/annotations/{pool}/{teacher}/{annotator}/shard-*.parquet
                  questions  results/question_labels/{pool}/{annotator}/shard-*.parquet
"""


rule annotate:
    """Label every trace of one or several shards with one annotator."""
    input:
        prompts=lambda wc: inputs.shards_in(rules.shard_prompts.output.prompts, wc),
        traces=lambda wc: inputs.shards_in(rules.generate_traces.output.traces, wc),
        pool=inputs.columns_of,
        model=lambda wc: inputs.model_of_annotator(wc.annotator),
    output:
        labels="results/annotations/{pool}/{teacher}/{annotator}/shard-{shard}-of-{num_shards}.parquet",
    log:
        "logs/annotate/{pool}/{teacher}/{annotator}/{shard}-of-{num_shards}.log",
    benchmark:
        "timings/annotate/{pool}/{teacher}/{annotator}/{shard}-of-{num_shards}.jsonl"
    conda:
        "../envs/inference.yaml"
    container:
        image("inference")
    threads: lambda wc: PLAN.study.annotators[wc.annotator].runtime.threads
    resources:
        **listed("prompts", "traces"),
        **placed(lambda wc: PLAN.study.annotators[wc.annotator].runtime),
        **admitted(PLAN.study, lambda wc: PLAN.study.annotators[wc.annotator].runtime),
        mem_mb=memory(lambda wc: PLAN.study.annotators[wc.annotator].runtime.mem_mb),
        runtime=minutes(lambda wc: PLAN.study.annotators[wc.annotator].runtime.minutes),
        knobs=lambda wc: PLAN.study.annotators[wc.annotator].runtime.model_dump_json(),
    params:
        spec=lambda wc: PLAN.annotator_spec(wc.annotator),
        names=names_of,
    shell:
        "python -m scripts.annotate"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --runtime {resources.knobs:q}"
        " --prompts {resources.prompts}"
        " --traces {resources.traces}"
        " --pool {input.pool:q}"
        " --model {input.model:q}"
        " --out {output.labels:q}"
        " > {log:q} 2>&1"


rule annotate_questions:
    """Label every question of one or several shards with an annotator that reads no trace."""
    input:
        prompts=lambda wc: inputs.shards_in(rules.shard_prompts.output.prompts, wc),
        model=lambda wc: inputs.model_of_annotator(wc.annotator),
    output:
        labels="results/question_labels/{pool}/{annotator}/shard-{shard}-of-{num_shards}.parquet",
    log:
        "logs/annotate_questions/{pool}/{annotator}/{shard}-of-{num_shards}.log",
    benchmark:
        "timings/annotate_questions/{pool}/{annotator}/{shard}-of-{num_shards}.jsonl"
    conda:
        "../envs/inference.yaml"
    container:
        image("inference")
    threads: lambda wc: PLAN.study.annotators[wc.annotator].runtime.threads
    resources:
        **listed("prompts"),
        **placed(lambda wc: PLAN.study.annotators[wc.annotator].runtime),
        mem_mb=memory(lambda wc: PLAN.study.annotators[wc.annotator].runtime.mem_mb),
        runtime=minutes(lambda wc: PLAN.study.annotators[wc.annotator].runtime.minutes),
        knobs=lambda wc: PLAN.study.annotators[wc.annotator].runtime.model_dump_json(),
    params:
        spec=lambda wc: PLAN.annotator_spec(wc.annotator),
        names=names_of,
    shell:
        "python -m scripts.annotate_questions"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --runtime {resources.knobs:q}"
        " --prompts {resources.prompts}"
        " --model {input.model:q}"
        " --out {output.labels:q}"
        " > {log:q} 2>&1"
