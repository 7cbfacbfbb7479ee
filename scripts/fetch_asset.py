"""Copy or download the pinned files of one pool, teacher, annotator, student or benchmark.

Called by rule `fetch_asset` (rules/assets.smk). Writes the files next to `--out`, their manifest.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.assets.fetch import fetch_asset, one_at_a_time
from nt_pkg.config.sources import Source
from nt_pkg.files.json_files import write_json
from nt_pkg.jobs.progress import ready, start_job


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--source", type=Source.model_validate_json, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("fetch_asset", args.spec)
    ready("fetch_asset")
    spec, assets = json.loads(args.spec), args.out.parent.parent.parent
    with one_at_a_time(spec, assets):
        others = sorted(assets.glob(f"*/*/{args.out.name}"))
        write_json(args.out, fetch_asset(spec, args.source, args.out.parent, others))
    return 0


if __name__ == "__main__":
    sys.exit(main())
