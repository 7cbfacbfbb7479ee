"""Label the traces of some shards with one annotator.

Called by rule `annotate` (rules/annotations.smk). Writes one row per trace, with the same ids. If
the annotator asks a model or a student, the same command continues after a kill at any moment, and
the job stops on a signal and before its time limit as that of traces does. Other annotators are
quick, and start over.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.annotations.ask_model import model_asker
from nt_pkg.annotations.label_traces import AskModel, StudentJob, annotate
from nt_pkg.annotators._labeller import check_columns
from nt_pkg.config.engines import Annotator, EngineRuntime
from nt_pkg.engines._base import checked_model
from nt_pkg.engines._start import engine_identity, engine_kind
from nt_pkg.files.content import note
from nt_pkg.files.json_files import digest, read_fields, sha256_file
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.path_lists import Paths
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS, TRACES
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.gpus import has_gpus
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.jobs.work_dir import kept, work_dir
from nt_pkg.slurm.stopping import run_journalled


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--runtime", type=EngineRuntime.model_validate_json, default="{}")
    parser.add_argument("--prompts", action=Paths, nargs="+", required=True)
    parser.add_argument("--traces", action=Paths, nargs="+", required=True)
    parser.add_argument("--model", type=Path, nargs="?", help="manifest of the model or student")
    parser.add_argument("--pool", type=Path, nargs="?", help="pool.json, to check its columns")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("annotate", args.spec)
    if "asks" not in json.loads(args.spec) and not args.model:
        _annotate(args)
        return 0
    given = sys.argv[1:] if argv is None else argv
    return run_journalled("scripts.annotate", given, args.runtime, lambda: _annotate(args))


def _annotate(args: argparse.Namespace) -> None:
    spec = json.loads(args.spec)
    entry = Annotator(
        kind=spec["kind"], params=spec["params"], runtime=args.runtime, **spec.get("asks", {})
    )
    model = checked_model(args.model) if args.model else None
    ready("annotate")
    if entry.engine is None and model is not None:
        has_gpus(args.runtime.gpu, args.runtime.or_cpu, "annotate")
    digest_of = model.digest if model else ""
    identity = (
        engine_identity(entry.engine, entry.engine_params, digest_of) if entry.engine else digest_of
    )
    files = [sha256_file(path) for path in (*args.prompts, *args.traces)]
    with work_dir([args.out], digest([args.spec, args.names, identity, files])) as folder:
        if folder and entry.engine is None and model is None:
            _label(args, entry, work=folder)
        elif folder and model is not None and entry.engine is None:
            job = StudentJob(model.folder, args.runtime.batch, folder)
            _label(args, entry, student=job)
        elif folder:
            assert entry.engine is not None
            place = kept(args.out) if engine_kind(entry.engine).keeps_texts else folder
            _label(args, entry, model_asker(entry, model, place))
    note([args.out])


def _label(
    args: argparse.Namespace,
    entry: Annotator,
    ask_model: AskModel | None = None,
    student: StudentJob | None = None,
    work: Path | None = None,
) -> None:
    if args.pool:
        check_columns(entry.kind, entry.params, read_fields(args.pool))
    prompts = [row for path in args.prompts for row in read_parquet(path, PROMPTS)]
    traces = [row for path in args.traces for row in read_parquet(path, TRACES)]
    rows = annotate(entry.kind, entry.params, prompts, traces, ask_model, student, work)
    write_parquet(args.out, ANNOTATIONS, rows, args.names)


if __name__ == "__main__":
    sys.exit(run_command(main))
