"""Labels of a model that are made some at a time, and saved as they are made."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from nt_pkg.annotators._base import Label
from nt_pkg.jobs.journal import Journal
from nt_pkg.jobs.progress import Progress

Item = TypeVar("Item")


def label_in_batches(
    what: str,
    items: Mapping[str, Item],
    size: Callable[[Item], int],
    start: Callable[[], Callable[[Sequence[Item]], list[Label]]],
    batch: int,
    work: Path | None,
) -> dict[str, Label]:
    """Return a label per item, by its key.

    Items of similar size are labelled together, the largest first, so that a lack of memory shows
    at once. The batches are the same after a kill: one that was not saved whole is made again.

    Args:
        what: name of the items, for messages.
        items: by key.
        size: how long an item is.
        start: starts what labels some items at a time; not called if nothing is missing.
        batch: items that are labelled at a time.
        work: where finished labels are kept until the job has ended; a start with the same folder
            continues. None: not saved.
    """
    keys = sorted(items, key=lambda key: (-size(items[key]), key))
    with ExitStack() as opened:
        journal = opened.enter_context(Journal(work / "labels.jsonl")) if work else None
        found = {key: Label(**value) for key, value in journal.entries.items()} if journal else {}
        parts = [keys[at : at + batch] for at in range(0, len(keys), batch)]
        missing = [part for part in parts if not all(key in found for key in part)]
        if missing:
            label = start()
            num_missing = sum(map(len, missing))
            progress = Progress(what, len(keys), len(keys) - num_missing)
            for part in missing:
                labels = label([items[key] for key in part])
                new = dict(zip(part, labels, strict=True))
                if journal:
                    journal.extend({key: vars(each) for key, each in new.items()})
                found.update(new)
                progress.add(len(part))
    return {key: found[key] for key in keys}
