"""Easy to verify: questions with a short reference answer (a proxy of the paper).

How short is not stated in the paper. Three words leave numbers, names, formulas and choices, which
can be compared as text, and leave out sentences. Rows without a reference answer have no label.
"""

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.selectors._base import Candidates, Picks, Selector
from nt_pkg.selectors._values import within


class EasyToVerifyParams(Strict):
    """The limit of a short answer."""

    max_words: int = Field(3, ge=1, description="Maximum of words of the reference answer (ours).")


def select_easy_to_verify(
    params: EasyToVerifyParams, candidates: Candidates, size: int, seed: int
) -> Picks:
    """Return a uniform sample of the questions with a short reference answer."""
    words = candidates.label("reference_words")
    condition = f"a reference answer of at most {params.max_words} words"
    return within(candidates, words, (0, params.max_words), size, seed, condition)


SELECTOR = Selector(
    params=EasyToVerifyParams, requires=("reference_words",), select=select_easy_to_verify
)
