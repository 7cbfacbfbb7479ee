"""Checks of a report's comparisons and published rows against the study, before any job starts."""

from collections.abc import Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import get_args

from nt_pkg.config.base import IMPORTED, UNTRAINED, Mode, did_you_mean
from nt_pkg.config.filters import FILTER_FIELDS, Filter, expand_comparison, match_scores
from nt_pkg.config.report import Comparison
from nt_pkg.config.study import Study


def check_report(study: Study) -> None:
    """Check that every filter of the report names what exists, and tells scores apart.

    A filter may name what is in the catalogue and not in the plan: the report says that there are
    no data.

    Raises:
        ValueError: one does not; the message has its place and the nearest name.
    """
    known = _known_names(study)
    planned = [SimpleNamespace(**names) for names in study.scores()]
    seen: dict[str, int] = {}
    for position, each in enumerate(study.report.comparisons):
        where = f"report.comparisons[{position}]"
        if each.name in seen:
            raise ValueError(
                f"{where}.name: {each.name!r} is the name of comparisons[{seen[each.name]}] too; "
                "choose another"
            )
        seen[each.name] = position
        for place, wanted in _filters(each):
            _check_names(f"{where} ({each.name}).{place}", wanted, known)
        try:
            sides = expand_comparison(each)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        for wanted in (*sides, *each.groups):
            match_scores(planned, wanted, each.name)
    for position, row in enumerate(study.report.published):
        where = f"report.published[{position}] (table {row.table}, {row.row})"
        published = {str(field): value for field, value in row.filter.items()}
        _check_names(f"{where}.filter", published, known)
        _check_names(where, {"benchmark": [*row.accuracy, *row.tokens]}, known)
        if published:
            match_scores(planned, published, where)


def _filters(comparison: Comparison) -> Iterator[tuple[str, Filter]]:
    yield "a", comparison.a
    yield "b", comparison.b
    for position, group in enumerate(comparison.groups):
        yield f"groups[{position}]", group


def _known_names(study: Study) -> dict[str, set[str]]:
    return {
        "student": {*study.students, *(each.name for each in study.answers)},
        "subset": {*study.subsets, UNTRAINED, IMPORTED},
        "format": {*study.formats, UNTRAINED},
        "mode": set(get_args(Mode)),
        "benchmark": set(study.benchmarks),
    }


def _check_names(where: str, wanted: Filter, known: Mapping[str, set[str]]) -> None:
    for field, value in wanted.items():
        if field not in FILTER_FIELDS:
            raise ValueError(f"{where}: unknown field {field!r}{_nearest(field, FILTER_FIELDS)}")
        for name in value if isinstance(value, list) else [value]:
            if name not in known[field]:
                raise ValueError(
                    f"{where}.{field}: unknown name {name!r}{_nearest(str(name), known[field])}"
                )


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    more = ", ..." if len(names) > 20 else ""
    return did_you_mean(name, names) or f"; there are {', '.join(names[:20]) or 'none'}{more}"
