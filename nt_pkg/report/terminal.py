"""The effects of a report, for the terminal."""

from pathlib import Path

from nt_pkg.files.json_files import read_json


def headline(report: Path) -> str:
    """Return the effects of a report as a table for the terminal, and where the page is."""
    found = read_json(report / "summary.json")
    lines = ["", f"{'effect':32} {'difference':>10} {'s.e.':>7} {'seeds':>5}  verdict"]
    for effect in found["effects"]:
        numbers = [effect["difference"], effect["standard_error"]]
        shown = [f"{100 * n:+.1f}" if n is not None else "-" for n in numbers]
        if effect.get("tokens"):  # a claim about lengths, whose verdict is of their ratio
            numbers = [effect["tokens_ratio"], effect["tokens_error"]]
            shown = [f"{n:.2f}x" if n is not None else "-" for n in numbers]
        lines.append(
            f"{effect['name']:32} {shown[0]:>10} {shown[1].lstrip('+'):>7} {effect['num_seeds']:>5}"
            f"  {effect['verdict']}"
        )
    if "wall_seconds" in found:
        lines.append(
            f"(points of accuracy) {found['wall_seconds']:.0f} s, peak {found['peak_mib']} MiB, "
            f"start-up {100 * found['startup_share']:.0f} % of the time"
        )
    return "\n".join([*lines, "", f"report: {(report / 'index.html').resolve()}", ""])
