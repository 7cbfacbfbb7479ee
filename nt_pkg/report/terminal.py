"""The effects of a report, for the terminal."""

from pathlib import Path

from nt_pkg.files.json_files import read_json
from nt_pkg.report.records import Effect, read_record


def headline(report: Path) -> str:
    """Return the effects of a report as a table for the terminal, and where the page is."""
    path = report / "summary.json"
    found = read_json(path)
    effects = [read_record(Effect, each, path) for each in found["effects"]]
    lines = []
    width = max(len(text) for text in ["verdict", *(each.verdict for each in effects)])
    if effects:
        lines = ["", f"{'difference':>10} {'s.e.':>7} {'seeds':>5}  {'verdict':{width}}  between"]
    for effect in effects:
        shown = _numbers(effect)
        lines.append(
            f"{shown[0]:>10} {shown[1]:>7} {effect.num_seeds:>5}  {effect.verdict:{width}}  "
            f"{effect.title}"
        )
    if "wall_seconds" in found:
        points = "(points of accuracy) " if effects else ""
        lines.append(
            f"{points}{found['wall_seconds']:.0f} s, peak {found['peak_mib']} MiB, "
            f"start-up {100 * found['startup_share']:.0f} % of the time"
        )
    return "\n".join([*lines, "", f"report: {(report / 'index.html').resolve()}", ""])


def _numbers(effect: Effect) -> tuple[str, str]:
    """Return difference and error; of a claim about lengths, whose verdict is of it, the ratio."""
    if effect.tokens:
        number, error = effect.tokens_ratio, effect.tokens_error
        form = "{:.2f}x"
    else:
        number, error = (
            None if each is None else 100 * each
            for each in (effect.difference, effect.standard_error)
        )
        form = "{:.1f}"
    sign = "" if effect.tokens or number is None or number < 0 else "+"
    return (
        "-" if number is None else sign + form.format(number),
        "-" if error is None else form.format(error),
    )
