"""Who solved which question: counts of every comparison, and a page of questions."""

from nt_pkg.report.browser import Block, Entry, Page
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Drawn, Part
from nt_pkg.report.parts._rows import HIDDEN, head_of, shown
from nt_pkg.report.records import Solved, SolvedQuestion
from nt_pkg.report.solved import BOTH, NEITHER, ONLY_A, ONLY_B
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import show_percent, show_plural


def show_solved(material: Material) -> list[Drawn] | None:
    """Return counts of the questions that both, one or neither side solved, and some of each."""
    if not material.solved:
        return None
    titles = {effect.name: effect.title for effect in material.effects}
    rows = tuple(_row(each) for each in material.solved)
    outcomes = ((BOTH, "Both"), (ONLY_A, "Only A"), (ONLY_B, "Only B"), (NEITHER, "Neither"))
    columns = (
        Column(
            "comparison",
            "Comparison",
            show=lambda r: titles.get(str(r["comparison"]), str(r["comparison"])),
            detail=lambda r: f"A: {r['a']}; B: {r['b']}",
        ),
        Column("benchmark", "Benchmark"),
        *(Column(key, label, "number") for key, label in outcomes),
    )
    caption = "Questions that the student of one side solved, of both, or of neither."
    table = Table("solved", caption, columns, rows, fold="Questions solved by both, one or neither")
    entries = [
        _entry(each, titles.get(each.comparison, each.comparison), outcome, question)
        for each in material.solved
        for outcome, questions in each.questions.items()
        for question in questions
    ]
    if not entries:
        return [table]
    page = Page(
        "solved",
        "Who solved which question",
        f"{show_plural(len(entries), 'question')}, drawn at random from those that one side solved "
        "and the other did not, with a few of the others; answers are one of several.",
        entries,
        (("comparison", "Comparison"), ("benchmark", "Benchmark"), ("outcome", "Solved by")),
    )
    return [table, page]


def _row(each: Solved) -> Row:
    names = {"comparison": each.comparison, "a": each.a, "b": each.b, "benchmark": each.benchmark}
    return {**names, **each.counts}


def _entry(solved: Solved, title: str, outcome: str, question: SolvedQuestion) -> Entry:
    tags = {
        "comparison": [title],
        "benchmark": [solved.benchmark],
        "outcome": [outcome],
    }
    blocks = [Block("Question", shown(question.question))]
    if question.question is None:
        blocks = [Block("Texts", HIDDEN)]
    elif question.gold is not None:
        blocks.append(Block("Right answer", question.gold))
    for side, letter, name, share, answer in (
        (0, "A", solved.a, question.share_a, question.answer_a),
        (1, "B", solved.b, question.share_b, question.answer_b),
    ):
        blocks.append(Block(letter, f"{name}: {show_percent(share)} % right", side))
        if answer is not None:
            blocks.append(Block(f"An answer of {letter}", answer, side))
    return Entry(head_of(question.id, question.question), question.id, tags, blocks)


PART = Part(section="questions", place=10, draw=show_solved)
