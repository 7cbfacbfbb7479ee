"""Numbers of single tables and figures that a page as a whole would not betray."""

from dataclasses import replace

import pytest
from scipy import stats

from nt_pkg.report.cells import find_unsolved
from nt_pkg.report.effects import measure_effects
from nt_pkg.report.parts._histograms import share_strategies
from nt_pkg.report.parts.effects_figure import draw_effects
from nt_pkg.report.parts.rows_lost_table import tabulate_lost
from nt_pkg.report.parts.training_table import tabulate_runs
from nt_pkg.report.records import Histogram, Histograms
from tests.unit.report_study import compare, make_material, make_run, score, side


def test_error_of_a_cell_is_over_seeds_where_there_are_some() -> None:
    scores = [score("a", "system2", 0, "think", accuracy=each) for each in (0.4, 0.5, 0.9)]

    (several,) = make_material(scores).cells
    (single,) = make_material(scores[:1]).cells

    assert several.standard_error == pytest.approx(stats.sem([0.4, 0.5, 0.9]))
    assert single.standard_error == scores[0].standard_error


@pytest.mark.parametrize(("accuracy", "is_solved"), [(0.44, False), (0.46, True)])
def test_two_errors_above_a_guess_is_solved(accuracy: float, is_solved: bool) -> None:
    """A guess of 25 % and an error of 10 points: 45 % it is."""
    found = score("a", "system2", 0, "think", accuracy=accuracy, standard_error=0.1)

    assert (not find_unsolved(make_material([found]).cells, {"micro_steps": 0.25})) == is_solved


def test_lost_answers_are_counted_over_all_repeats() -> None:
    found = tabulate_lost(make_material([score("a", "system2", 0, "think", repeats=4)]))

    assert found is not None
    counted = {row["reason"]: (row["num_lost"], row["num_rows"]) for row in found.rows}
    assert counted == {"cut at the token limit": (24, 1200), "no readable answer": (36, 1200)}


@pytest.mark.parametrize(("num_questions", "num_lines"), [(29, 2), (30, 3)])
def test_an_interval_is_drawn_if_there_is_one(num_questions: int, num_lines: int) -> None:
    """The line of zero and the mark are always there."""
    scores = [score(s, "system2", 0, "think", num_questions=num_questions) for s in "ab"]
    effects, _ = measure_effects([compare(side("a"), side("b"))], scores)

    chart = draw_effects(make_material(scores, effects=effects))

    assert chart is not None and len(chart.figure.axes[0].lines) == num_lines


def test_losses_are_averaged_over_seeds() -> None:
    losses = (0.3, 0.5, 0.7)
    runs = [replace(make_run("a", "system2", n, 9), final_loss=x) for n, x in enumerate(losses)]

    found = tabulate_runs(make_material([], runs=runs))

    assert found is not None
    assert found.rows[0]["final_loss"] == pytest.approx(0.5)
    assert found.rows[0]["final_loss_error"] == pytest.approx(stats.sem(losses))


def test_strategies_are_shares_of_labelled_rows() -> None:
    """40 of 50 rows have a length and so labels; without lengths all 50 count."""
    lengths = Histogram([0, 10, 20], [30, 10])

    assert share_strategies(Histograms(lengths, strategies={"x": 20}), 50) == {"x": 0.5}
    assert share_strategies(Histograms(strategies={"x": 20}), 50) == {"x": 0.4}
