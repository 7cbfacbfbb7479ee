"""Label traces.

REQUIRED INPUTS   prompts    results/prompts/{pool}/shard-*.parquet
                  traces     results/traces/{pool}/{teacher}/shard-*.parquet
OUTPUTS           labels     results/annotations/{pool}/{teacher}/{annotator}/shard-*.parquet
"""


rule annotate:
    """Label every trace of one shard with one annotator."""
    input:
        prompts=rules.shard_prompts.output.prompts,
        traces=rules.generate_traces.output.traces,
    output:
        labels="results/annotations/{pool}/{teacher}/{annotator}/shard-{shard}-of-{num_shards}.parquet",
    log:
        "logs/annotate/{pool}/{teacher}/{annotator}/{shard}-of-{num_shards}.log",
    benchmark:
        "timings/annotate/{pool}/{teacher}/{annotator}/{shard}-of-{num_shards}.jsonl"
    resources:
        mem_mb=16_000,
        runtime=240,
    params:
        spec=lambda wc: PLAN.annotator_spec(wc.annotator),
        names=names_of,
    shell:
        "python -m scripts.annotate"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --prompts {input.prompts:q}"
        " --traces {input.traces:q}"
        " --out {output.labels:q}"
        " > {log:q} 2>&1"


def shards_of(pattern, pool, **others):
    """Return all shards of a pool for one pattern."""
    return each(pattern, [{**shard, **others} for shard in PLAN.shards(pool)])


def labels_of(pool, teacher, annotators):
    """Return the label shards of several annotators."""
    return [
        path
        for annotator in annotators
        for path in shards_of(
            rules.annotate.output.labels, pool, teacher=teacher, annotator=annotator
        )
    ]
