"""Read a pool and keep the usable rows.

Called by rule `ingest_pool` (rules/prompts.smk). By hand:

    python -m scripts.ingest_pool --spec '{"kind":"micro","params":{"num_rows":100}}' --source \
        --names '{"pool":"micro"}' --out all.parquet --dropped dropped.parquet --manifest pool.json

Writes the kept rows ordered by id, every dropped row with its reason, and in the manifest the
counts and the further columns that rows have. With `samples` in the spec, every kept row is written
as often as that, with ids of their own. With `decontaminate`, rows with text of benchmarks are
dropped, and the counts name the question for each.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from nt_pkg.files.content import note
from nt_pkg.files.json_files import write_json
from nt_pkg.files.manifest import checked_folder
from nt_pkg.files.parquet import POOL_GROUP_ROWS, write_parquet
from nt_pkg.files.schemas import DROPPED, PROMPTS
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.plugins.registry import plugin
from nt_pkg.prompts.cleaning.decontamination import start_decontamination
from nt_pkg.prompts.columns import SeenColumns
from nt_pkg.prompts.ingest import ingest, refuse_empty
from nt_pkg.prompts.samples import repeat_prompts


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--source", type=Path, nargs="?", help="manifest of the pool's files")
    parser.add_argument(
        "--benchmarks",
        type=Path,
        nargs="*",
        default=[],
        help="manifests of the benchmarks with files in the spec's `decontaminate`, in order",
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dropped", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("ingest_pool", args.spec)
    spec = json.loads(args.spec)
    pool = plugin("pools", spec["kind"])
    folder = checked_folder(args.source) if args.source else None
    ready("ingest_pool")
    columns = SeenColumns()
    rows = columns.watch(pool.rows(pool.params(**spec["params"]), folder))
    decontamination = None
    if against := spec.get("decontaminate"):
        folders = iter([checked_folder(path) for path in args.benchmarks])
        files = [next(folders) if each["has_files"] else None for each in against["against"]]
        decontamination = start_decontamination(against, files)
        rows = decontamination.mark(rows)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    store = partial(write_parquet, args.out, PROMPTS, group_rows=POOL_GROUP_ROWS)
    samples = spec["samples"]["number"] if "samples" in spec else 1
    write = (lambda kept: store(repeat_prompts(kept, samples))) if samples > 1 else store
    dropped, counts = ingest(rows, write, args.out.parent)
    refuse_empty(counts, dropped)
    if samples > 1:
        counts |= {"samples": samples, "prompts": counts["kept"] * samples}
    account = {"decontamination": decontamination.account()} if decontamination else {}
    write_parquet(args.dropped, DROPPED, dropped)
    found = {**args.names, **counts, **account, "columns": columns.names, "spec": spec}
    write_json(args.manifest, found)
    note([args.out, args.dropped, args.manifest])
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
