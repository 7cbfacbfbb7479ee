"""Comparisons as sentences: what was found, and where nothing was."""

from collections.abc import Mapping, Sequence

from nt_pkg.report.records import Effect
from nt_pkg.report.wording import (
    PLUS_MINUS,
    capitalise,
    show_percent,
    show_points,
    show_ratio,
)

Labels = Mapping[str, str]  # benchmark -> what sentences call it


def say_claim(effect: Effect) -> str:
    """Return a claim with what was found: `Long traces beat random ones, by 23.6 points (+- 5.4)`.

    The size of a difference that is not as claimed has a sign.
    """
    claim = (effect.claim or "").rstrip(".")
    if effect.difference is None:
        return f"{claim}."
    if effect.tokens:
        error = effect.tokens_error
        known = "" if error is None else f" ({PLUS_MINUS} {error:.2f})"
        return f"{claim}: {show_ratio(effect.tokens_ratio)} the tokens{known}."
    if effect.verdict == "supported" and effect.within is None:
        return f"{claim}, by {_say_size(effect)}."
    return f"{claim}: {_say_small(effect)}."


def say_difference(effect: Effect, labels: Labels) -> str:
    """Return `Long traces scored 23.6 points (+- 5.4) more than random ones on hard questions`."""
    a, b = effect.sides
    if effect.difference is None:
        return f"{capitalise(a)} and {b} were not compared: {effect.note}."
    where = say_where(effect, labels)
    if show_points(effect.difference) == "0.0":
        return f"{capitalise(a)} scored as much as {b}{where}."
    more = "more" if effect.difference > 0 else "less"
    return f"{capitalise(a)} scored {_say_size(effect)} {more} than {b}{where}."


def say_no_difference(effects: Sequence[Effect], labels: Labels) -> str:
    """Return one sentence, without its capital, about comparisons in which nothing was seen."""
    pairs = [
        f"between {effect.sides[0]} and {effect.sides[1]}{say_where(effect, labels)} "
        f"({_say_small(effect)})"
        for effect in effects
    ]
    return f"no difference was seen {'; nor '.join(pairs)}."


def say_where(effect: Effect, labels: Labels) -> str:
    """Return ` on hard questions`, for the end of a sentence."""
    return (
        f" on {'the ' if _is_mean(effect.benchmark) else ''}{say_place(effect.benchmark, labels)}"
    )


def say_place(benchmark: str, labels: Labels) -> str:
    """Return `hard questions` or `mean of 2 benchmarks`."""
    return f"{benchmark} benchmarks" if _is_mean(benchmark) else labels.get(benchmark, benchmark)


def _is_mean(benchmark: str) -> bool:
    return benchmark.startswith("mean of ")


def _say_size(effect: Effect) -> str:
    error = effect.standard_error
    known = "" if error is None else f" ({PLUS_MINUS} {show_percent(error)})"
    return f"{abs(100 * (effect.difference or 0.0)):.1f} points{known}"


def _say_small(effect: Effect) -> str:
    error = effect.standard_error
    known = "" if error is None else f" {PLUS_MINUS} {show_percent(error)}"
    return f"{show_points(effect.difference)}{known} points"
