"""Fine-tune a student with DeepSpeed ZeRO.

Called by rule `train` (rules/sft.smk). After a kill at any moment the same command continues at the
newest complete checkpoint. On SIGTERM, on SIGUSR2 and before a Slurm job's time limit it writes a
checkpoint and exits with status 75; if it made progress, Slurm starts the same job again. Writes
the ZeRO-sharded checkpoint, `run.json` and events for TensorBoard. Before training it writes the
preview, which shows what the student reads and learns.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.students import Runtime, Training
from nt_pkg.files.content import check, note
from nt_pkg.files.json_files import atomic_path, digest, sha256_file, write_json
from nt_pkg.files.manifest import checked_folder
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.jobs.work_dir import work_dir
from nt_pkg.sft.examples import Examples, recorded_sha256
from nt_pkg.slurm.stopping import run_job


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--runtime", type=Runtime.model_validate_json, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--student", type=Path, required=True, help="manifest of the student")
    parser.add_argument("--examples", type=Path, required=True)
    parser.add_argument("--examples-manifest", type=Path, required=True)
    parser.add_argument(
        "--held-out", type=Path, nargs="*", default=[], help="examples and their manifest, or none"
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--preview", type=Path, required=True)
    parser.add_argument("--tensorboard", type=Path, required=True, help="folder of its events")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("train", args.spec)
    given = sys.argv[1:] if argv is None else argv
    threads = args.runtime.job_threads
    return run_job("scripts.train", given, args.runtime, threads, lambda: _train(args))


def _train(args: argparse.Namespace) -> None:
    # Otherwise looking for GPUs initialises CUDA here, and the forked ranks could not use it.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    import deepspeed  # noqa: F401 - counted as start-up, and shared by the forked ranks
    import transformers  # noqa: F401

    from nt_pkg.sft.held_out import check_apart
    from nt_pkg.sft.launch import train
    from nt_pkg.sft.steps import EVENTS
    from nt_pkg.sft.train import Job

    spec = json.loads(args.spec)
    ready("train", threads=args.runtime.num_ranks * args.runtime.threads_per_rank)
    check(args.examples)
    student = checked_folder(args.student)
    inputs = [sha256_file(args.student), recorded_sha256(args.examples, args.examples_manifest)]
    examples = Examples(args.examples)
    held = Examples(args.held_out[0]) if args.held_out else None
    if held is not None:
        inputs.append(recorded_sha256(*args.held_out))
        check_apart(examples, held)
    # The number of ranks is not part of the key, because checkpoints of other ranks are converted.
    place = digest([args.spec, args.seed, inputs])
    outputs = [args.out, args.checkpoint, args.preview, args.tensorboard]
    with work_dir(outputs, place) as folder:
        if folder is None:
            _note(args)
            return
        training = Training(**spec["training"])
        _write_preview(args, examples, training)
        result = train(Job(student, examples, training, args.runtime, args.seed, folder, held))
        # Rename it first, so that a kill during the move leaves nothing that looks complete.
        leaving = folder / "leaving"
        for old in (leaving, args.checkpoint, args.tensorboard):
            shutil.rmtree(old, ignore_errors=True)
        args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder / EVENTS, args.tensorboard)
        shutil.move((folder / "checkpoint").rename(leaving), args.checkpoint)
        write_json(args.out, {**args.names, **result, "spec": spec})
        _note(args)


def _note(args: argparse.Namespace) -> None:
    """Note digests; the ranks have noted those of the checkpoint in it."""
    note([args.out, args.preview, args.tensorboard])


def _write_preview(args: argparse.Namespace, examples: Examples, training: Training) -> None:
    """Write the preview, which can be checked before the training has cost anything."""
    from transformers import AutoTokenizer

    from nt_pkg.packing.steps import Steps
    from nt_pkg.sft.preview import preview

    tokenizer = AutoTokenizer.from_pretrained(args.student.parent, trust_remote_code=False)
    first = Steps(examples.lengths, examples.loss_lengths, training, args.seed)[0]
    args.preview.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(args.preview) as path:
        path.write_text(preview(tokenizer, examples, first, args.seed), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run_command(main))
