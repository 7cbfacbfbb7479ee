"""The page of a sample of the pool's traces, to search and filter."""

from collections.abc import Sequence

from nt_pkg.report.browser import Block, Entry, Page
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._rows import (
    describe_trace,
    find_words,
    head_of,
    label_blocks,
    list_strategies,
    name_label,
    show_label,
    trace_blocks,
)
from nt_pkg.report.records import Trace
from nt_pkg.report.wording import capitalise, show_plural

_MOST_VALUES = 40  # of a filter
_NONE = "no label"
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
            *((name, capitalise(name_label(name))) for name in filters),
        ),
        words,
    )


def _filters(traces: Sequence[Trace]) -> list[str]:
    """Return the labels whose values are few enough to choose from."""
    values: dict[str, set[str]] = {}
    fractions = set()
    for trace in traces:
        for name, value in trace.labels.items():
            if name not in _OWN and not isinstance(value, dict):
                values.setdefault(name, set()).update(_values(value))
            if isinstance(value, float):
                fractions.add(name)
    # A filter by a measured number is of use only if many traces share its values.
    most = {name: min(_MOST_VALUES, len(traces) // 4) for name in fractions}
    return sorted(n for n, found in values.items() if len(found) <= most.get(n, _MOST_VALUES))


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
        **{name: [_NONE] for name in filters if name in trace.unlabelled},
    }
    asked = [] if trace.question is None else [Block("Question", trace.question)]
    return Entry(
        head_of(trace.id, trace.question),
        describe_trace(trace),
        tags,
        [*asked, *trace_blocks(trace), *label_blocks(trace)],
    )


PART = Part(section="selectors", place=60, draw=show_traces)
