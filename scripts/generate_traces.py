"""Let a teacher answer the prompts of one shard.

Called by rule `generate_traces` (rules/traces.smk). After a kill at any moment the same command
continues. On SIGTERM, on SIGUSR2 and before a Slurm job's time limit it exits with status 75; if it
made progress, Slurm starts the same job again. Writes one row per prompt; failed and incomplete
rows stay, each with its reason.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from nt_pkg.config.engines import EngineRuntime, Teacher
from nt_pkg.engines._base import checked_model
from nt_pkg.engines._start import engine_identity, engine_kind
from nt_pkg.files.content import note
from nt_pkg.files.json_files import digest, sha256_file
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import PROMPTS, TRACES
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.jobs.work_dir import kept, work_dir
from nt_pkg.slurm.stopping import run_journalled
from nt_pkg.traces.generate import generate_traces, teacher_engine


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--runtime", type=EngineRuntime.model_validate_json, default="{}")
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--model", type=Path, nargs="?", help="manifest of the teacher's model")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("generate_traces", args.spec)
    given = sys.argv[1:] if argv is None else argv
    return run_journalled("scripts.generate_traces", given, args.runtime, lambda: _generate(args))


def _generate(args: argparse.Namespace) -> None:
    described = {**json.loads(args.spec)["teacher"], "runtime": args.runtime}
    teacher = Teacher(**described)
    model = checked_model(args.model) if args.model else None
    ready("generate_traces")
    identity = engine_identity(teacher.engine, teacher.params, model.digest if model else "")
    key = digest([args.spec, args.names, identity, sha256_file(args.prompts)])
    with work_dir([args.out], key) as folder:
        if folder:
            with closing(teacher_engine(teacher, model)) as engine:
                rows = generate_traces(
                    read_parquet(args.prompts, PROMPTS),
                    engine,
                    teacher.sampling,
                    kept(args.out) if engine_kind(teacher.engine).keeps_texts else folder,
                    teacher.max_trace_tokens,
                    teacher.seed,
                )
            write_parquet(args.out, TRACES, rows, args.names)
    note([args.out])


if __name__ == "__main__":
    sys.exit(run_command(main))
