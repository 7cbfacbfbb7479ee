"""One of several answers to a question: which of them a selector may pick."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nt_pkg.config.study import OnePerQuestion
from nt_pkg.identity.question_id import question_digits
from nt_pkg.identity.seeds import digest_ints
from nt_pkg.selectors._base import Candidates
from nt_pkg.selectors._values import label_name, names, numbers
from nt_pkg.subsets.select import candidates_of

NOT_CHOSEN = "not chosen for its question"
NONE_RIGHT = "to a question without a right answer"
_LAST, _NEVER = np.finfo(float).max, np.inf


def choose_answers(
    choice: OnePerQuestion, seed: int, traces: pa.Table, annotations: Mapping[str, pa.Table]
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the traces with another status where they were not chosen, and counts of the choice.

    It is among the complete traces that have every label, so that no question is lost because the
    chosen answer has none. Traces that cannot be selected anyway keep their status.

    Counts are `answers` and their `questions`; `chosen`, of these `drawn` between equals; and for
    rules by right answers `without_right` (questions), and `questions_by_right`: how many questions
    have how many right answers.

    Args:
        choice: the rule, and the label that it goes by.
        seed: seed of the draws, which depend on no other row.
        traces: id and status of every trace of the pool, in any order; for shortest_right also
            completion_tokens.
        annotations: id, status and value (JSON) of every annotator that the subset requires.

    Raises:
        ValueError: the label is of another kind than the rule goes by.
    """
    found = candidates_of(traces, annotations)
    if not len(found):
        return traces, {"answers": 0, "questions": 0, "chosen": 0, "drawn": 0}
    ids = found.ids.to_pylist()
    questions = np.unique([question_digits(each) for each in ids], return_inverse=True)[1]
    right = _right(choice, found) if "right" in choice.rule else None
    worth = _worth(choice, found, questions, right, traces)
    order = np.lexsort((digest_ints(ids, "one per question", seed), worth, questions))
    first = order[np.flatnonzero(np.diff(questions[order], prepend=-1))]
    is_chosen = np.zeros(len(ids), bool)
    is_chosen[first[worth[first] < _NEVER]] = True
    best = worth == worth[first][questions]
    equals = np.bincount(questions[best & (worth < _NEVER)], minlength=len(first))
    counts: dict[str, Any] = {
        "answers": len(ids),
        "questions": len(first),
        "chosen": int(is_chosen.sum()),
        "drawn": int((equals > 1).sum()),
    }
    status = np.where(worth[first][questions] < _NEVER, NOT_CHOSEN, NONE_RIGHT)
    if right is not None:
        num_right = np.bincount(questions[right], minlength=len(first))
        by_right = Counter(num_right.tolist())
        counts["without_right"] = by_right[0]
        counts["questions_by_right"] = {str(n): by_right[n] for n in sorted(by_right)}
    left = ~is_chosen
    return _with_status(traces, found.ids.filter(pa.array(left)), status[left]), counts


def _right(choice: OnePerQuestion, found: Candidates) -> np.ndarray:
    """Return whether each answer is right by its label, shape (n,)."""
    assert choice.label is not None
    values = numbers(found, choice.label, choice.field)
    if not np.isin(values[~np.isnan(values)], (0, 1)).all():
        name = label_name(choice.label, choice.field)
        raise ValueError(
            f"one_per_question: label {name} is neither true nor false everywhere, so it does not "
            "say which answers are right; name another label, or use rule lowest"
        )
    is_right: np.ndarray = values == 1
    return is_right


def _worth(
    choice: OnePerQuestion,
    found: Candidates,
    questions: np.ndarray,
    right: np.ndarray | None,
    traces: pa.Table,
) -> np.ndarray:
    """Return a number per answer; that with the lowest of a question is chosen, shape (n,)."""
    if right is not None:
        other = _NEVER if choice.without_right == "drop" else _LAST
        lengths = np.zeros(len(found))
        if choice.rule == "shortest_right":
            at = pc.index_in(found.ids, traces["id"].combine_chunks())
            lengths = traces["completion_tokens"].combine_chunks().take(at).to_numpy().astype(float)
        return np.where(right, lengths, other)
    if choice.rule == "random":
        return np.zeros(len(found))
    assert choice.label is not None
    if choice.rule == "lowest":
        values = numbers(found, choice.label, choice.field)
        return np.where(np.isnan(values), _LAST, values)
    codes, kinds = names(found, choice.label, choice.field)
    pairs = questions * (len(kinds) + 1) + codes
    votes = np.unique(pairs, return_inverse=True, return_counts=True)
    return np.where(codes < 0, 0.0, -votes[2][votes[1]].astype(float))


def _with_status(traces: pa.Table, ids: pa.Array, status: np.ndarray) -> pa.Table:
    """Return traces with the status of some replaced."""
    at = pc.index_in(traces["id"].combine_chunks(), ids)
    known = traces["status"].combine_chunks()
    new = pc.coalesce(pa.array(status.tolist(), known.type).take(at), known)
    return traces.set_column(traces.schema.get_field_index("status"), "status", new)
