"""Render a subset in a distillation format and tokenise it for one student.

Called by rule `build_examples` (rules/sft.smk). Writes token ids with the position where the loss
begins, and a manifest with counts, the digest of that file and one decoded example. Rows are read,
tokenised and written in batches.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.students import Format, Training
from nt_pkg.files.json_files import write_json
from nt_pkg.files.parquet import read_columns
from nt_pkg.files.schemas import SUBSET
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
    from nt_pkg.sft.examples import file_record
    from nt_pkg.sft.selected import selected_rows

    spec = json.loads(args.spec)
    ready("build_examples")
    ids = read_columns([args.subset], SUBSET, ["id"]).column("id").combine_chunks()
    counts = build_examples(
        args.student.parent,
        Format(**spec["format"]),
        Training(**spec["limits"]),
        args.seed,
        selected_rows(ids, args.prompts, args.traces, args.labels),
        len(ids),
        args.out,
    )
    file = file_record(args.out)
    write_json(args.manifest, {**args.names, **counts, "file": file, "spec": spec})
    return 0


if __name__ == "__main__":
    sys.exit(main())
