"""Whether two answers agree: true or false (paper, section 3.2, Models Agree / Disagree).

The paper lets Llama-3.1-8B-Instruct judge the answers of DeepSeek-R1 and Llama-3.3-70B. This
annotator decides what needs no judge: equal text after normalisation, or equal numbers.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from pydantic import Field

from nt_pkg.annotators._base import Annotator, Example, Label
from nt_pkg.config import Strict
from nt_pkg.text import normalise_question


class AgreementParams(Strict):
    """What the teacher's answer is compared with."""

    against: Literal["second_answer", "reference_answer"] = Field(
        "second_answer", description="Column of the pool."
    )


def annotate_agreement(params: AgreementParams, examples: Sequence[Example]) -> list[Label]:
    """Return true where the answers agree; a row without the other answer fails."""
    labels = []
    for example in examples:
        other = getattr(example, params.against)
        if other is None or not other.strip():
            labels.append(Label(None, f"the row has no {params.against}"))
        else:
            labels.append(Label(answers_agree(example.answer, other)))
    return labels


def answers_agree(one: str, other: str) -> bool:
    """Return whether two answers are the same text or the same number."""
    if _plain(one) == _plain(other):
        return True
    numbers = _number(one), _number(other)
    return numbers[0] is not None and numbers[0] == numbers[1]


def _plain(text: str) -> str:
    return normalise_question(text).strip(" .$")


def _number(text: str) -> Fraction | None:
    try:
        return Fraction(_plain(text).replace(",", "").removesuffix("%"))
    except (ValueError, ZeroDivisionError):
        return None


ANNOTATOR = Annotator(params=AgreementParams, annotate=annotate_agreement)
