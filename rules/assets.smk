"""Fetch files of pools, models and benchmarks.

REQUIRED INPUTS   none; paths and hub repositories of the catalogue
OUTPUTS           manifest   assets/{kind}/{name}/manifest.json, next to the files it lists
                  model      results/models/{kind}/{name}/manifest.json, for files in GGUF
"""


localrules:
    fetch_asset,


rule fetch_asset:
    """Copy or download the pinned files of one pool, teacher, annotator, student or benchmark."""
    output:
        manifest="assets/{kind}/{name}/manifest.json",
    log:
        "logs/fetch_asset/{kind}/{name}.log",
    benchmark:
        "timings/fetch_asset/{kind}/{name}.jsonl"
    conda:
        "../envs/workflow.yaml"
    resources:
        source=lambda wc: PLAN.source(wc.kind, wc.name).model_dump_json(),
        longest=lambda wc: PLAN.longest_example(wc.kind, wc.name) or 0,
    params:
        spec=lambda wc: PLAN.asset_spec(wc.kind, wc.name),
    # The only job that may use the network, so it does not use the warm interpreter, which is offline.
    shell:
        "HF_HUB_OFFLINE=0 command python -m scripts.fetch_asset"
        " --spec {params.spec:q}"
        " --source {resources.source:q}"
        " --longest {resources.longest}"
        " --out {output.manifest:q}"
        " > {log:q} 2>&1"


rule convert_model:
    """Turn a model in GGUF into a folder of floats, as transformers saves it."""
    input:
        fetched=rules.fetch_asset.output.manifest,
    output:
        manifest="results/models/{kind}/{name}/manifest.json",
    log:
        "logs/convert_model/{kind}/{name}.log",
    benchmark:
        "timings/convert_model/{kind}/{name}.jsonl"
    conda:
        "../envs/training.yaml"
    container:
        image("training")
    resources:
        # The floats are twice in memory: 9 GB for a thousand million weights.
        mem_mb=memory(16_000),
        runtime=minutes(60),
        longest=lambda wc: PLAN.longest_example(wc.kind, wc.name) or 0,
    params:
        spec=lambda wc: PLAN.convert_spec(wc.kind, wc.name),
    shell:
        "python -m scripts.convert_model"
        " --spec {params.spec:q}"
        " --fetched {input.fetched:q}"
        " --longest {resources.longest}"
        " --out {output.manifest:q}"
        " > {log:q} 2>&1"


rule pretrain_base:
    """Rebuild the micro-world's base student; the demo uses the one that ships."""
    output:
        manifest="results/micro-base/manifest.json",
    log:
        "logs/pretrain_base/micro-base.log",
    benchmark:
        "timings/pretrain_base/micro-base.jsonl"
    conda:
        "../envs/training.yaml"
    container:
        image("training")
    resources:
        mem_mb=memory(4_000),
        runtime=minutes(120),
    params:
        spec=lambda wc: PLAN.base_spec(),
    shell:
        "python -m scripts.pretrain_base"
        " --spec {params.spec:q}"
        " --out {output.manifest:q}"
        " > {log:q} 2>&1"
