"""Length of a trace: {"num_tokens": 812, "num_steps": 31}.

Tokens are those the teacher's engine counted. How the paper counts steps is not stated; here a
step is a sentence or line of the reasoning that holds a letter or digit, which needs no model:

    a sentence ends at . ! ? with a blank behind it, closing quotes and brackets in between, or at
    their Chinese forms; so "3.14" and "v1.2" do not end one, and "e.g. this" does
    a number or bullet at the start of a line belongs to what follows it: "1. Take a." is one step
    every line of a formula, a table or code is a step
"""

import re
from collections.abc import Sequence

from nt_pkg.annotators._base import Example, Label, TraceAnnotator
from nt_pkg.config.base import NoParams

_STEP_END = re.compile(r"""[.!?]["')\]\u201d\u2019]*\s+|[\u3002\uff01\uff1f]|\n+""")
_LIST_MARK = re.compile(r"^[ \t]*(?:\(?\d{1,3}[.)]|[-*+\u2022])[ \t]+(?=\S)", re.MULTILINE)


def annotate_length(params: NoParams, examples: Sequence[Example]) -> list[Label]:
    """Return tokens of the response and steps of its reasoning."""
    return [
        Label({"num_tokens": example.num_tokens, "num_steps": count_steps(example.reasoning)})
        for example in examples
    ]


def count_steps(reasoning: str) -> int:
    """Return the number of sentences or lines of a reasoning that hold a letter or digit."""
    pieces = _STEP_END.split(_LIST_MARK.sub("", reasoning))
    return sum(any(char.isalnum() for char in piece) for piece in pieces)


ANNOTATOR = TraceAnnotator(params=NoParams, annotate=annotate_length)
