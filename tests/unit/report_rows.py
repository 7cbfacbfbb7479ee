"""Invented rows of a report's pages: overlaps, picks, a sample of the pool, solved questions."""

from collections.abc import Sequence
from typing import Any

from nt_pkg.identity.seeds import rng
from nt_pkg.report.records import (
    LabelMean,
    Overlap,
    Pick,
    PickedTrace,
    Solved,
    SolvedQuestion,
    Trace,
)

# What a text may hold that a page must show and never obey.
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    " &lt;b&gt; <!-- ${1+1} \u2028 \u202eevil\u202c \U0001f600"
)


def make_trace(number: int, **more: Any) -> Trace:
    """Return a trace; `more` are fields that it shall have."""
    draw = rng("trace", number)
    fields: dict[str, Any] = {
        "id": f"{number:032x}",
        "pool": "micro",
        "teacher": "procedural",
        "status": "ok" if number % 7 else "incomplete",
        "num_tokens": draw.randint(20, 90),
        "question": f"Ann starts at Mars with hawk {number}. Where does she end?",
        "reference_answer": "Saturn",
        "reasoning": "Goal: find the end. Take hawk: Mars +2 is Saturn. Check: Saturn -2 is Mars.",
        "answer": "Saturn",
        "labels": {
            "strategies": ["decompose", "verify"] if number % 2 else ["restate"],
            "domain": draw.choice(["planets", "months"]),
            "length": {"num_tokens": 30, "num_steps": 4},
            "verbosity": draw.randint(1, 5),
        },
        "subsets": ["long-512"] if number % 3 else [],
    }
    return Trace(**(fields | more))


def make_pool_sample() -> list[Trace]:
    """Return a sample of a pool, one row of it hostile."""
    hostile = {"question": HOSTILE, "reasoning": f"Goal: {HOSTILE}", "answer": HOSTILE}
    labels = {"strategies": ["restate"], "domain": HOSTILE, "verbosity": 3}
    return [make_trace(0, **hostile, labels=labels), *(make_trace(at) for at in range(1, 40))]


def make_pick(**more: Any) -> Pick:
    """Return what two subsets picked; `more` are fields that it shall have."""
    rows = [PickedTrace(trace=make_trace(at), rank=at, score=0.5 * at) for at in range(5)]
    fields: dict[str, Any] = {"a": "long-512", "b": "random-512", "seed": 0}
    counts = {"num_both": 40, "num_only_a": 472, "num_only_b": 472}
    return Pick(**(fields | counts | {"only_a": rows[:3], "only_b": rows[3:]} | more))


def make_overlaps(subsets: Sequence[str]) -> list[Overlap]:
    """Return an overlap of every two subsets."""
    return [
        Overlap(
            pool="micro",
            a=a,
            b=b,
            num_pairs=5,
            size_a=512,
            size_b=512,
            shared=float(rng("overlap", a, b).randint(0, 512)),
            expected=46.7,
        )
        for at, a in enumerate(subsets)
        for b in subsets[at:]
    ]


def make_solved(**more: Any) -> Solved:
    """Return who solved questions; `more` are fields that it shall have."""
    question = SolvedQuestion(
        id="q1",
        share_a=0.8,
        share_b=0.2,
        question=HOSTILE,
        gold="Saturn",
        answer_a="Saturn",
        answer_b=HOSTILE,
    )
    fields: dict[str, Any] = {
        "comparison": "long against random",
        "a": "long-512 / system2",
        "b": "random-512 / system2",
        "benchmark": "micro_steps",
        "counts": {"both": 100, "only A": 40, "only B": 30, "neither": 130},
        "questions": {"only A": [question]},
    }
    return Solved(**(fields | more))


def make_means(subset: str) -> dict[str, LabelMean]:
    """Return the means of two labels of a subset."""
    draw = rng("means", subset)
    return {
        "length.num_tokens": LabelMean(40 + 30 * draw.random(), 1.5, 512),
        "verbosity": LabelMean(1 + 4 * draw.random(), 0.05, 512),
    }
