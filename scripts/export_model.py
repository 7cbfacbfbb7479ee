"""Consolidate a ZeRO-sharded checkpoint into safetensors that transformers and vLLM load.

Called by rule `export_model` (rules/sft.smk).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.files.content import note
from nt_pkg.files.json_files import write_json
from nt_pkg.files.manifest import checked_folder
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--student", type=Path, required=True, help="manifest of the student")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("export_model", args.spec)
    import deepspeed  # noqa: F401 - counted as start-up
    import transformers  # noqa: F401

    from nt_pkg.sft.export import export_model

    spec = json.loads(args.spec)
    ready("export_model")
    found = export_model(args.checkpoint, checked_folder(args.student), args.out, spec["dtype"])
    write_json(args.manifest, {**found, "folder": args.out.name, "spec": spec})
    known = {args.out / name: sha256 for name, sha256 in found["files"].items()}
    note([args.out, args.manifest], known)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
