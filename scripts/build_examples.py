"""Render a subset in a distillation format and tokenise it for one student.

Called by rule `build_examples` (rules/sft.smk). Writes token ids with the position where the loss
begins, and a manifest with counts, the digest of that file and one decoded example. Rows are read,
tokenised and written in batches. After a kill the same command continues.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.students import Format, Training
from nt_pkg.files.content import note
from nt_pkg.files.json_files import digest, sha256_file, write_json
from nt_pkg.files.manifest import checked_folder
from nt_pkg.files.parquet import read_columns
from nt_pkg.files.path_lists import Paths
from nt_pkg.files.schemas import SUBSET
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.jobs.work_dir import work_dir


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--student", type=Path, required=True, help="manifest of the student")
    parser.add_argument("--subset", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--traces", action=Paths, nargs="+", required=True)
    parser.add_argument("--labels", action=Paths, nargs="*", default=[], help="labels of agreement")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("build_examples", args.spec)
    import transformers  # noqa: F401 - counted as start-up

    ready("build_examples")
    known = [sha256_file(path) for path in (args.student, args.subset)]
    stamps = [_stamp(path) for path in (args.prompts, *args.traces, *args.labels)]
    key = digest([args.spec, args.names, args.seed, known, stamps])
    with work_dir([args.out, args.manifest], key) as folder:
        if folder:
            _build(args, folder)
    note([args.out, args.manifest])
    return 0


def _stamp(path: Path) -> tuple[str, int, int]:
    """Return what tells that a file has changed: traces are too large to be read just for that."""
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns


def _build(args: argparse.Namespace, folder: Path) -> None:
    from nt_pkg.sft.data import build_examples
    from nt_pkg.sft.examples import file_record
    from nt_pkg.sft.selected import selected_rows

    spec = json.loads(args.spec)
    counts = build_examples(
        checked_folder(args.student),
        Format(**spec["format"]),
        Training(**spec["limits"]),
        args.seed,
        read_columns([args.subset], SUBSET, ["id"]).column("id").combine_chunks(),
        lambda ids: selected_rows(ids, args.prompts, args.traces, args.labels),
        folder,
        args.out,
    )
    file = file_record(args.out)
    write_json(args.manifest, {**args.names, **counts, "file": file, "spec": spec})


if __name__ == "__main__":
    sys.exit(run_command(main))
