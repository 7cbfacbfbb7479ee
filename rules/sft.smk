"""Train students.

REQUIRED INPUTS   subset     results/subsets/{pool}/{teacher}/{subset}/seed{seed}.parquet
                  prompts    results/prompts/{pool}/all.parquet
                  traces     results/traces/{pool}/{teacher}/shard-*.parquet
                  student    assets/students/{student}/
OUTPUTS           examples   results/sft_data/{student}/{subset}/{format}/seed{seed}.arrow
                  run        results/sft/{student}/{subset}/{format}/seed{seed}/run.json, checkpoint/
                  preview    results/sft/{student}/{subset}/{format}/seed{seed}/preview.txt, tensorboard/
                  model      results/sft/{student}/{subset}/{format}/seed{seed}/hf/
"""


rule build_examples:
    """Render a subset in a format with the student's chat template, and tokenise it."""
    input:
        subset=inputs.subset_of,
        prompts=lambda wc: each(
            rules.ingest_pool.output.prompts,
            [PLAN.subset_wildcards(wc.subset, wc.seed)],
        ),
        traces=lambda wc: inputs.shards_of(
            rules.generate_traces.output.traces, **inputs.pool_and_teacher(wc.subset)
        ),
        labels=lambda wc: inputs.labels_of(
            **inputs.pool_and_teacher(wc.subset),
            annotators=PLAN.format_requires(wc.format),
        ),
        student=lambda wc: inputs.source_manifest("students", wc.student),
    output:
        examples="results/sft_data/{student}/{subset}/{format}/seed{seed}.arrow",
        manifest="results/sft_data/{student}/{subset}/{format}/seed{seed}.json",
    log:
        "logs/build_examples/{student}/{subset}/{format}/seed{seed}.log",
    benchmark:
        "timings/build_examples/{student}/{subset}/{format}/seed{seed}.jsonl"
    conda:
        "../envs/training.yaml"
    container:
        image("training")
    resources:
        **listed("traces", "labels"),
        # A batch of rows, whatever their number (make bench-scale), and a large tokenizer.
        mem_mb=memory(4_000),
        runtime=minutes(60),
    params:
        spec=lambda wc: PLAN.examples_spec(wc.student, wc.format),
        names=names_of,
    shell:
        "python -m scripts.build_examples"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --seed {wildcards.seed}"
        " --student {input.student:q}"
        " --subset {input.subset:q}"
        " --prompts {input.prompts:q}"
        " --traces {resources.traces}"
        " --labels {resources.labels}"
        " --out {output.examples:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"


rule train:
    """Fine-tune a student with DeepSpeed ZeRO."""
    input:
        examples=rules.build_examples.output.examples,
        # It has the digest of the examples; its counts change nothing of a training.
        manifest=ancient(rules.build_examples.output.manifest),
        student=lambda wc: inputs.source_manifest("students", wc.student),
        held_out=inputs.held_out_of,
        selection=ancient(inputs.selection_of),
    output:
        run="results/sft/{student}/{subset}/{format}/seed{seed}/run.json",
        checkpoint=directory(
            "results/sft/{student}/{subset}/{format}/seed{seed}/checkpoint"
        ),
        # These two are for people; no job reads them.
        preview="results/sft/{student}/{subset}/{format}/seed{seed}/preview.txt",
        tensorboard=directory(
            "results/sft/{student}/{subset}/{format}/seed{seed}/tensorboard"
        ),
    log:
        "logs/train/{student}/{subset}/{format}/seed{seed}.log",
    benchmark:
        "timings/train/{student}/{subset}/{format}/seed{seed}.jsonl"
    conda:
        "../envs/training.yaml"
    container:
        image("training")
    threads: lambda wc: runtime(wc).job_threads
    resources:
        **placed(runtime),
        mem_mb=memory(lambda wc: runtime(wc).mem_mb),
        runtime=minutes(lambda wc: runtime(wc).minutes),
        knobs=lambda wc: runtime(wc).model_dump_json(),
    params:
        spec=lambda wc: PLAN.train_spec(wc.student, wc.subset),
        names=names_of,
    shell:
        "python -m scripts.train"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --runtime {resources.knobs:q}"
        " --seed {wildcards.seed}"
        " --student {input.student:q}"
        " --examples {input.examples:q}"
        " --examples-manifest {input.manifest:q}"
        " --held-out {input.held_out:q}"
        " --checkpoint {output.checkpoint:q}"
        " --preview {output.preview:q}"
        " --tensorboard {output.tensorboard:q}"
        " --out {output.run:q}"
        " > {log:q} 2>&1"


rule export_model:
    """Consolidate a sharded checkpoint into safetensors, and check every tensor."""
    input:
        run=rules.train.output.run,
        # Snakemake has no checksum for a folder, but it has one for run.json next to it.
        checkpoint=ancient(rules.train.output.checkpoint),
        student=lambda wc: inputs.source_manifest("students", wc.student),
        selection=ancient(inputs.selection_of),
    output:
        model=directory("results/sft/{student}/{subset}/{format}/seed{seed}/hf"),
        manifest="results/sft/{student}/{subset}/{format}/seed{seed}/hf.json",
    log:
        "logs/export_model/{student}/{subset}/{format}/seed{seed}.log",
    benchmark:
        "timings/export_model/{student}/{subset}/{format}/seed{seed}.jsonl"
    conda:
        "../envs/training.yaml"
    container:
        image("training")
    resources:
        # Tensors are copied one by one: about three files of weights (nt_pkg/sft/export.py).
        mem_mb=memory(16_000),
        runtime=minutes(120),
    params:
        spec=lambda wc: PLAN.export_spec(wc.student),
    shell:
        "python -m scripts.export_model"
        " --spec {params.spec:q}"
        " --checkpoint {input.checkpoint:q}"
        " --student {input.student:q}"
        " --out {output.model:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"
