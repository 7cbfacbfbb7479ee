"""Turn a model in a GGUF file into a folder as transformers saves it.

Called by rule `convert_model` (rules/assets.smk). Writes the files next to `--out`, their manifest.
A student whose positions do not allow its training is refused here.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.assets.gguf import convert_gguf
from nt_pkg.files.content import note
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.files.manifest import checked_folder
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.packing.positions import check_positions


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--fetched", type=Path, required=True, help="manifest of the file")
    parser.add_argument(
        "--longest", type=int, default=0, help="tokens of an example that it is trained on; 0: not"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("convert_model", args.spec)
    import transformers  # noqa: F401 - counted as start-up

    ready("convert_model")
    spec, folder = json.loads(args.spec), args.out.parent
    made = convert_gguf(checked_folder(args.fetched) / spec["gguf"], folder)
    if args.longest:
        try:
            check_positions(read_json(folder / "config.json"), args.longest)
        except ValueError as error:
            raise ValueError(f"students.{folder.name} cannot be trained: {error}") from None
    write_json(args.out, {"spec": spec, **made})
    note([folder, args.out])
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
