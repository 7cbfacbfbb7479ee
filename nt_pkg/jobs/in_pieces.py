"""Work on many items, a piece at a time, kept as it is done.

Most items take no time, and a hostile one takes all that a limit allows it. So a piece has as many
items as take about a minute by the last one: a kill loses that, and few pieces lose little to the
start of whatever makes them.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nt_pkg.jobs.journal import Journal
from nt_pkg.jobs.progress import Progress

Item = TypeVar("Item")
FIRST = 64  # items of the first piece of every start, so that a start gets past any of them
_GROWTH = 8
_SECONDS = 60.0


def in_pieces(
    what: str,
    items: Sequence[Item],
    make: Callable[[Sequence[Item]], Sequence[Any]],
    journal: Journal,
) -> list[Any]:
    """Return what is made of items, in their order, going on where an earlier start was killed.

    Args:
        what: name of the work, for messages and in the journal; each has its own.
        items: what it is made of; the same in every start with this journal.
        make: returns one value of JSON per item, whatever items are made with it.
        journal: keeps finished pieces.
    """
    found: list[Any] = []
    while (done := journal.entries.get(f"{what} {len(found)}")) is not None:
        found += done
    size = FIRST
    progress = Progress(what, len(items), len(found))
    while len(found) < len(items):
        piece, begun = items[len(found) : len(found) + size], time.monotonic()
        made = list(make(piece))
        assert len(made) == len(piece)
        journal.extend({f"{what} {len(found)}": made})
        found += made
        progress.add(len(made))
        seconds = max(time.monotonic() - begun, 1e-3)
        size = max(1, int(len(piece) * min(_GROWTH, _SECONDS / seconds)))
    return found
