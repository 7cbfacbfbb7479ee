"""Generate traces.

REQUIRED INPUTS   prompts    results/prompts/{pool}/shard-*.parquet
                  model      assets/teachers/{teacher}/ for teachers whose model runs in the job
OUTPUTS           traces     results/traces/{pool}/{teacher}/shard-*.parquet
                  statistics results/traces/{pool}/{teacher}/statistics.json
"""


rule generate_traces:
    """Generate one trace per prompt of a shard."""
    input:
        prompts=rules.shard_prompts.output.prompts,
        model=lambda wc: inputs.source_manifest("teachers", wc.teacher),
    output:
        traces="results/traces/{pool}/{teacher}/shard-{shard}-of-{num_shards}.parquet",
    log:
        "logs/generate_traces/{pool}/{teacher}/{shard}-of-{num_shards}.log",
    benchmark:
        "timings/generate_traces/{pool}/{teacher}/{shard}-of-{num_shards}.jsonl"
    conda:
        "../envs/inference.yaml"
    container:
        image("inference")
    threads: lambda wc: PLAN.study.teachers[wc.teacher].runtime.threads
    resources:
        **placed(lambda wc: PLAN.study.teachers[wc.teacher].runtime),
        **admitted(PLAN.study, lambda wc: PLAN.study.teachers[wc.teacher].runtime),
        mem_mb=memory(lambda wc: PLAN.study.teachers[wc.teacher].runtime.mem_mb),
        runtime=minutes(lambda wc: PLAN.study.teachers[wc.teacher].runtime.minutes),
        knobs=lambda wc: PLAN.study.teachers[wc.teacher].runtime.model_dump_json(),
    params:
        spec=lambda wc: PLAN.trace_spec(wc.teacher),
        names=names_of,
    shell:
        "python -m scripts.generate_traces"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --runtime {resources.knobs:q}"
        " --prompts {input.prompts:q}"
        " --model {input.model:q}"
        " --out {output.traces:q}"
        " > {log:q} 2>&1"


rule summarise_traces:
    """Count the traces of a pool and a teacher by status, reason and length."""
    input:
        traces=lambda wc: inputs.shards_of(
            rules.generate_traces.output.traces, wc.pool, teacher=wc.teacher
        ),
    output:
        statistics="results/traces/{pool}/{teacher}/statistics.json",
    log:
        "logs/summarise_traces/{pool}/{teacher}.log",
    benchmark:
        "timings/summarise_traces/{pool}/{teacher}.jsonl"
    conda:
        "../envs/workflow.yaml"
    resources:
        **listed("traces"),
        mem_mb=memory(8_000),
        runtime=minutes(60),
    params:
        spec=PLAN.statistics_spec(),
        names=names_of,
    shell:
        "python -m scripts.summarise_traces"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --traces {resources.traces}"
        " --out {output.statistics:q}"
        " > {log:q} 2>&1"
