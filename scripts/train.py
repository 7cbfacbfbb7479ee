"""Fine-tune a student with DeepSpeed ZeRO.

Called by rule `train` (rules/sft.smk). Killed at any moment, the same command continues at the
newest complete checkpoint. Writes the ZeRO-sharded checkpoint and `run.json`.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config import Runtime, Training
from nt_pkg.manifest import digest, sha256_file, write_json
from nt_pkg.progress import ready, start_job
from nt_pkg.records import EXAMPLES, read_parquet
from nt_pkg.work import work_dir


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--names", type=json.loads, required=True)
    parser.add_argument("--runtime", type=Runtime.model_validate_json, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--student", type=Path, required=True, help="manifest of the student")
    parser.add_argument("--examples", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("train", args.spec)
    import deepspeed  # noqa: F401 - counted as start-up, and shared by the forked ranks
    import transformers  # noqa: F401

    from nt_pkg.sft.train import Job, train

    spec = json.loads(args.spec)
    ready("train", threads=args.runtime.num_ranks)
    examples = read_parquet(args.examples, EXAMPLES)
    inputs = [sha256_file(args.student), sha256_file(args.examples)]
    # Checkpoints hold sharded state, so they belong to one number of ranks and one ZeRO stage.
    place = digest([args.spec, args.seed, inputs, args.runtime.num_ranks, args.runtime.zero_stage])
    with work_dir(args.out, place) as folder:
        result = train(
            Job(
                args.student.parent,
                examples,
                Training(**spec["training"]),
                args.runtime,
                args.seed,
                folder,
            )
        )
        # Under another name, so that a kill halfway leaves nothing that looks complete.
        leaving = folder / "leaving"
        for old in (leaving, args.checkpoint):
            shutil.rmtree(old, ignore_errors=True)
        args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        shutil.move((folder / "checkpoint").rename(leaving), args.checkpoint)
        write_json(args.out, {**args.names, **result, "spec": spec})
    return 0


if __name__ == "__main__":
    sys.exit(main())
