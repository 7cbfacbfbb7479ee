"""The procedural teacher of the micro-world: correct traces in varied strategies, some with a slip.

A trace consists of short sentences, and the first word of each shows its strategy:

* decompose: `Take gem ruby: March +2 is May.`
* combine: `Sum gem ruby +2, tree oak -1 is +1. March +1 is April.`
* cases: `Case fire ember: light March +1 is April.`
* reverse: `Undo gem ruby: May -2 is March.`
* gap: `Gap March to May is +2.`, which gives the missing herb or the option
* restate: `Goal: find the end.`
* verify: `Check: May -2 is March.`
* backtrack: a wrong sentence, then `Wait, no.` and the corrected sentence

It ends with `So May.`, followed by `Option C.` if the question lists options.
"""

import random
from dataclasses import dataclass, field

from nt_pkg.microworld.facts import (
    CHARMS,
    DOMAIN_OF,
    HERB,
    MAX_TOTAL,
    MOVE,
    RARE,
    RINGS,
    gap,
    in_order,
    kind_of,
    light,
    shift,
    signed,
    spirit_move,
)
from nt_pkg.microworld.world import Problem


@dataclass(frozen=True)
class Habits:
    """How often the teacher uses optional strategies, and how often it makes a mistake.

    A slip is one wrong sentence. Who misreads a question takes every charm of `MISTAKEN` in it for
    its other, so that such errors teach the same wrong move again and again.
    """

    combine: float
    restate: float
    verify_per_step: float
    wait_per_step: float
    slip: float
    misread: float


ROUTINE = Habits(
    combine=0.2, restate=0.2, verify_per_step=0.08, wait_per_step=0.01, slip=0.03, misread=0.3
)
# With a rare charm the teacher is careful, and errs more often all the same. So hard questions have
# long traces in several strategies; but some long traces are just of many steps.
CAREFUL = Habits(
    combine=0.0, restate=0.6, verify_per_step=0.75, wait_per_step=0.01, slip=0.09, misread=0.0
)
MISTAKEN = {"ruby": "opal", "owl": "crow"}  # charm -> the one that it is taken for


def write_trace(
    problem: Problem, rand: random.Random, habits: Habits | None = None
) -> tuple[str, str, tuple[str, ...]]:
    """Return the reasoning, the teacher's answer, and the strategies used, sorted by name."""
    routine, careful = (habits, habits) if habits else (ROUTINE, CAREFUL)
    habits = careful if problem.is_hard else routine
    draft = _Draft(problem, rand, habits)
    if rand.random() < habits.restate:
        aim = {"back": "start", "quest": "herb"}.get(problem.family, "end")
        draft.say(f"Goal: find the {aim}.", "restate")
    items = in_order(problem.items)
    if problem.family in ("walk", "quest") and _sums_are_small(draft.moves, items):
        combines = rand.random() < habits.combine
    else:
        combines = False
    if combines:
        draft.combine(items)
    else:
        for item in items:
            draft.step(item)
            verifies = (careful if item in RARE else routine).verify_per_step
            # A check would have revealed the slip.
            if rand.random() < verifies and not draft.slipped:
                draft.check()
    word = draft.find_herb() if problem.family == "quest" else draft.place
    return _conclude(draft, word)


@dataclass
class _Draft:
    """An unfinished trace; `place` is the current place of the walker."""

    problem: Problem
    rand: random.Random
    habits: Habits
    lines: list[str] = field(default_factory=list)
    strategies: set[str] = field(default_factory=set)
    moves: dict[str, int] = field(default_factory=dict)  # as the teacher reads the charms
    place: str = ""
    last: tuple[str, int, str] = ("", 0, "")
    slip_at: int = -1
    num_moves: int = 0
    slipped: bool = False

    def __post_init__(self) -> None:
        self.place = self.problem.start
        misread = MISTAKEN if self.rand.random() < self.habits.misread else {}
        self.moves = MOVE | {charm: MOVE[other] for charm, other in misread.items()}
        if self.rand.random() < self.habits.slip:
            self.slip_at = self.rand.randrange(self.problem.num_steps)

    def say(self, line: str, strategy: str) -> None:
        self.lines.append(line)
        self.strategies.add(strategy)

    def step(self, item: str) -> None:
        """Write the sentence for one charm or spirit, depending on the family."""
        family = self.problem.family
        if family == "drift":
            shade = "light" if light(self.place) else "dark"
            lead, strategy = f"Case {kind_of(item)} {item}: {shade} ", "cases"
            move = spirit_move(item, self.place)
        elif family == "back":
            lead, strategy, move = f"Undo {kind_of(item)} {item}: ", "reverse", -self.moves[item]
        else:
            lead, strategy, move = f"Take {kind_of(item)} {item}: ", "decompose", self.moves[item]
        self.place = self.move(lead, move, strategy)

    def combine(self, items: list[str]) -> None:
        """Write all moves as one sum and apply it once."""
        first, *others = items
        parts = [f"Sum {kind_of(first)} {first} {signed(self.moves[first])}"]
        total = self.moves[first]
        for item in others:
            total += self.moves[item]
            parts.append(f"{kind_of(item)} {item} {signed(self.moves[item])} is {signed(total)}")
        self.say(", ".join(parts) + ".", "combine")
        self.place = self.move("", total, "combine")

    def find_herb(self) -> str:
        """Write the remaining gap to the goal and return its herb, a wrong one after a slip."""
        assert self.problem.goal is not None
        herb_of = {move: herb for herb, move in CHARMS[HERB].items()}
        left = gap(self.place, self.problem.goal)
        if left not in herb_of:
            left = self.rand.choice(sorted(herb_of))
        self.say(f"Gap {self.place} to {self.problem.goal} is {signed(left)}.", "gap")
        return herb_of[left]

    def move(self, lead: str, move: int, strategy: str) -> str:
        """Write where a move leads from `place`, sometimes wrongly at first, and return the end."""
        start, end = self.place, shift(self.place, move)
        wrong = self.rand.choice([place for place in RINGS[DOMAIN_OF[end]] if place != end])
        if self.rand.random() < self.habits.wait_per_step:
            self.say(f"{lead}{start} {signed(move)} is {wrong}.", strategy)
            self.say("Wait, no.", "backtrack")
        if self.num_moves == self.slip_at:
            end, self.slipped = wrong, True
        self.num_moves += 1
        self.last = (start, move, end)
        self.say(f"{lead}{start} {signed(move)} is {end}.", strategy)
        return end

    def check(self) -> None:
        """Write the last move in reverse."""
        start, move, end = self.last
        self.say(f"Check: {end} {signed(-move)} is {start}.", "verify")


def _conclude(draft: _Draft, word: str) -> tuple[str, str, tuple[str, ...]]:
    problem = draft.problem
    if draft.slip_at >= 0 and not draft.slipped:  # the slip is in the conclusion
        others = problem.choices or problem.options
        word = draft.rand.choice([other for other in others if other != problem.solution])
    if problem.choices and word not in problem.choices:
        word = draft.rand.choice(problem.choices)
    draft.lines.append(f"So {word}.")
    answer = word
    if problem.choices:
        index = problem.choices.index(word)
        answer = problem.options[index]
        if problem.family != "quest":  # herbs are always listed in the same order
            draft.say(f"Gap {problem.choices[0]} to {word} is {signed(index)}.", "gap")
        draft.lines.append(f"Option {answer}.")
    return " ".join(draft.lines), answer, tuple(sorted(draft.strategies))


def _sums_are_small(moves: dict[str, int], items: list[str]) -> bool:
    """Return whether there are several moves and no partial sum exceeds `MAX_TOTAL`."""
    total, small = 0, len(items) > 1
    for item in items:
        total += moves[item]
        small = small and abs(total) <= MAX_TOTAL
    return small
