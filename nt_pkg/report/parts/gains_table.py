"""The table of how well the mean of a label predicts the gain of a subset's student."""

from typing import Any

from nt_pkg.report.gains import Prediction
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.parts._columns import format_column, student_columns
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import DASH, MINUS, show_p_value, show_percent, show_points
from nt_pkg.statistics.correlation import MIN_POINTS


def tabulate_gains(material: Material) -> list[Table] | None:
    """Return the correlations, and the points that they are of."""
    if not material.predictions:
        return None
    students = [each.student for each in material.predictions]
    rows = tuple(_row(each) for each in material.predictions)
    fewest = min(row["num"] for row in rows)
    few = (
        f" With {fewest} points, an interval is wide: only a very strong relation would show."
        if fewest < 10
        else ""
    )
    caption = (
        "Mean of a label over a subset, against its student\u2019s gain over random at equal size. "
        "Points are selectors with their parameters. r is Pearson\u2019s, with Fisher\u2019s 95 % "
        "interval, which takes points as independent and normal and is not corrected for the "
        "number of labels; p is corrected for it (Holm). Noise: mean squared error of the gains as "
        f"a share of their variance; near 100 % they differ by chance only.{few}"
    )
    columns = (
        Column("label", "Label"),
        *student_columns(students),
        format_column(),
        Column("mode", "Mode"),
        Column("num", "Points", "number"),
        Column("num_subsets", "Subsets", "number"),
        Column("r", "r", "number", lambda row: _signed(row["r"])),
        Column("interval", "95 % interval", "number", _show_interval),
        Column("rank", "Rank correlation", "number", lambda row: _signed(row["rank"])),
        Column("p_value", "p, corrected", "number", lambda row: show_p_value(row["p_value"])),
        Column("noise", "Noise, %", "number", lambda row: show_percent(row["noise"])),
    )
    return [Table("gain_predictions", caption, columns, rows), _tabulate_points(material)]


def _tabulate_points(material: Material) -> Table:
    rows = tuple(
        {
            "subset": gain.subset,
            "against": gain.against,
            "size": gain.size,
            "student": gain.student,
            "format": gain.format,
            "mode": gain.mode,
            "num_seeds": gain.num_seeds,
            "gain": gain.gain,
            "standard_error": gain.standard_error,
            "basis": gain.basis,
            "label": label,
            "mean": mean.mean,
            "mean_error": mean.standard_error,
        }
        for gain in material.gains
        for label, mean in gain.means.items()
    )
    columns = (
        Column("subset", "Subset"),
        Column("against", "Over"),
        *student_columns([gain.student for gain in material.gains]),
        format_column(),
        Column("mode", "Mode"),
        Column("num_seeds", "Seeds", "number"),
        Column("gain", "Gain, points", "number", _show_gain),
        Column("label", "Label"),
        Column("mean", "Mean", "number", _show_mean),
    )
    caption = (
        "Every subset with a random one of its size: the gain of its student, with its standard "
        "error over trainings and questions (over questions only, where each side was trained "
        "once), and the mean of each label, with its standard error over rows."
    )
    return Table("gains", caption, columns, rows, fold="The points: gains and means of labels")


def _row(each: Prediction) -> dict[str, Any]:
    found = each.correlation
    low, high = found.interval or (None, None)
    return {
        "label": each.label,
        "student": each.student,
        "format": each.format,
        "mode": each.mode,
        "num": found.num,
        "num_subsets": each.num_subsets,
        "r": found.r,
        "low": low,
        "high": high,
        "rank": found.rank,
        "p_value": each.p_value,
        "noise": each.noise,
    }


def _signed(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{abs(value):.2f}" if value >= 0 else f"{MINUS}{abs(value):.2f}"


def _show_interval(row: Row) -> str:
    if row["low"] is None:
        return "too few points" if row["num"] < MIN_POINTS else DASH
    return f"{_signed(row['low'])} to {_signed(row['high'])}"


def _show_gain(row: Row) -> str:
    error = row["standard_error"]
    return show_points(row["gain"]) + ("" if error is None else f" \u00b1 {show_percent(error)}")


def _show_mean(row: Row) -> str:
    error = row["mean_error"]
    return f"{row['mean']:.4g}" + ("" if error is None else f" \u00b1 {error:.2g}")


PART = Part(section="gains", place=20, draw=tabulate_gains)
