"""Render a subset in a distillation format and tokenise it for one student.

Called by rule `build_examples` (rules/sft.smk). Writes token ids with the position where the loss
begins, and a manifest with counts and one decoded example.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.students import Format, Training
from nt_pkg.files.json_files import write_json
from nt_pkg.files.parquet import read_parquet, read_rows, write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, EXAMPLES, PROMPTS, SUBSET, TRACES
from nt_pkg.jobs.progress import ready, start_job


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--student", type=Path, required=True, help="manifest of the student")
    parser.add_argument("--subset", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--traces", type=Path, nargs="+", required=True)
    parser.add_argument("--labels", type=Path, nargs="*", default=[], help="labels of agreement")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("build_examples", args.spec)
    import transformers  # noqa: F401 - counted as start-up

    from nt_pkg.sft.data import build_examples

    spec = json.loads(args.spec)
    ready("build_examples")
    subset = read_parquet(args.subset, SUBSET)
    ids = {row["id"] for row in subset}
    labels = read_rows(args.labels, ANNOTATIONS, ids)
    rows, counts = build_examples(
        args.student.parent,
        Format(**spec["format"]),
        Training(**spec["limits"]),
        args.seed,
        subset,
        read_rows([args.prompts], PROMPTS, ids),
        read_rows(args.traces, TRACES, ids),
        {row["id"]: not json.loads(row["value"]) for row in labels if row["status"] == "ok"},
    )
    write_parquet(args.out, EXAMPLES, rows)
    write_json(args.manifest, {**args.names, **counts, "spec": spec})
    return 0


if __name__ == "__main__":
    sys.exit(main())
