"""Grades of many answers, kept as they are made: a hostile one takes its grader seconds."""

from collections.abc import Sequence

from nt_pkg.benchmarks._base import Grade, Item
from nt_pkg.evaluation.sample_and_grade import Grader, GradeWith
from nt_pkg.jobs.in_pieces import in_pieces
from nt_pkg.jobs.journal import Journal


def keeping(journal: Journal) -> GradeWith:
    """Return what grades answers with a grader and goes on with what a journal has."""

    def grade_with(name: str, grade: Grader, answers: Sequence[tuple[Item, str]]) -> list[Grade]:
        found = in_pieces(
            name,
            answers,
            lambda some: [[each.is_correct, each.extracted] for each in grade(some)],
            journal,
        )
        return [Grade(*each) for each in found]

    return grade_with
