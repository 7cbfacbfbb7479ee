"""Select subsets.

REQUIRED INPUTS   traces     results/traces/{pool}/{teacher}/shard-*.parquet
                  labels     results/annotations/{pool}/{teacher}/{annotator}/shard-*.parquet of the
                             annotators that the selector requires, or results/question_labels/
                  near       labels of the questions near which rows are selected
OUTPUTS           subset     results/subsets/{pool}/{teacher}/{subset}/seed{seed}.parquet (ids and scores)
                  manifest   the same with .json
"""


# A checkpoint makes Snakemake plan everything downstream again when the selection is done. A
# selection with the same ids writes the same bytes, and then nothing downstream runs.
checkpoint select_subset:
    """Select a subset with one selector."""
    input:
        traces=lambda wc: inputs.shards_of(
            rules.generate_traces.output.traces, wc.pool, teacher=wc.teacher
        ),
        labels=lambda wc: inputs.labels_of(
            wc.pool, wc.teacher, PLAN.requires(wc.subset)
        ),
        near=lambda wc: inputs.near_labels_of(wc.subset),
    output:
        subset="results/subsets/{pool}/{teacher}/{subset}/seed{seed}.parquet",
        manifest="results/subsets/{pool}/{teacher}/{subset}/seed{seed}.json",
    log:
        "logs/select_subset/{pool}/{teacher}/{subset}/seed{seed}.log",
    benchmark:
        "timings/select_subset/{pool}/{teacher}/{subset}/seed{seed}.jsonl"
    conda:
        "../envs/workflow.yaml"
    resources:
        **listed("traces", "labels", "near"),
        mem_mb=memory(8_000),
        runtime=minutes(60),
    params:
        spec=lambda wc: PLAN.subset_spec(wc.subset),
        names=names_of,
    shell:
        "python -m scripts.select_subset"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --seed {wildcards.seed}"
        " --traces {resources.traces}"
        " --labels {resources.labels}"
        " --near {resources.near}"
        " --out {output.subset:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"
