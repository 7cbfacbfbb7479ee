"""Pre-train the micro-world's base student.

Called by rule `pretrain_base` (rules/assets.smk; `make base`). After a kill the same command
continues. Writes the model next to `--out`. To ship it, copy the folder to nt_pkg/microworld/base.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.files.json_files import digest, sha256_file, write_json
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job
from nt_pkg.jobs.work_dir import work_dir


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("pretrain_base", args.spec)
    from nt_pkg.microworld.pretrain import pretrain

    spec = json.loads(args.spec)
    ready("pretrain_base")
    folder = args.out.parent
    with work_dir([args.out], digest(args.spec)) as progress:
        if progress:
            pretrain(folder, spec["seed"], spec["num_steps"], progress)
            made = [path for path in sorted(folder.iterdir()) if path.is_file()]
            files = {path.name: sha256_file(path) for path in made}
            write_json(args.out, {"spec": spec, "files": files})
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
