"""How surprising a trace is to a student, in nats per token: the loss before it is trained on it.

{"reasoning": 1.31, "answer": 0.22, "trace": 1.24} is the mean negative log-likelihood of the
tokens of the reasoning given the question, of the answer given both, and of all of them, which is
the loss of training. The tags belong to the reasoning, and the end of the turn to the answer.
"""

from nt_pkg.annotators._base import Label, StudentAnnotator, StudentParams
from nt_pkg.annotators._student import Scored, mean, start_reading


def label_surprisal(params: StudentParams, scored: Scored) -> Label:
    """Return the three means."""
    cut = scored.num_reasoning
    return Label(
        {
            "reasoning": mean(scored.nlls[:cut]),
            "answer": mean(scored.nlls[cut:]),
            "trace": mean(scored.nlls),
        }
    )


ANNOTATOR = StudentAnnotator(params=StudentParams, start=start_reading(label_surprisal))
