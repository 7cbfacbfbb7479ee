r"""Questions of mathematics with short answers, from any table: AIME, an exam, a test of your own.

Asked for in a box, and graded, as MATH-500 is. Example row, with the default names of columns:

    {"question": "How many positive divisors does 196 have?", "answer": 9}
"""

from pathlib import Path

from nt_pkg.benchmarks._base import BenchmarkKind, Item, take_items
from nt_pkg.benchmarks._table import TableParams, question_rows, text_of
from nt_pkg.benchmarks.math500 import grade, prompt


class Params(TableParams):
    """Parameters of a table of mathematics."""


def load(params: Params, source: Path | None) -> list[Item]:
    """Return the questions of all files.

    Raises:
        ValueError: there is no file, or a row is invalid. No error contains text of a row.
    """
    rows = question_rows(params, (), source)
    items = [Item(gold=text_of(row, params.answer, place), **names) for row, names, place in rows]
    return take_items(items, params.num_questions)


BENCHMARK = BenchmarkKind(params=Params, load=load, prompt=prompt, grade=grade)
