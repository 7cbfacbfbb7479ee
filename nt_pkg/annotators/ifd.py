"""Instruction-Following Difficulty: how little the question helps a student with the trace.

Li et al. 2024, "From Quantity to Quality: Boosting LLM Performance with Self-Guided Data Selection
for Instruction Tuning" (arXiv 2308.12032): the mean negative log-likelihood of the response given
the question, over that without it. Near 0 the question gives the response away; 1 and more means
that it does not help. Its authors read the response alone; here the prompt is the same but for the
text of the question, so that the ratio is about nothing else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from nt_pkg.annotators._base import Example, Label, StudentAnnotator, StudentParams
from nt_pkg.annotators._student import Scored, StudentReader, rounded


def start_ifd(params: StudentParams, folder: Path) -> Callable[[Sequence[Example]], list[Label]]:
    """Return what labels some traces at a time; the student reads each twice."""
    reader = StudentReader(folder)

    def label(examples: Sequence[Example]) -> list[Label]:
        asked = reader.read(params, examples)
        alone = reader.read(params, examples, shows_question=False)
        return [_ratio(*both) for both in zip(asked, alone, strict=True)]

    return label


def _ratio(asked: Scored | Label, alone: Scored | Label) -> Label:
    if isinstance(asked, Label):
        return asked
    if isinstance(alone, Label):
        return alone
    without = float(alone.nlls.mean())
    if without <= 0:
        return Label(None, "the student is sure of the trace without its question")
    return Label(rounded(float(asked.nlls.mean()) / without))


ANNOTATOR = StudentAnnotator(params=StudentParams, start=start_ifd)
