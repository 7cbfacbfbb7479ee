"""Text that the base model is trained on: single facts, look-ups, and short running commentary.

A text is a list of (piece, is_learned) pairs; only pieces that follow from the words before them
are learned. The corpus has no thinking tags, no control strings and no problem of the tests.
"""

import random
from dataclasses import replace

from nt_pkg.microworld.facts import (
    CHARM_KIND,
    DOMAIN_OF,
    GAPS,
    MAX_TOTAL,
    MOVE,
    RARE,
    RARE_CHARMS,
    SPIRIT_KIND,
    light,
    shift,
    signed,
    spirit_move,
)
from nt_pkg.microworld.teacher import Habits, write_trace
from nt_pkg.microworld.tokenizer import ASSISTANT, BEGIN, END, LENGTHS, THINK_TAGS, USER
from nt_pkg.microworld.world import Problem, as_choice, make_problem, parse_question

THINK_OPEN, THINK_CLOSE = THINK_TAGS
Text = list[tuple[str, bool]]

_SURE = Habits(
    combine=0.2, restate=0.2, verify_per_step=0.15, wait_per_step=0.0, slip=0.0, misread=0.0
)
_NO_SUM = replace(_SURE, combine=0.0)
_CHOICE_SHARE = 0.1
_CHARMS = tuple(charm for charm in MOVE if charm not in RARE)  # the base is told of no other
# Words without meaning in the world, so that the model learns to ignore such words.
_NOISE = (
    *("Think", "carefully", "before", "answering", "Use", "about", "words"),
    *("Answer", "directly", "without", "thinking", *LENGTHS),
)


def write_text(rand: random.Random, max_steps: int) -> Text:
    """Return one text of the base corpus; stories have at most `max_steps` steps."""
    form = rand.random()
    if form < 0.17:
        facts = [_fact(rand) for _ in range(rand.randint(5, 9))]
        return [(BEGIN, False), *[piece for fact in facts for piece in fact]]
    noise = " ".join(rand.choices(_NOISE, k=rand.randint(3, 10))) if rand.random() < 0.5 else ""
    if form < 0.62:
        problem = _problem(rand, rand.randint(1, max_steps))
        reasoning, answer, _ = write_trace(problem, rand, _SURE)
        said = f"{THINK_OPEN} {reasoning} {THINK_CLOSE} {answer}{END}"
    elif form < 0.72:
        problem = _hard_problem(rand, max_steps)
        said = f"{THINK_OPEN} {_up_to_rare(write_trace(problem, rand, _NO_SUM)[0])}"
    else:
        problem = _problem(rand, rand.randint(1, 2))
        said = problem.answer + END
    asked = f"{problem.question} {noise}"
    return [(BEGIN + USER, False), (asked, False), (ASSISTANT, False), (said, True)]


def _hard_problem(rand: random.Random, max_steps: int) -> Problem:
    while True:
        domain, num_steps = rand.choice(tuple(RARE_CHARMS)), rand.randint(1, max_steps)
        problem = make_problem(rand, domain=domain, num_steps=num_steps, rare_share=0.5)
        if problem.is_hard and not problem.is_test:
            return problem


def _up_to_rare(reasoning: str) -> str:
    """Return a trace up to the place where its first rare charm is applied, not its move."""
    words = reasoning.split()
    at = next(at for at, word in enumerate(words) if word.rstrip(":") in RARE)
    return " ".join(words[: at + 2])


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
        charm = rand.choice(_CHARMS)
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
    charm = rand.choice([c for c in _CHARMS if abs(total + MOVE[c]) <= MAX_TOTAL])
    return [
        (f"{signed(total)}, {CHARM_KIND[charm]} {charm}", False),
        (f"{signed(MOVE[charm])} is {signed(total + MOVE[charm])}", True),
        (".", False),
    ]
