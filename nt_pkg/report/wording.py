"""Numbers and names as shown to a reader: one form for the page, Markdown and the headline."""

import json
import re
from collections.abc import Mapping, Sequence

from nt_pkg.config.base import IMPORTED, UNTRAINED

DASH = "\u2013"
MINUS = "\u2212"
PLUS_MINUS = "\u00b1"

MODES = ("think", "adaptive", "no_think")


def show_percent(value: float | None) -> str:
    """Return a share in [0, 1] as per cent with one decimal, or a dash."""
    return DASH if value is None else f"{100 * value:.1f}"


def show_accuracy(value: float | None, error: float | None) -> str:
    """Return `63.2 +- 1.1` (per cent); the error is left out when there is none."""
    if value is None or error is None:
        return show_percent(value)
    return f"{show_percent(value)} {PLUS_MINUS} {show_percent(error)}"


def show_points(value: float | None) -> str:
    """Return a difference of shares as signed percentage points."""
    if value is None:
        return DASH
    text = f"{abs(100 * value):.1f}"
    if text == "0.0":
        return text
    return f"{'+' if value > 0 else MINUS}{text}"


def show_interval(interval: tuple[float, float] | None) -> str:
    """Return `+1.0 to +3.0` in percentage points, or a dash."""
    if interval is None:
        return DASH
    return f"{show_points(interval[0])} to {show_points(interval[1])}"


def show_p_value(value: float | None) -> str:
    """Return a p value with three decimals; a smaller one as `< 0.001`."""
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def show_count(value: float | None) -> str:
    """Return a count or a number of tokens with thousands separators."""
    return DASH if value is None else f"{value:,.0f}"


def show_ratio(value: float | None) -> str:
    """Return a ratio as `2.31x`."""
    return DASH if value is None else f"{value:.2f}\u00d7"


def show_ratio_interval(interval: tuple[float, float] | None) -> str:
    """Return `1.90 to 2.10x`, or a dash."""
    if interval is None:
        return DASH
    return f"{interval[0]:.2f} to {show_ratio(interval[1])}"


def show_seconds(value: float) -> str:
    """Return a duration in a readable unit."""
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def show_plural(count: int, noun: str, plural: str = "") -> str:
    """Return `1 seed`, `5 seeds`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def show_settings(settings: Mapping[str, object]) -> str:
    """Return `top_p 0.95, temperature 0.6`; unset values are left out."""
    return ", ".join(
        f"{key} {value if isinstance(value, str) else json.dumps(value)}"
        for key, value in sorted(settings.items())
        if value is not None
    )


def show_list(names: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def name_subset(subset: str) -> str:
    """Return the name of a subset; a student without one is untrained."""
    return "untrained" if subset == UNTRAINED else subset


def name_benchmark(benchmark: str, labels: Mapping[str, str]) -> str:
    """Return `micro_hard (hard questions)`; without the words, if a study gives none."""
    return f"{benchmark} ({labels[benchmark]})" if benchmark in labels else benchmark


def name_run(subset: str, form: str) -> str:
    """Return the name of a run: its subset and format."""
    return name_subset(subset) if subset in (UNTRAINED, IMPORTED) else f"{subset} / {form}"


def sort_naturally(names: Sequence[str]) -> list[str]:
    """Return names in natural order: `level 2` before `level 10`."""

    def split(name: str) -> list[tuple[bool, str]]:
        parts = re.split(r"(\d+)", name.replace(",", ""))
        return [
            (part.isdigit(), part.zfill(12) if part.isdigit() else part) for part in parts if part
        ]

    return sorted(names, key=split)


def sort_modes(modes: Sequence[str]) -> list[str]:
    """Return modes from the most to the least reasoning, unknown ones last."""
    return sorted(modes, key=lambda m: (MODES.index(m) if m in MODES else len(MODES), m))


def describe_filter(wanted: Mapping[str, str | list[str]]) -> str:
    """Return the values of a filter on scores, in its order."""
    return " / ".join(_describe(value) for value in wanted.values()) or "the study"


def describe_filters(a: Mapping[str, str | list[str]], b: Mapping[str, str | list[str]]) -> str:
    """Return what is subtracted from what, and in brackets what both sides share."""
    shared = [_describe(a[key]) for key in a if a[key] == b.get(key)]
    left = [_describe(a[key]) for key in a if a[key] != b.get(key)]
    right = [_describe(b[key]) for key in b if b[key] != a.get(key)]
    contrast = f"{' / '.join(left) or 'a'} {MINUS} {' / '.join(right) or 'b'}"
    return f"{contrast} ({', '.join(shared)})" if shared else contrast


def describe_sides(
    a: Mapping[str, str | list[str]], b: Mapping[str, str | list[str]]
) -> tuple[str, str]:
    """Return what one side has and the other has not, of both, such as `subset x, mode think`."""
    sides = []
    for own, other in ((a, b), (b, a)):
        parts = [f"{key} {_describe(own[key])}" for key in own if own[key] != other.get(key)]
        is_untrained = own.get("subset") == UNTRAINED
        named = "the untrained student" if is_untrained else ", ".join(parts)
        sides.append(named or "the others")
    return sides[0], sides[1]


def capitalise(text: str) -> str:
    """Return a text with its first letter large, and the others as they are."""
    return text[:1].upper() + text[1:]


def _describe(value: object) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)
