"""Read pools.

REQUIRED INPUTS   source     assets/pools/{pool}/ for pools with files
                  benchmarks assets/benchmarks/{benchmark}/ for benchmarks in the pool's decontamination
OUTPUTS           prompts    results/prompts/{pool}/all.parquet, dropped.parquet, pool.json
                  shards     results/prompts/{pool}/shard-{shard}-of-{num_shards}.parquet
"""


rule ingest_pool:
    """Read a pool; every dropped row is listed with its reason."""
    input:
        source=lambda wc: inputs.source_manifest("pools", wc.pool),
        benchmarks=lambda wc: [
            manifest
            for benchmark in PLAN.decontaminated_of(wc.pool)
            for manifest in inputs.source_manifest("benchmarks", benchmark)
        ],
    output:
        prompts="results/prompts/{pool}/all.parquet",
        dropped="results/prompts/{pool}/dropped.parquet",
        manifest="results/prompts/{pool}/pool.json",
    log:
        "logs/ingest_pool/{pool}.log",
    benchmark:
        "timings/ingest_pool/{pool}.jsonl"
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=memory(8_000),
        runtime=minutes(120),
    params:
        spec=lambda wc: PLAN.pool_spec(wc.pool),
        names=names_of,
    shell:
        "python -m scripts.ingest_pool"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --source {input.source:q}"
        " --benchmarks {input.benchmarks:q}"
        " --out {output.prompts:q}"
        " --dropped {output.dropped:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"


rule shard_prompts:
    """Write one shard of a pool: a range of its ids."""
    input:
        prompts=rules.ingest_pool.output.prompts,
    output:
        prompts="results/prompts/{pool}/shard-{shard}-of-{num_shards}.parquet",
    log:
        "logs/shard_prompts/{pool}/{shard}-of-{num_shards}.log",
    benchmark:
        "timings/shard_prompts/{pool}/{shard}-of-{num_shards}.jsonl"
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=memory(8_000),
        runtime=minutes(30),
    params:
        # Makes all shards rerun when the definition of shards changes.
        spec=PLAN.shards_spec(),
    shell:
        "python -m scripts.shard_prompts"
        " --prompts {input.prompts:q}"
        " --shard {wildcards.shard}"
        " --num-shards {wildcards.num_shards}"
        " --out {output.prompts:q}"
        " > {log:q} 2>&1"
