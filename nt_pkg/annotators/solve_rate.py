"""The share of a student's own answers to a question that are right: 0 to 1.

The student answers `answers` times, each with a seed of its own, in the mode in which it thinks; an
answer is what follows its reasoning, and one without an end to it is wrong. It is right if rules
find it equal to the reference answer: the same text, the same number, or the same expression
(annotator `agreement`). Only references that rules can grade count: numbers, expressions without
words, and texts of few words. Other questions have no label, with that reason. Answers are the
costly part, so a share of the questions can be asked.
"""

from collections.abc import Sequence

from pydantic import Field

from nt_pkg.annotators._base import AnswersAnnotator, AnswersParams, Label, Question
from nt_pkg.annotators.agreement import decide, is_comparable
from nt_pkg.dialogue.formats import THINK_OPEN, prompt_in_mode
from nt_pkg.dialogue.split_reasoning import split_reasoning
from nt_pkg.engines._base import Completion, Request
from nt_pkg.identity.seeds import digest_int


class SolveRateParams(AnswersParams):
    """How the student is asked, and which references are graded."""

    max_words: int = Field(
        3, ge=1, description="Most words of a reference answer that is compared as text (ours)."
    )
    share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the questions that it is asked, drawn by their ids; the others have "
        "no label.",
    )
    seed: int = Field(0, ge=0, description="Seed of its answers, and of that draw.")


def ask_question(params: SolveRateParams, question: Question) -> list[Request] | Label:
    """Return a request for each answer, or why answers to this question cannot be graded."""
    reference = (question.reference_answer or "").strip()
    if not reference:
        return Label(None, "the row has no reference_answer")
    num_words = len(reference.split())
    if num_words > params.max_words and not is_comparable(reference):
        return Label(None, f"a reference answer of {num_words} words: no rule can grade answers")
    if digest_int("solve_rate share", params.seed, question.id) >= params.share * 2**64:
        return Label(None, "not among the share of the questions that are asked")
    prompt = prompt_in_mode(question.question, "think", params.think_words)
    return [
        Request(
            f"{question.id}#{number}",
            prompt.user,
            prompt.forced_prefix,
            digest_int("solve_rate", params.seed, question.id, number) % 2**53,
        )
        for number in range(params.answers)
    ]


def grade_answers(
    params: SolveRateParams,
    questions: Sequence[Question],
    completions: Sequence[list[Completion]],
) -> list[Label]:
    """Return the share of right answers to each question, or why an answer is missing."""
    answers = [[_answer(each) for each in of_question] for of_question in completions]
    pairs = [
        (answer, question.reference_answer or "")
        for question, given in zip(questions, answers, strict=True)
        for answer in given
        if answer
    ]
    verdicts = decide(pairs)
    return [
        _share(question, of_question, given, verdicts)
        for question, of_question, given in zip(questions, completions, answers, strict=True)
    ]


def _answer(completion: Completion) -> str:
    return split_reasoning(completion.text, THINK_OPEN).answer


def _share(
    question: Question,
    completions: list[Completion],
    answers: list[str],
    verdicts: dict[tuple[str, str], bool | None],
) -> Label:
    missing = next((each.error for each in completions if each.error is not None), None)
    if missing is not None:
        return Label(None, missing)
    reference = question.reference_answer or ""
    right = sum(verdicts.get((answer, reference)) is True for answer in answers)
    return Label(right / len(answers))


ANNOTATOR = AnswersAnnotator(params=SolveRateParams, ask=ask_question, grade=grade_answers)
