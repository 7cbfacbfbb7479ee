"""Write config/schema.json, docs/config.md and docs/reproduction.md from the configuration.

python -m scripts.schema            # make schema
python -m scripts.schema --check    # fails if a file is outdated; a test runs it
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.files.foreign_text import say
from nt_pkg.jobs.command import run_command
from nt_pkg.plan.reference_page import config_reference, editor_schema
from scripts import reproduction

ROOT = Path(__file__).parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    wanted = {
        ROOT / "config" / "schema.json": json.dumps(editor_schema(), indent=1, sort_keys=True)
        + "\n",
        ROOT / "docs" / "config.md": config_reference(),
        reproduction.PAGE: reproduction.page(),
    }
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if args.check:
        for path in stale:
            say(f"{path.relative_to(ROOT)} is stale: run `make schema`", sys.stderr)
        return int(bool(stale))
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
