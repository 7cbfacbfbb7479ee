"""Distillation formats, inference modes and control strings (paper, sections 3.3 and 4).

The instruction is appended to the question, in training and at inference alike.
"""

from dataclasses import dataclass
from typing import Literal

from nt_pkg.identity.seeds import digest_int

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_INSTRUCTIONS = {  # literal strings of the paper
    "think": "Think carefully before answering. Use about {words} words",
    "no_think": "Answer directly without thinking",
    "adaptive": "Think carefully before answering.",
}


@dataclass(frozen=True)
class Prompt:
    """A student's input: the user's turn, and a text that its answer is forced to begin with."""

    user: str
    forced_prefix: str


def prompt_in_mode(question: str, mode: str, think_words: int) -> Prompt:
    """Return the prompt of one inference mode; only `think` forces the answer to begin a trace."""
    instruction = _INSTRUCTIONS[mode].format(words=think_words)
    return Prompt(f"{question} {instruction}", THINK_OPEN if mode == "think" else "")


def target_kind(kind: str, p: float | None, seed: int, row_id: str, disagree: bool | None) -> str:
    """Return "system2" or "system1" for one example of a format.

    Args:
        kind: format kind of the catalogue.
        p: share of System-2 in a random mix.
        seed: seed of the run; a random mix draws each example independently from it.
        row_id: id of the example.
        disagree: whether teacher and second model disagree; None if it is unknown.

    Raises:
        ValueError: the agreement of a row in a difficulty mix is unknown.
    """
    if kind in ("system2", "system1"):
        return kind
    if kind == "random_mix":
        assert p is not None
        return "system2" if digest_int("mix", seed, row_id) < p * 2**64 else "system1"
    assert kind == "difficulty_mix", kind
    if disagree is None:
        raise ValueError(f"row {row_id} has no agreement label: a difficulty mix cannot place it")
    return "system2" if disagree else "system1"


def training_pair(
    question: str,
    reasoning: str,
    answer: str,
    target: str,
    think_words: int | Literal["per_trace"],
) -> tuple[str, str]:
    """Return (user turn, assistant turn) of one example.

    A System-2 target is the whole trace, a System-1 target only the final answer. Each has the
    instruction that asks for it at inference. The paper does not say which K it trained with: the
    constant used at inference, or the number of words of each trace, here to two digits.
    """
    if target == "system2":
        words = think_words if isinstance(think_words, int) else _num_words(reasoning)
        user = prompt_in_mode(question, "think", words).user
        return user, f"{THINK_OPEN} {reasoning} {THINK_CLOSE} {answer}"
    return prompt_in_mode(question, "no_think", 0).user, answer


def _num_words(text: str) -> int:
    """Return the number of words of a text to two digits, a number that a student can follow."""
    return max(1, int(float(f"{len(text.split()):.2g}")))
