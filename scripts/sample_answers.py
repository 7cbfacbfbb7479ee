"""Let a student answer a benchmark, or one shard of its questions, in one mode.

Called by rule `sample_answers` (rules/evals.smk). After a kill at any moment the same command
continues, and the job stops on a signal and before its time limit as that of traces does.
Writes every answer, and a manifest with the sampling and the digest of all prompts.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from nt_pkg.benchmarks._questions import load_items
from nt_pkg.config.engines import EngineRuntime
from nt_pkg.engines._base import checked_model
from nt_pkg.engines._start import engine_for
from nt_pkg.evaluation.sample_and_grade import sample_answers
from nt_pkg.files.content import note
from nt_pkg.files.json_files import digest, sha256_file, write_json
from nt_pkg.files.layout import shard_of
from nt_pkg.files.manifest import checked_folder
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import SAMPLES
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.jobs.work_dir import work_dir
from nt_pkg.slurm.stopping import run_journalled


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--model", type=Path, required=True, help="manifest of the model")
    parser.add_argument("--source", type=Path, nargs="?", help="manifest of the benchmark's files")
    parser.add_argument("--runtime", type=EngineRuntime.model_validate_json, required=True)
    parser.add_argument("--part", type=shard_of, default=(0, 1), help="such as .3-of-8; empty: all")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("sample_answers", args.spec)
    given = sys.argv[1:] if argv is None else argv
    return run_journalled("scripts.sample_answers", given, args.runtime, lambda: _sample(args))


def _sample(args: argparse.Namespace) -> None:
    import transformers  # noqa: F401 - counted as start-up

    spec, model = json.loads(args.spec), checked_model(args.model)
    kind, params = spec.get("engine", "transformers"), spec.get("engine_params", {})
    ready("sample_answers")
    items = load_items(
        spec["kind"], spec["params"], checked_folder(args.source) if args.source else None
    )
    source = sha256_file(args.source) if args.source else None
    engine = engine_for(kind, params, args.runtime, model)
    key = digest([args.spec, args.seed, args.runtime.batch, engine.identity, source])
    with work_dir([args.out, args.manifest], key) as folder:
        if folder:
            with closing(engine):
                rows, drawn = sample_answers(
                    spec, args.seed, items, engine, folder, args.part, args.runtime.batch
                )
                made = {"engine": engine.identity, "versions": engine.versions}
            write_parquet(args.out, SAMPLES, rows)
            write_json(args.manifest, {**drawn, **made})
    note([args.out, args.manifest])


if __name__ == "__main__":
    sys.exit(run_command(main))
