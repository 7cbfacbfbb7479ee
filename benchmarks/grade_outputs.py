"""Synthetic outputs of students for the grading benchmark: made by a seed, in realistic forms.

Every output has a form, which says how its answer is written, so that differences between graders
can be counted by form. Reasoning is filler of about 3,000 words that names letters, numbers and
formulas, as real reasoning does; no model wrote it.
"""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nt_pkg.benchmarks._choice import OPTION_LETTERS

SEED = 0
NUM_SUPERGPQA, REPEATS = 26_529, 16
SHARE_RIGHT = 0.45
_TEXT = r"""so the we have then since a of is that which gives energy field rate value x y n
option case first second check let consider therefore but wait maybe because model answer would be
wrong A B C D I think it (A) (B) 12 3.5 $x^2$ $\frac{1}{2}$ $n=7$ sum root of both sides"""
# Form -> text with {L}, the letter; and how often it is taken, from what models usually write.
CHOICE_FORMS = {
    "last line": ("Step by step it follows.\n\nAnswer: {L}", 50),
    "last line, bold": ("It follows from the above.\n\n**Answer: {L}**", 14),
    "the answer is (X)": ("Hence the third law holds. The answer is ({L}).", 12),
    "box": ("Therefore the final result is\n\n$$\\boxed{{{L}}}$$", 10),
    "box with text": ("Final answer: $\\boxed{{\\text{{{L}}}}}$", 4),
    "reason behind a comma": ("The correct answer is {L}, since the charge is kept.", 3),
    "option named": ("So the answer is option {L}", 2),
    "small letter": ("Answer: {l}", 1),
    "two statements": ("At first, Answer: {M}\n\nOn a second look that fails.\n\nAnswer: {L}", 1),
    "word, no letter": ("The answer is a matter of taste, I would say.", 1),
    "nothing": ("Neither option convinces; more data are needed.", 1),
    "never closed": ("", 1),
}
# Form -> text with {A}, the gold answer or another problem's.
MATH_FORMS = {
    "box": ("Adding up gives the result.\n\n$$\\boxed{{{A}}}$$", 52),
    "box in a sentence": ("So the final answer is $\\boxed{{{A}}}$.", 20),
    "box, other spelling": ("Thus $\\boxed{{{B}}}$", 10),
    "dollars": ("Therefore the answer is ${A}$.", 6),
    "ANSWER line": ("It follows.\n\nANSWER: ${A}$", 5),
    "two boxes": ("First $\\boxed{{0}}$ looked right, but in the end $\\boxed{{{A}}}$.", 2),
    "units behind": ("The result is $\\boxed{{{A}}}$ \\text{{ cm}}.", 2),
    "nothing": ("I could not find a closed form.", 1),
    "hostile": ("$\\boxed{{9^{{9^{{9^{{9}}}}}}}}$", 0.02),
    "never closed": ("", 2),
}


class Outputs:
    """Draws outputs; the same seed gives the same ones."""

    def __init__(self, seed: int = SEED) -> None:
        """Prepare paragraphs to draw reasoning from."""
        self._draw = random.Random(seed)
        self._paragraphs = [self._paragraph() for _ in range(500)]

    def _paragraph(self) -> str:
        words = self._draw.choices(_TEXT.split(), k=self._draw.randint(40, 100))
        return " ".join(words).capitalize() + "."

    def output(self, answer: str, form: str) -> str:
        """Return a whole output: reasoning of some 1,000 to 5,000 words, and the answer."""
        parts = self._draw.choices(self._paragraphs, k=self._draw.randint(15, 72))
        if form == "never closed":
            return "<think> " + "\n\n".join(parts)
        shown = " ".join(self._draw.choices(self._paragraphs, k=2))
        return "<think> " + "\n\n".join(parts) + f" </think>\n\n{shown}\n\n{answer}"

    def choice(self, gold: str, num_options: int) -> tuple[str, str]:
        """Return (form, output) of a multiple-choice item."""
        form = self._form(CHOICE_FORMS)
        letters = OPTION_LETTERS[:num_options]
        letter = gold if self._draw.random() < SHARE_RIGHT else self._draw.choice(letters)
        other = self._draw.choice(letters.replace(letter, ""))
        text = CHOICE_FORMS[form][0].format(L=letter, l=letter.lower(), M=other)
        return form, self.output(text, form)

    def math(self, gold: str, others: list[str]) -> tuple[str, str]:
        """Return (form, output) of a mathematical item."""
        form = self._form(MATH_FORMS)
        answer = gold if self._draw.random() < SHARE_RIGHT + 0.3 else self._draw.choice(others)
        text = MATH_FORMS[form][0].format(A=answer, B=_respelled(answer))
        return form, self.output(text, form)

    def _form(self, forms: Mapping[str, tuple[str, float]]) -> str:
        weights = [weight for _, weight in forms.values()]
        return self._draw.choices(list(forms), weights)[0]

    def items(self, number: int) -> Iterator[dict[str, Any]]:
        """Yield rows in the shape of SuperGPQA with ten options, or a few less."""
        for n in range(number):
            num_options = self._draw.choice([10] * 9 + [8, 6, 4])
            gold = self._draw.choice(OPTION_LETTERS[:num_options])
            options = [f"{n % 97}.{k} units" for k in range(num_options)]
            yield {
                "uuid": f"{n:032x}",
                "question": f"Which value belongs to case {n}?",
                "options": options,
                "answer": options[OPTION_LETTERS.index(gold)],
                "answer_letter": gold,
                "discipline": f"Discipline {n % 13}",
                "field": f"Field {n % 72}",
                "subfield": f"Subfield {n % 285}",
                "difficulty": ("easy", "middle", "hard")[n % 3],
                "is_calculation": False,
            }


def _respelled(answer: str) -> str:
    """Return another spelling of the same mathematics, as models use them."""
    text = answer.replace("\\frac", "\\dfrac").replace(",", ", ")
    return text.replace("\\left(", "(").replace("\\right)", ")").replace("+", " + ")


def sample(question: str, repeat: int, text: str) -> dict[str, Any]:
    """Return a row of the samples artifact; every four characters are a token."""
    is_cut = "</think>" not in text
    return {
        "question_id": question,
        "repeat": repeat,
        "text": text,
        "completion_tokens": len(text) // 4,
        "finish_reason": "length" if is_cut else "stop",
        "status": "ok",
        "error": None,
    }


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows, one a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
