"""Text that the base model is trained on: single facts, look-ups, and short running commentary.

A text is a list of (piece, is_learned) pairs; only pieces that follow from the words before them
are learned. The corpus has no thinking tags, no control strings and no problem of the tests.
"""

import random

from nt_pkg.microworld.facts import (
    CHARM_KIND,
    DOMAIN_OF,
    GAPS,
    MAX_TOTAL,
    MOVE,
    SPIRIT_KIND,
    light,
    shift,
    signed,
    spirit_move,
)
from nt_pkg.microworld.teacher import Habits, write_trace
from nt_pkg.microworld.tokenizer import ASSISTANT, BEGIN, END, LENGTHS, USER
from nt_pkg.microworld.world import Problem, as_choice, make_problem, parse_question

Text = list[tuple[str, bool]]

_PLAIN = Habits(restate=0.0, verify_per_step=0.0, wait_per_step=0.0, slip=0.0)
_CHOICE_SHARE = 0.25
# Words without meaning in the world, so that the model learns to ignore such words.
_NOISE = (
    *("Think", "carefully", "before", "answering", "Use", "about", "words"),
    *("Answer", "directly", "without", "thinking", *LENGTHS),
)


def write_text(rand: random.Random, max_steps: int) -> Text:
    """Return one text of the base corpus; stories have at most `max_steps` steps."""
    form = rand.random()
    if form < 0.20:
        facts = [_fact(rand) for _ in range(rand.randint(5, 9))]
        return [(BEGIN, False), *[piece for fact in facts for piece in fact]]
    tells = form < 0.52
    problem = _problem(rand, rand.randint(1, max_steps if tells else 2))
    noise = " ".join(rand.choices(_NOISE, k=rand.randint(3, 10))) if rand.random() < 0.3 else ""
    asked: Text = [(problem.question, False), (noise, False)]
    if tells:
        reasoning, answer, _ = write_trace(problem, rand, _PLAIN)
        told = f"{reasoning}\n{answer}{END}"
        return [(BEGIN, False), *asked, ("\n", False), (told, True)]
    return [(BEGIN + USER, False), *asked, (ASSISTANT, False), (problem.answer + END, True)]


def _problem(rand: random.Random, num_steps: int) -> Problem:
    while (problem := make_problem(rand, num_steps=num_steps)).is_test:
        pass
    if rand.random() < _CHOICE_SHARE:
        return parse_question(as_choice(problem, rand)[0])
    return problem


def _fact(rand: random.Random) -> Text:
    """Return one law of the world in the form that traces use."""
    form = rand.random()
    place = rand.choice(tuple(DOMAIN_OF))
    if form < 0.20:
        move = rand.choice(GAPS)
        return [
            (f"Gap {place} to {shift(place, move)} is", False),
            (signed(move), True),
            (".", False),
        ]
    if form < 0.65:
        move = rand.choice((rand.randint(-3, 3), rand.randint(-MAX_TOTAL, MAX_TOTAL)))
        return [(f"{place} {signed(move)} is", False), (f"{shift(place, move)}.", True)]
    if form < 0.78:
        charm = rand.choice(tuple(CHARM_KIND))
        verb, sign = rand.choice((("Take", 1), ("Undo", -1)))
        move = sign * MOVE[charm]
        return [
            (f"{verb} {CHARM_KIND[charm]} {charm}:", False),
            (place, False),
            (f"{signed(move)} is {shift(place, move)}.", True),
        ]
    if form < 0.90:
        spirit = rand.choice(tuple(SPIRIT_KIND))
        shade, move = "light" if light(place) else "dark", spirit_move(spirit, place)
        return [
            (f"Case {SPIRIT_KIND[spirit]} {spirit}: {shade}", False),
            (place, False),
            (f"{signed(move)} is {shift(place, move)}.", True),
        ]
    total = rand.randint(-MAX_TOTAL, MAX_TOTAL)
    charm = rand.choice([c for c in MOVE if abs(total + MOVE[c]) <= MAX_TOTAL])
    return [
        (f"{signed(total)}, {CHARM_KIND[charm]} {charm}", False),
        (f"{signed(MOVE[charm])} is {signed(total + MOVE[charm])}", True),
        (".", False),
    ]
