"""Published numbers of a cell's run."""

from collections.abc import Sequence

from nt_pkg.config.filters import list_names
from nt_pkg.config.published import find_published, find_published_tokens
from nt_pkg.config.report import Published
from nt_pkg.report.cells import Cell


def paper_accuracy(cell: Cell, published: Sequence[Published]) -> float | None:
    """Return the published accuracy, a share."""
    return find_published(published, list_names(cell), [cell.benchmark])


def paper_tokens(cell: Cell, published: Sequence[Published]) -> float | None:
    """Return the published mean tokens."""
    return find_published_tokens(published, list_names(cell), [cell.benchmark])
