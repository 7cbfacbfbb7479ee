"""The parts of the page: how they are found, and what single tables and figures show."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nt_pkg.config.report import Comparison, Published
from nt_pkg.report.canvas import chart_style, make_panels, save_chart, start_at_zero
from nt_pkg.report.parts.difficulty_figure import draw_difficulty
from nt_pkg.report.parts.levels_table import tabulate_levels
from nt_pkg.report.parts.published_tables import tabulate_published
from nt_pkg.report.parts.readings_table import tabulate_readings
from nt_pkg.report.parts.scaling_figure import draw_scaling
from nt_pkg.report.parts.tokens_figure import draw_tokens
from nt_pkg.report.parts.trace_lengths_figure import draw_trace_lengths
from nt_pkg.report.parts.workflow_figure import reduce_edges
from nt_pkg.report.records import Histogram, Histograms, Pool, Reading
from nt_pkg.report.tables import Column, Table, render_html, render_markdown
from nt_pkg.report.wording import show_points, sort_naturally
from tests.unit.report_study import (
    SIZES,
    STUDENT,
    make_material,
    make_rules,
    make_study,
    make_subset,
    score,
    side,
)

ROOT = Path(__file__).parents[2]


def test_text_in_figures_is_text(tmp_path: Path) -> None:
    """A name that is no formula, or that no XML may hold, stands there as it is."""
    name = "$x_{1$ $\\no{1}$ \x1b[31m\x00 & <b>"
    bad = {name: Reading(0.5, num=60), "=1+1": Reading(0.1, num=60), "-2": Reading(0.1, num=60)}
    scores = [score(subset, "system2", 0, "think", by_category=bad) for subset in SIZES]
    material = make_material(scores, SIZES)

    with chart_style():
        chart = draw_difficulty(material)
        assert chart is not None
        save_chart(chart, tmp_path)

    read = "".join(ElementTree.parse(tmp_path / f"{chart.name}.svg").getroot().itertext())
    assert "$x_{1$ $\\no{1}$ \\x1b[31m\\x00 & <b>" in read
    cells = (tmp_path / f"{chart.name}.csv").read_text()
    assert "'=1+1" in cells and "'-2" not in cells


def test_published_numbers_stand_beside_ours() -> None:
    """Ours, its error and the difference in points; what was not run or not known is a dash."""
    scores = [score("random-512", "system2", 0, "think", level=0.5)]
    ours = side("random-512")
    row = Published(
        table="4", row="Random", tokens={"micro_steps": 5134}, note="other questions", filter=ours
    )
    known = row.model_copy(
        update={"accuracy": {"micro_steps": 48.0}, "marks": {"micro_steps": "A"}}
    )
    without = known.model_copy(update={"table": "5", "filter": {}})

    found, other = tabulate_published(
        make_material(scores, study=make_study(published=[known, row, without]))
    )

    accuracy, error = scores[0].accuracy, scores[0].standard_error
    first, second = found.rows
    assert first["difference"] == pytest.approx(accuracy - 0.48)
    assert first["standard_error"] == error
    assert second["paper"] is None and second["difference"] is None
    assert "| 48.0 | A |" in render_markdown(found) and "5,134" in render_markdown(found)
    assert [other.name, other.rows[0]["ours"]] == ["paper-5", None]
    with pytest.raises(ValueError, match="matches 2 runs"):
        wide = known.model_copy(update={"filter": {"student": STUDENT}})
        scores.append(score("x", "system2", 0, "think"))
        tabulate_published(make_material(scores, study=make_study(published=[wide])))


def test_other_readings_of_the_same_answers() -> None:
    """Macro averages and others' graders beside micro; one seed has the error over questions."""
    part = Reading(0.4, 0.1, num=10)
    extra = {
        "macro": {"category": Reading(0.45, 0.03, num_groups=5)},
        "alternatives": {"simple": Reading(0.3, 0.02, no_answer_rate=0.2)},
        "by_level": {
            "difficulty": {"easy": part, "hard": part},
            "many": {str(i): part for i in range(30)},
        },
        "by_category": {"x": part},
    }
    one = score("a", "system2", 0, "think", **extra, accuracy=0.5)
    two = score("a", "system2", 1, "think", **extra, accuracy=0.6)

    single = tabulate_readings(make_material([one]))
    several = tabulate_readings(make_material([one, two]))
    levels = tabulate_levels(make_material([one]))

    assert single is not None and several is not None and levels is not None
    assert [row["reading"] for row in single.rows] == [
        *("micro", "macro over 5 groups of category", "grader simple")
    ]
    assert [row["standard_error"] for row in single.rows][1:] == [0.03, 0.02]
    assert [row["difference"] for row in several.rows] == [None, *map(pytest.approx, (-0.1, -0.25))]
    assert several.rows[2]["no_answer"] == pytest.approx(0.2)
    assert [(row["level"], row["group"]) for row in levels.rows] == [
        *(("difficulty", "easy"), ("difficulty", "hard"))
    ]
    assert make_material([one]).cells[0].by_category["x"] == part


def test_published_points_stand_in_the_figure_of_sizes() -> None:
    """A published number of the same run is a second point at its size; others have none."""
    scaling = Comparison(name="s", kind="scaling", groups=[side(s) for s in SIZES])
    row = Published(table="1", row="r", accuracy={"micro_steps": 40.0}, filter=side("random-512"))
    study = make_study(comparisons=[scaling], published=[row])
    scores = [score(s, "system2", 0, "think") for s in SIZES]

    chart = draw_scaling(make_material(scores, SIZES, study=study))

    assert chart is not None
    assert [point["paper"] for point in chart.rows] == [None, pytest.approx(0.4), None]


def test_published_points_stand_in_the_figure_of_tokens() -> None:
    """A published accuracy with its tokens is a second point; one without tokens has no place."""
    names = ("system1", "system2", "mix")
    scores = [score("a", name, 0, "think", level=0.5) for name in names]
    row = Published(table="4", row="r", accuracy={"micro_steps": 40.0}, filter=side("a", "mix"))
    known = row.model_copy(
        update={"tokens": {"micro_steps": 300.0}, "filter": side("a", "system2")}
    )

    chart = draw_tokens(make_material(scores, study=make_study(published=[known, row])))

    assert chart is not None
    points = {each["format"]: (each["paper"], each["paper_tokens"]) for each in chart.rows}
    assert points == {"system1": (None, None), "system2": (0.4, 300.0), "mix": (0.4, None)}
    assert [line.get_markerfacecolor() for line in chart.figure.axes[0].lines].count("none") == 1
    assert chart.figure.axes[0].get_xlim()[1] > 300


def test_figure_of_lengths_leaves_out_panels_of_one_point() -> None:
    """Formats were tried on one benchmark only: the others have nothing to compare."""
    rows = [score("a", name, 0, "think", "x") for name in ("system1", "system2")]
    rows += [score("a", "system2", 0, "think", "y")]

    chart = draw_tokens(make_material(rows))

    assert chart is not None
    assert {point["benchmark"] for point in chart.rows} == {"x"}


def test_arrows_that_follow_from_others_are_left_out() -> None:
    """Who reads the labels has read the pool by way of them."""
    assert reduce_edges(make_rules()) == [
        ("ingest_pool", "annotate"),
        ("annotate", "select_subset"),
    ]


def test_lengths_of_traces_are_read_off_histograms() -> None:
    """100 traces, evenly spread from 0 to 200: the quantiles are known; draws are added up."""
    half, other = (Histograms(Histogram([0, 100, 200], counts)) for counts in ([50, 0], [0, 50]))
    pool = Pool(pool="p", num_rows_in=50, num_kept=50, histograms=half)
    unlabelled = replace(pool, pool="none", histograms=Histograms())
    subsets = [make_subset("a", size=50, histograms=each) for each in (half, other)]

    chart = draw_trace_lengths(make_material([], subsets=subsets, pools=[pool, unlabelled]))

    assert chart is not None
    assert [row["name"] for row in chart.rows] == ["p", "a"]
    assert [chart.rows[1][q] for q in ("0.05", "0.5", "0.95")] == pytest.approx([10, 100, 190])


def test_small_pieces() -> None:
    """Numbers, natural order, and cells that would break Markdown or HTML."""
    table = Table(
        "t", "Caption", (Column("a", "A"), Column("b", "B", "number", group="G")), ({"a": "x|<y"},)
    )

    assert show_points(-0.0123) == "\u22121.2" and show_points(0.00001) == "0.0"
    assert sort_naturally(["level 10", "level 2"]) == ["level 2", "level 10"]
    grouped = replace(table, heading=lambda row: ("One & all", "supported"))
    assert 'scope="rowgroup" colspan="2"><div>One &amp; all <span' in render_html(grouped)
    assert "| **One & all** supported |  |" in render_markdown(grouped)
    assert "x\\|<y" in render_markdown(table)
    assert "x|&lt;y" in render_html(table) and 'scope="colgroup"' in render_html(table)


def test_a_shared_axis_shows_the_highest_panel() -> None:
    _, panels = make_panels(2, sharey=True)
    panels[0].plot([0, 1], [10.0, 20.0])
    panels[1].plot([0, 1], [10.0, 80.0])
    start_at_zero(panels)

    for axes in panels:
        low, high = axes.get_ylim()
        assert low <= 0 and high >= 80
