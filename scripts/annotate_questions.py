"""Label the questions of some shards with one annotator.

Called by rule `annotate_questions` (rules/annotations.smk). Writes one row per prompt, with the
same ids. If the annotator runs a model or asks a student, the same command continues after a kill
at any moment, and the job stops on a signal and before its time limit as that of traces does.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.annotations.ask_model import student_asker
from nt_pkg.annotations.label_questions import label_questions
from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Model, checked_model
from nt_pkg.files.content import note
from nt_pkg.files.json_files import digest, sha256_file
from nt_pkg.files.parquet import read_columns, write_parquet
from nt_pkg.files.path_lists import Paths
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.gpus import has_gpus
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.jobs.work_dir import work_dir
from nt_pkg.slurm.stopping import run_journalled


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--runtime", type=EngineRuntime.model_validate_json, default="{}")
    parser.add_argument("--prompts", action=Paths, nargs="+", required=True)
    parser.add_argument("--model", type=Path, nargs="?", help="manifest of the model to run")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("annotate_questions", args.spec)
    if not args.model:
        ready("annotate_questions")
        _label(args)
        note([args.out])
        return 0
    given = sys.argv[1:] if argv is None else argv
    return run_journalled("scripts.annotate_questions", given, args.runtime, lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    ready("annotate_questions")
    has_gpus(args.runtime.gpu, args.runtime.or_cpu, "annotate_questions")
    model = checked_model(args.model)
    key = digest([args.spec, args.names, model.digest, *map(sha256_file, args.prompts)])
    with work_dir([args.out], key) as folder:
        if folder:
            _label(args, model, folder)
    note([args.out])


def _label(args: argparse.Namespace, model: Model | None = None, work: Path | None = None) -> None:
    spec = json.loads(args.spec)
    batch, asks = args.runtime.batch, spec.get("asks")
    columns = ["id", "question", *(["reference_answer"] if asks else [])]
    prompts = read_columns(args.prompts, PROMPTS, columns).to_pylist()
    ask_student = None
    if asks:
        assert model is not None
        assert work is not None
        ask_student = student_asker(
            asks["engine"],
            asks["engine_params"],
            Sampling(**asks["sampling"]),
            args.runtime,
            model,
            work,
        )
    rows = label_questions(
        spec["kind"],
        spec["params"],
        prompts,
        model.folder if model else None,
        batch,
        work,
        ask_student,
    )
    write_parquet(args.out, ANNOTATIONS, rows, args.names)


if __name__ == "__main__":
    sys.exit(run_command(main))
