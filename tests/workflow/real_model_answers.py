"""Answers of an exported student in one engine, as JSON: the first tokens, greedy.

    python -m tests.workflow.real_model_answers ENGINE HF_JSON OUT

Runs in the environment of that engine; tests/workflow/real_model.py calls it.
"""

import sys
from pathlib import Path

from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Model, Request
from nt_pkg.engines._start import engine_for
from nt_pkg.files.json_files import digest, read_json, write_json

_QUESTIONS = (
    "What is 12 plus 30?",
    "A box holds 6 eggs. How many eggs are in 4 boxes?",
    "Name the capital of France.",
)


def main() -> int:
    """Run the command line."""
    kind, manifest, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    found = read_json(manifest)
    model = Model(manifest.parent / found["folder"], digest(found["files"]))
    params = {"dtype": "float32", "max_model_len": 512} if kind == "vllm" else {}
    engine = engine_for(kind, params, EngineRuntime(batch=3, mem_mb=8000), model)
    requests = [Request(f"q{n}", text, seed=n) for n, text in enumerate(_QUESTIONS)]
    answers = engine.generate(requests, Sampling(max_tokens=16))
    write_json(out, {each.id: each.text for each in answers})
    return 0


if __name__ == "__main__":
    sys.exit(main())
