"""Evaluate students.

REQUIRED INPUTS   model      results/sft/{student}/{subset}/{format}/seed{seed}/hf.json, or the untrained
                             student for subset and format `none`
                  answers    a file of the user, for subset `imported`
                  source     assets/benchmarks/{benchmark}/ for benchmarks with files
OUTPUTS           samples    results/evals/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.samples{part}.parquet,
                             with part `.3-of-8` if several jobs make them
                  score      the same with .json, grades with .grades.parquet
"""


rule sample_answers:
    """Let a student answer a benchmark, or one shard of it, in one mode."""
    input:
        model=inputs.model_of,
        source=lambda wc: inputs.source_manifest("benchmarks", wc.benchmark),
        selection=ancient(inputs.selection_of),
    output:
        samples="results/evals/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.samples{part}.parquet",
        manifest="results/evals/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.samples{part}.json",
    log:
        "logs/sample_answers/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}{part}.log",
    benchmark:
        "timings/sample_answers/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}{part}.jsonl"
    wildcard_constraints:
        subset=f"(?!{IMPORTED}/){NAME}",
    conda:
        "../envs/inference.yaml"
    container:
        image("inference")
    threads: lambda wc: runtime(wc).generation.threads
    resources:
        **placed(lambda wc: runtime(wc).generation),
        mem_mb=memory(lambda wc: runtime(wc).generation.mem_mb),
        runtime=minutes(lambda wc: runtime(wc).generation.minutes),
        knobs=lambda wc: runtime(wc).generation.model_dump_json(),
    params:
        spec=lambda wc: PLAN.sample_spec(wc.student, wc.benchmark, wc.mode),
    shell:
        "python -m scripts.sample_answers"
        " --spec {params.spec:q}"
        " --seed {wildcards.seed}"
        " --model {input.model:q}"
        " --source {input.source:q}"
        " --runtime {resources.knobs:q}"
        " --part={wildcards.part}"
        " --out {output.samples:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"


rule import_answers:
    """Check answers from elsewhere, and make the files that sampling would make."""
    input:
        # Its content is in the spec.
        answers=lambda wc: ancient(answers_file(PLAN.imported(**wc))),
        source=lambda wc: inputs.source_manifest("benchmarks", wc.benchmark),
    output:
        samples="results/evals/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.samples.parquet",
        manifest="results/evals/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.samples.json",
    log:
        "logs/import_answers/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.log",
    benchmark:
        "timings/import_answers/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.jsonl"
    wildcard_constraints:
        subset=IMPORTED,
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=memory(8_000),
        runtime=minutes(60),
    params:
        spec=lambda wc: PLAN.import_spec(PLAN.imported(**wc)),
    shell:
        "python -m scripts.import_answers"
        " --spec {params.spec:q}"
        " --answers {input.answers:q}"
        " --source {input.source:q}"
        " --out {output.samples:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"


rule grade:
    """Grade and score stored answers, without a model."""
    input:
        samples=lambda wc: each(
            rules.sample_answers.output.samples, PLAN.answer_shards(dict(wc))
        ),
        manifests=lambda wc: each(
            rules.sample_answers.output.manifest, PLAN.answer_shards(dict(wc))
        ),
        source=lambda wc: inputs.source_manifest("benchmarks", wc.benchmark),
        selection=ancient(inputs.selection_of),
    output:
        score="results/evals/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.json",
        grades="results/evals/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.grades.parquet",
    log:
        "logs/grade/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.log",
    benchmark:
        "timings/grade/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.jsonl"
    conda:
        "../envs/workflow.yaml"
    resources:
        **listed("samples", "manifests"),
        mem_mb=memory(8_000),
        runtime=minutes(60),
    params:
        spec=lambda wc: PLAN.grade_spec(wc.benchmark),
        names=names_of,
    shell:
        "python -m scripts.grade"
        " --spec {params.spec:q}"
        " --names {params.names:q}"
        " --samples {resources.samples}"
        " --samples-manifests {resources.manifests}"
        " --source {input.source:q}"
        " --out {output.score:q}"
        " --grades {output.grades:q}"
        " > {log:q} 2>&1"
