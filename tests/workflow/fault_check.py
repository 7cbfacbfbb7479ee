"""Do every fault to a small study, let its user go on, and show what was lost and what was stale.

    python -m tests.workflow.fault_check            # all faults
    python -m tests.workflow.fault_check -k purged  # those whose name has this word

A study runs undisturbed. Each fault is done to a copy of it while one more benchmark is asked for;
then the user does what the error says, and the same command continues. In the end the results are
compared with those of an undisturbed study, digest by digest, and `scripts.verify` reads them all.
Prints a table, the rows that were lost and the results that are stale. Ends with status 1 if there
are any, if a start did what it should refuse, or if nobody said what the user has to know.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.workflow.fault_place import Place, Reference, Seen, progress, reference, remove
from tests.workflow.faults import FAULTS, Fault
from tests.workflow.sandbox import table

SKIPPED = Seen("skipped: needs the right to mount a file system", "")


def done(fault: Fault, at: Reference, folder: Path) -> tuple[Seen, bool]:
    """Do a fault; return what it led to, and whether that is what should be."""
    with ExitStack() as last:
        try:
            return fault(Place(at, folder, last)) or SKIPPED, True
        except (ValueError, RuntimeError, OSError) as error:
            return Seen("NOT AS IT SHOULD BE", f"{error}"), False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-k", dest="word", default="", help="only faults with this word")
    parser.add_argument("--folder", type=Path, help="where the undisturbed study lies, or is made")
    args = parser.parse_args(argv)
    faults = [fault for fault in FAULTS if args.word in fault.__name__]
    rows, found, is_good = [], [], bool(faults)
    with tempfile.TemporaryDirectory(prefix="nt-faults-") as temporary:
        folder = Path(temporary).resolve()
        progress("a study without a fault")
        at = reference((args.folder or folder / "undisturbed").resolve())
        for number, fault in enumerate(faults):
            said = (fault.__doc__ or "").rstrip(".")
            progress(f"[{number + 1}/{len(faults)}] {said}")
            begun = time.monotonic()
            seen, is_right = done(fault, at, folder / fault.__name__)
            seconds = time.monotonic() - begun
            progress(f"    {seconds:.0f} s: {seen.happened}")
            if not is_right:
                progress(seen.saw)
                seen.saw = "see above"
            remove(folder / fault.__name__)
            is_good &= is_right
            found.append(seen)
            rows.append((said, seen.happened, seen.lost, seen.stale, seen.saw))
    lost, stale = sum(seen.lost for seen in found), sum(seen.stale for seen in found)
    head = ("fault", "what happened", "lost", "stale", "what the user saw")
    sys.stdout.write("\n" + table(head, rows))
    sys.stdout.write(
        f"{len(found)} faults, {len(at.expected)} files of an undisturbed study: "
        f"rows lost {lost}, stale {stale}\n"
    )
    return int(not is_good or lost > 0 or stale > 0)


if __name__ == "__main__":
    sys.exit(main())
