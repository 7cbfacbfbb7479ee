"""What every stage that handles data costs, up to as many rows as NaturalReasoning has.

    python -m benchmarks.data                    # also: make bench-data
    python -m benchmarks.data --rows 2000        # a quick look
    python -m benchmarks.data --quick            # a quicker one, without peers; keeps nothing
    python -m benchmarks.data --fresh            # forget what was measured before

Makes synthetic rows (benchmarks/data/rows.py) once, 5 GB below work/bench-data, and runs the
study's own jobs on them, each in a process of its own, and other tools beside them (`make peers`).
A killed run goes on where it was. Prints a table and as its last line one JSON object.

Seconds are wall time of the whole job, imports included; `ratio` is the peer's CPU seconds per row
over ours. A peer that is slow looks at fewer rows, which its column says.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data import inputs, labels, rows
from benchmarks.data.measure import ROOT, Measurements
from benchmarks.data.stages import Bench, Line
from tests.workflow.sandbox import table

ROWS = (100_000, 300_000, 1_145_824)
_QUICK_ROWS = 1000
_HEAD = ("stage", "rows", "seconds", "CPU s", "peak GiB", "rows/s", "peer", "ratio")


def main() -> int:
    """Measure, print the table, and end with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--folder", type=Path, default=ROOT / "work" / "bench-data")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    parser.add_argument("--fresh", action="store_true", help="measure all of it again")
    parser.add_argument("--quick", action="store_true", help="1,000 rows, no peers, nothing kept")
    args = parser.parse_args()
    if args.quick:
        with tempfile.TemporaryDirectory(prefix="bench-data-") as name:
            return measure([_QUICK_ROWS], Path(name), None)
    if not args.peers.exists():
        parser.error(f"{args.peers} is not there: run `make peers`")
    if args.fresh:
        for path in args.folder.glob("measured-*.json"):
            path.unlink()
    forget_other_rows(args.folder)
    return measure(args.rows, args.folder, args.peers)


def measure(sizes: Sequence[int], folder: Path, peers: Path | None) -> int:
    """Measure pools of these sizes; return 1 if a peer finds other rows than ours."""
    bench = Bench(folder, peers, Measurements(folder))
    lines: list[Line] = []
    for num_rows in sorted(sizes):
        lines += bench.lines(num_rows)
        for path in (folder / "out").glob("pool-*.parquet"):
            path.unlink()
    print(table(_HEAD, [line.cells() for line in lines]))
    print(json.dumps(bench.summary([line for line in lines if line.size == max(sizes)])))
    return 0 if bench.same_hits else 1


def forget_other_rows(folder: Path) -> None:
    """Delete what other code has made."""
    made_by = folder / "made-by.txt"
    code = b"".join(Path(str(each.__file__)).read_bytes() for each in (inputs, labels, rows))
    digest = hashlib.sha256(code).hexdigest()
    if not made_by.exists() or made_by.read_text() != digest:
        for path in folder.glob("*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix != ".txt":
                path.unlink()
        made_by.parent.mkdir(parents=True, exist_ok=True)
        made_by.write_text(digest)


if __name__ == "__main__":
    sys.exit(main())
