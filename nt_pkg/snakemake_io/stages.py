"""Which stage of a study each rule belongs to."""

# Rule -> stage, in the order of the workflow.
STAGES = {
    "fetch_asset": "assets",
    "convert_model": "assets",
    "ingest_pool": "prompts",
    "shard_prompts": "prompts",
    "generate_traces": "traces",
    "summarise_traces": "traces",
    "annotate": "annotations",
    "annotate_questions": "annotations",
    "select_subset": "subsets",
    "build_examples": "sft",
    "train": "sft",
    "export_model": "sft",
    "sample_answers": "evals",
    "import_answers": "evals",
    "grade": "evals",
    "build_report": "report",
}
