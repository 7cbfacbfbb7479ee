"""The page of a sample of the pool's traces, to search and filter."""

from collections.abc import Sequence

from nt_pkg.report.browser import Block, Entry, Page
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._rows import (
    describe_trace,
    find_words,
    head_of,
    list_strategies,
    show_label,
    show_labels,
    trace_blocks,
)
from nt_pkg.report.records import Trace
from nt_pkg.report.wording import show_plural

_MOST_VALUES = 40  # of a filter
_OWN = ("status", "pool", "teacher", "subsets", "strategies")


def show_traces(material: Material) -> Page | None:
    """Return the sample with a filter for every label of few values."""
    traces = material.pool_sample
    if not traces:
        return None
    filters = _filters(traces)
    entries = [_entry(trace, filters) for trace in traces]
    named = (("pool", "Pool"), ("teacher", "Teacher"), ("status", "Trace is"))
    words = find_words(material, traces)
    marked = " Words that mark a strategy are highlighted in its traces." if words else ""
    return Page(
        "traces",
        "Read some traces",
        f"{show_plural(len(traces), 'trace')} of the pool, drawn at random, with their labels and "
        f"the subsets that picked them.{marked}",
        entries,
        (
            *named,
            ("subsets", "Picked by"),
            ("strategies", "Strategy"),
            *((name, name.capitalize()) for name in filters),
        ),
        words,
    )


def _filters(traces: Sequence[Trace]) -> list[str]:
    """Return the labels whose values are few enough to choose from."""
    values: dict[str, set[str]] = {}
    for trace in traces:
        for name, value in trace.labels.items():
            if name not in _OWN and not isinstance(value, dict | float):
                values.setdefault(name, set()).update(_values(value))
    return sorted(name for name, found in values.items() if len(found) <= _MOST_VALUES)


def _values(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [show_label(value)]


def _entry(trace: Trace, filters: list[str]) -> Entry:
    tags = {
        "pool": [trace.pool],
        "teacher": [trace.teacher],
        "status": [trace.status],
        "subsets": list(trace.subsets),
        "strategies": list_strategies(trace),
        **{name: _values(trace.labels[name]) for name in filters if name in trace.labels},
    }
    asked = [] if trace.question is None else [Block("Question", trace.question)]
    labels = [Block("Labels", show_labels(trace))] if trace.labels else []
    return Entry(
        head_of(trace.id, trace.question),
        describe_trace(trace),
        tags,
        [*asked, *trace_blocks(trace), *labels],
    )


PART = Part(section="selectors", place=60, draw=show_traces)
