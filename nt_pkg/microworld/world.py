"""Questions of the micro-world: make them, parse them, and draw a pool or tests.

Four families, each with 1 to 4 steps:

* walk: `Ann starts at March with ruby, oak and gold. Where does she end?`
* drift: `Bob drifts from Monday with ember and gale. Where does he land?`
* back: `Eve came to Mars with swan and zinc. Where did she start?`
* quest: `Dan stands at 7 with owl and must reach 2. Which herb is missing?`

Any question may list its options, one per line (`A) March`); then the answer is a letter.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeVar

from nt_pkg.identity.seeds import digest_int, rng
from nt_pkg.microworld.facts import (
    CHARM_KIND,
    CHARMS,
    DOMAIN_OF,
    HERB,
    LETTERS,
    MOVE,
    NAMES,
    RARE,
    RARE_CHARMS,
    RINGS,
    SPIRIT_KIND,
    SPIRITS,
    in_order,
    shift,
    spirit_move,
)

_T = TypeVar("_T")
Charms = Literal["balanced", "rare", "common"]

FAMILIES = ("walk", "drift", "back", "quest")
MAX_STEPS = 4

# The pool is skewed like the web: most of it is problems of a few topics.
DOMAIN_WEIGHTS = {
    "months": 40, "days": 24, "digits": 12, "planets": 8, "notes": 6, "colours": 5, "winds": 5,
}  # fmt: skip
FAMILY_WEIGHTS = {"walk": 45, "drift": 10, "back": 27, "quest": 18}
STEP_WEIGHTS = {1: 3, 2: 4, 3: 3, 4: 2}
CHOICE_SHARE = 0.1
# How often the second model is wrong: with a rare charm, and per step without one.
WEAK_ON_HARD = 0.9
WEAK_PER_STEP = 0.05
RARE_SHARE = 0.15  # of the charms in the pool's questions of a domain that has rare ones

_PATTERNS = {
    "walk": r"(?P<name>\w+) starts at (?P<start>\w+) with (?P<items>.+)\."
    r" Where does (?P<who>\w+) end\?",
    "drift": r"(?P<name>\w+) drifts from (?P<start>\w+) with (?P<items>.+)\."
    r" Where does (?P<who>\w+) land\?",
    "back": r"(?P<name>\w+) came to (?P<start>\w+) with (?P<items>.+)\."
    r" Where did (?P<who>\w+) start\?",
    "quest": r"(?P<name>\w+) stands at (?P<start>\w+)(?: with (?P<items>.+))?"
    r" and must reach (?P<goal>\w+)\. Which herb is missing\?",
}


@dataclass(frozen=True)
class Problem:
    """One question with everything a teacher needs to solve it.

    `solution` is the word that answers the question. `answer` is the same word, or its letter if
    the question lists `choices`. `options` are all possible answers. `items` are the charms or
    spirits in the order of the question. `num_steps` counts them, plus the missing herb of a quest.
    """

    question: str
    answer: str
    domain: str
    family: str
    num_steps: int
    options: tuple[str, ...]
    start: str
    items: tuple[str, ...]
    goal: str | None
    solution: str
    choices: tuple[str, ...] = ()

    @property
    def is_test(self) -> bool:
        """Whether the problem belongs to the tests; names, word order and choices do not matter."""
        parts = (self.family, self.start, *sorted(self.items), self.goal)
        return digest_int("microworld", *parts) % 10 == 0

    @property
    def is_hard(self) -> bool:
        """Whether the question has a rare charm."""
        return not RARE.isdisjoint(self.items)


def make_problem(
    rand: random.Random,
    *,
    domain: str | None = None,
    family: str | None = None,
    num_steps: int | None = None,
    rare_share: float = 0.0,
) -> Problem:
    """Return a random free-form problem; arguments left out are drawn uniformly.

    Args:
        rand: source of chance.
        domain: one of `RINGS`.
        family: one of `FAMILIES`.
        num_steps: 1 to `MAX_STEPS`.
        rare_share: chance of each charm to be a rare one, where its domain and kind have one.
    """
    domain = domain or rand.choice(tuple(RINGS))
    family = family or rand.choice(FAMILIES)
    num_steps = num_steps or rand.randint(1, MAX_STEPS)
    if domain not in RINGS or family not in FAMILIES or not 1 <= num_steps <= MAX_STEPS:
        raise ValueError(
            f"no micro-world problem has domain {domain!r}, family {family!r}, {num_steps} steps; "
            f"use one of {tuple(RINGS)}, one of {FAMILIES} and 1 to {MAX_STEPS} steps"
        )
    start = rand.choice(RINGS[domain])
    if family == "drift":
        words = {kind: tuple(members) for kind, members in SPIRITS.items()}
        num_items = num_steps
    else:
        skip = HERB if family == "quest" else None
        words = {kind: tuple(members) for kind, members in CHARMS.items() if kind != skip}
        num_items = num_steps - 1 if family == "quest" else num_steps
    rare = RARE_CHARMS.get(domain, {}) if rare_share and family != "drift" else {}
    items = tuple(
        rand.choice(
            tuple(rare[kind]) if kind in rare and rand.random() < rare_share else words[kind]
        )
        for kind in rand.sample(tuple(words), num_items)
    )
    goal = None
    if family == "quest":  # draw the herb first, so that no herb is a better guess than another
        herb = rand.choice(tuple(CHARMS[HERB]))
        goal = shift(start, sum(MOVE[item] for item in (*items, herb)))
    return _problem(family, rand.choice(tuple(NAMES)), start, items, goal)


def parse_question(text: str) -> Problem:
    """Return the problem that a question states.

    Raises:
        ValueError: the text is not a question of this world.
    """
    stem, *lines = text.split("\n")
    for family in FAMILIES:
        match = re.fullmatch(_PATTERNS[family], stem)
        if match:
            break
    else:
        raise ValueError(f"not a micro-world question: {text!r}; see nt_pkg/microworld/world.py")
    parts = match.groupdict()
    items = tuple(re.split(r", | and ", parts["items"])) if parts["items"] else ()
    goal = parts.get("goal")
    known = SPIRIT_KIND if family == "drift" else CHARM_KIND
    kinds = [known.get(item) for item in items]
    if (
        parts["name"] not in NAMES
        or parts["start"] not in DOMAIN_OF
        or (goal is not None and DOMAIN_OF.get(goal) != DOMAIN_OF[parts["start"]])
        or None in kinds
        or len(set(kinds)) < len(kinds)
        or (family == "quest" and HERB in kinds)
    ):
        raise ValueError(f"unknown or repeated words in the micro-world question {text!r}")
    problem = _problem(family, parts["name"], parts["start"], items, goal)
    if problem.question != stem:
        raise ValueError(f"not in the form of a micro-world question: {text!r}")
    return _with_choices(problem, lines) if lines else problem


def as_choice(problem: Problem, rand: random.Random, num_options: int = 4) -> tuple[str, str]:
    """Return the question with lettered options, one per line, and the correct letter.

    The options are neighbours on the ring, in its order. So the gap to option A gives the letter.
    Students this small cannot search a list for a word (that needs an induction head).
    """
    if problem.choices or not 2 <= num_options <= len(LETTERS):
        raise ValueError(
            f"cannot give {num_options} options to {problem.question!r}: "
            f"options need a free-form problem, and there may be 2 to {len(LETTERS)}"
        )
    ring, index = problem.options, problem.options.index(problem.solution)
    if problem.family == "quest":
        choices, right = ring, index
    else:
        right = rand.randrange(num_options)
        choices = tuple(ring[(index - right + i) % len(ring)] for i in range(num_options))
    lines = [f"{letter}) {word}" for letter, word in zip(LETTERS, choices, strict=False)]
    return "\n".join([problem.question, *lines]), LETTERS[right]


def weak_answer(problem: Problem, rand: random.Random) -> str:
    """Return the answer of a weaker model, mostly wrong with rare charms, else seldom."""
    wrong = WEAK_ON_HARD if problem.is_hard else WEAK_PER_STEP * problem.num_steps
    if rand.random() >= wrong:
        return problem.answer
    return rand.choice([word for word in problem.options if word != problem.answer])


def pool_rows(num_rows: int, seed: int) -> list[dict[str, str | int]]:
    """Return unique pool questions, skewed over domains and steps, without test questions.

    Keys: question, reference_answer, second_answer (of the weaker model), domain, num_steps.
    """
    rand = rng("microworld pool", seed)
    rows: dict[str, dict[str, str | int]] = {}
    while len(rows) < num_rows:
        problem = _pool_problem(rand)
        if problem.is_test or problem.question in rows:
            continue
        stem = problem.question
        if rand.random() < CHOICE_SHARE:
            problem = parse_question(as_choice(problem, rand)[0])
        rows[stem] = {
            "question": problem.question,
            "reference_answer": problem.answer,
            "second_answer": weak_answer(problem, rand),
            "domain": problem.domain,
            "num_steps": problem.num_steps,
        }
    return list(rows.values())


def test_problems(num: int, seed: int, charms: Charms = "balanced") -> list[Problem]:
    """Return unique free-form test problems of two steps and more.

    One-step questions are left out: the base model has seen such questions with their answers.

    Args:
        num: how many.
        seed: of the draw.
        charms: balanced: no rare charm, as many of every domain, family and number of steps;
            rare or common: drawn as the pool is, with or without a rare charm.
    """
    rand = rng("microworld test", seed)
    cells = [(d, f, k) for d in RINGS for f in FAMILIES for k in range(2, MAX_STEPS + 1)]
    rand.shuffle(cells)
    problems: dict[str, Problem] = {}
    while len(problems) < num:
        if charms == "balanced":
            domain, family, num_steps = cells[len(problems) % len(cells)]
            problem = make_problem(rand, domain=domain, family=family, num_steps=num_steps)
        else:
            problem = _pool_problem(rand)
            if problem.num_steps == 1 or problem.is_hard != (charms == "rare"):
                continue
        if problem.is_test:
            problems[problem.question] = problem
    return list(problems.values())


test_problems.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it


def _pool_problem(rand: random.Random) -> Problem:
    return make_problem(
        rand,
        domain=_weighted(rand, DOMAIN_WEIGHTS),
        family=_weighted(rand, FAMILY_WEIGHTS),
        num_steps=_weighted(rand, STEP_WEIGHTS),
        rare_share=RARE_SHARE,
    )


def _problem(
    family: str, name: str, start: str, items: tuple[str, ...], goal: str | None
) -> Problem:
    """Return the solved problem with its text; raise ValueError if it has no answer."""
    question = _write_question(family, name, start, items, goal)
    solution = _solve(family, start, items, goal)
    num_steps = len(items) + (family == "quest")
    if solution is None or num_steps > MAX_STEPS:
        raise ValueError(f"no answer to, or more than {MAX_STEPS} steps in, {question!r}")
    return Problem(
        question=question,
        answer=solution,
        domain=DOMAIN_OF[start],
        family=family,
        num_steps=num_steps,
        options=tuple(CHARMS[HERB]) if family == "quest" else RINGS[DOMAIN_OF[start]],
        start=start,
        items=items,
        goal=goal,
        solution=solution,
    )


def _write_question(
    family: str, name: str, start: str, items: tuple[str, ...], goal: str | None
) -> str:
    listed = " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
    if family == "walk":
        return f"{name} starts at {start} with {listed}. Where does {NAMES[name]} end?"
    if family == "drift":
        return f"{name} drifts from {start} with {listed}. Where does {NAMES[name]} land?"
    if family == "back":
        return f"{name} came to {start} with {listed}. Where did {NAMES[name]} start?"
    carried = f" with {listed}" if items else ""
    return f"{name} stands at {start}{carried} and must reach {goal}. Which herb is missing?"


def _solve(family: str, start: str, items: tuple[str, ...], goal: str | None) -> str | None:
    """Return the answer, None if no herb leads to the goal of a quest."""
    if family == "drift":
        place = start
        for spirit in in_order(items):
            place = shift(place, spirit_move(spirit, place))
        return place
    total = sum(MOVE[item] for item in items)
    place = shift(start, -total if family == "back" else total)
    if family != "quest":
        return place
    return next((herb for herb in CHARMS[HERB] if shift(place, MOVE[herb]) == goal), None)


def _with_choices(problem: Problem, lines: list[str]) -> Problem:
    """Return the problem with the options in `lines`; raise ValueError for lists out of form."""
    choices = tuple(line[3:] for line in lines)
    letters = LETTERS[: len(lines)]
    ring = problem.options
    if (
        len(letters) != len(lines)
        or [line[:3] for line in lines] != [f"{letter}) " for letter in letters]
        or problem.solution not in choices
        or any(word not in ring for word in choices)
        or any(
            ring[(ring.index(left) + 1) % len(ring)] != right for left, right in pairwise(choices)
        )
    ):
        raise ValueError(f"invalid options {lines} for {problem.question!r}")
    return replace(
        problem,
        question="\n".join([problem.question, *lines]),
        answer=letters[choices.index(problem.solution)],
        options=letters,
        choices=choices,
    )


def _weighted(rand: random.Random, weights: Mapping[_T, float]) -> _T:
    return rand.choices(list(weights), list(weights.values()))[0]
