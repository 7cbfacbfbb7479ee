"""Copy or download the pinned files of one pool, teacher, annotator, student or benchmark.

Called by rule `fetch_asset` (rules/assets.smk). Writes the files next to `--out`, their manifest. A
student whose positions do not allow its training is refused here, before a teacher has written a
trace; its files stay, so that nothing is fetched twice.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.assets.fetch import fetch_asset, one_at_a_time
from nt_pkg.config.sources import Source
from nt_pkg.files.content import note
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.packing.positions import check_positions


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--source", type=Source.model_validate_json, required=True)
    parser.add_argument(
        "--longest", type=int, default=0, help="tokens of an example that it is trained on; 0: not"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("fetch_asset", args.spec)
    ready("fetch_asset")
    spec, assets = json.loads(args.spec), args.out.parent.parent.parent
    with one_at_a_time(spec, assets):
        others = sorted(assets.glob(f"*/*/{args.out.name}"))
        manifest = fetch_asset(spec, args.source, args.out.parent, others)
        if args.longest:
            _check(args.out.parent, args.longest)
        write_json(args.out, manifest)
        folder = args.out.parent
        note([folder], {folder / name: sha256 for name, sha256 in manifest["files"].items()})
        note([args.out])
    return 0


def _check(folder: Path, longest: int) -> None:
    config = folder / "config.json"
    try:
        check_positions(read_json(config) if config.exists() else {}, longest)
    except ValueError as error:
        raise ValueError(f"students.{folder.name} cannot be trained: {error}") from None


if __name__ == "__main__":
    sys.exit(run_command(main))
