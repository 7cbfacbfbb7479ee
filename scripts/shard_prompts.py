"""Write one shard of a pool: the rows whose ids are in its range. Other rows are not read.

Called by rule `shard_prompts` (rules/prompts.smk).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.files.content import note
from nt_pkg.files.parquet import stream_parquet, write_parquet
from nt_pkg.files.schemas import PROMPTS
from nt_pkg.identity.question_id import shard_ids
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.progress import ready, start_job


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--num-shards", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    start_job("shard_prompts")
    ready("shard_prompts")
    mine = stream_parquet(args.prompts, PROMPTS, *shard_ids(args.shard, args.num_shards))
    write_parquet(args.out, PROMPTS, mine)
    note([args.out])
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
