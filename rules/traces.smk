"""Let teachers answer.

REQUIRED INPUTS   prompts    results/prompts/{pool}/shard-*.parquet
                  model      assets/teachers/{teacher}/ of teachers whose model we run
OUTPUTS           traces     results/traces/{pool}/{teacher}/shard-*.parquet
"""


rule generate_traces:
    """Write one trace per prompt of a shard."""
    input:
        prompts=rules.shard_prompts.output.prompts,
        model=lambda wc: source_manifest("teachers", wc.teacher),
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
    resources:
        **placed(lambda wc: PLAN.study.teachers[wc.teacher].runtime),
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
