"""The figure of means of labels against the gains of students."""

from nt_pkg.report.canvas import INK, MARKERS, SERIES, Chart, label_below, make_panels
from nt_pkg.report.gains import Gain, Prediction
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.tables import Row
from nt_pkg.report.wording import DASH, sort_naturally

MAX_PANELS = 6


def draw_gains(material: Material) -> Chart | None:
    """Return a panel for each of the labels that vary most with the gain; a dot is a subset."""
    ranked = sorted(
        (each for each in material.predictions if each.correlation.r is not None),
        key=lambda each: (-abs(each.correlation.r or 0.0), each.label),
    )
    chosen = ranked[:MAX_PANELS]
    if not chosen:
        return None
    figure, panels = make_panels(len(chosen), sharey=True)
    rows: list[Row] = []
    names = sort_naturally(list({gain.subset for gain in material.gains}))
    for axes, prediction in zip(panels, chosen, strict=True):
        for gain in material.gains:
            if _belongs(gain, prediction):
                place = names.index(gain.subset)
                mean = gain.means[prediction.label]
                error = gain.standard_error
                axes.errorbar(
                    mean.mean,
                    100 * gain.gain,
                    xerr=mean.standard_error,
                    yerr=None if error is None else 100 * error,
                    fmt=MARKERS[(place + place // len(SERIES)) % len(MARKERS)],
                    color=SERIES[place % len(SERIES)],
                    elinewidth=0.8,
                    label=gain.subset,
                )
                rows.append(_row(gain, prediction))
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_title(_title(prediction, chosen))
        axes.set_xlabel("mean over the subset")
    panels[0].set_ylabel("gain over random, points")
    label_below(figure, panels)
    left = len(ranked) - len(chosen)
    more = (
        f" Of {len(ranked)} labels, students, formats and modes, those with the largest r: the "
        "largest of many is large by chance."
        if left
        else ""
    )
    return Chart(
        "gains",
        "Mean of a label over a subset, against its student\u2019s gain over a random subset of "
        f"its size. Bars are standard errors.{more}",
        f"Scatter plots of {len(chosen)} labels against gain. {_say(chosen)}",
        figure,
        rows,
    )


def _belongs(gain: Gain, prediction: Prediction) -> bool:
    return (gain.student, gain.format, gain.mode) == (
        prediction.student,
        prediction.format,
        prediction.mode,
    ) and prediction.label in gain.means


def _title(prediction: Prediction, chosen: list[Prediction]) -> str:
    settings = {(each.student, each.format, each.mode) for each in chosen}
    if len(settings) == 1:
        return prediction.label
    return f"{prediction.label}\n{prediction.student}, {prediction.format}, {prediction.mode}"


def _say(chosen: list[Prediction]) -> str:
    parts = []
    for each in chosen:
        low, high = each.correlation.interval or (0.0, 0.0)
        r = each.correlation.r
        shown = DASH if r is None else f"{r:.2f}"
        parts.append(f"{each.label}: r {shown}, interval {low:.2f} to {high:.2f}.")
    return " ".join(parts)


def _row(gain: Gain, prediction: Prediction) -> Row:
    mean = gain.means[prediction.label]
    return {
        "label": prediction.label,
        "student": gain.student,
        "format": gain.format,
        "mode": gain.mode,
        "subset": gain.subset,
        "mean": mean.mean,
        "mean_error": mean.standard_error,
        "gain": gain.gain,
        "standard_error": gain.standard_error,
    }


PART = Part(section="gains", place=10, draw=draw_gains)
