"""Are the report's verdicts right as often as they say? Studies with known truth, simulated.

    python -m benchmarks.statistics_errors            # also: make bench-statistics
    python -m benchmarks.statistics_errors --quick    # few studies

Studies are those of `benchmarks.statistics_worlds`, and the code that judges them is the report's.
In the first table no recipe is better than another: `false verdict` is the share of studies in
which at least one of the nine claims is supported or opposed, and `coverage` the share in which the
95 % interval of a pair holds the true difference. Trainings vary by tau, or three times as much in
the two recipes of a claim (one of them the common one of six claims, or neither), or in all others.
With one seed nothing tells how trainings vary: the claims are judged only where the study states
tau, and the interval is that of two models. The last table is the power to see a difference of two
points. Each figure has its Monte-Carlo error. The last line is one JSON object.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.statistics_worlds import CLAIMS, NUM_RECIPES, Drawn, World, draw_study
from nt_pkg.identity.seeds import generator
from nt_pkg.statistics.families import Part, correct_claims
from nt_pkg.statistics.recipes import Test, compare_recipes
from nt_pkg.statistics.verdicts import ALPHA
from tests.workflow.sandbox import table

_SEEDS = (1, 2, 3, 5)
_TAUS = (0.0, 0.5, 1.0, 1.5)
_TIMES = 3.0
_EFFECT = 2.0
_QUESTION_SDS = (0.05, 0.06, 0.10, 0.15)
_NULL = "all alike"
# The pair of recipes that varies otherwise than the rest, by name.
_PAIRS = {"common": (1, 0), "neither": (7, 8)}


@dataclass(frozen=True)
class Case:
    """A world, the pair whose interval is looked at, and how often it is drawn."""

    name: str
    world: World
    pair: tuple[int, int]
    num_studies: int


@dataclass(frozen=True)
class Found:
    """Shares of studies; coverage of recipes, or of two models if there is one seed."""

    false: float
    coverage: float


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few studies")
    args = parser.parse_args()
    begun = time.perf_counter()
    number = 40 if args.quick else 1500
    cases = list(make_cases(number))
    if args.quick:
        cases = cases[::6]
    with ProcessPoolExecutor(min(len(cases), len(os.sched_getaffinity(0)))) as pool:
        found = []
        for case, each in zip(cases, pool.map(measure, cases), strict=True):
            found.append(each)
            print(f"{len(found)} of {len(cases)}: {case.name}", file=sys.stderr)
        powers = list(pool.map(measure_power, [(sd, number // 4) for sd in _QUESTION_SDS]))
    print(_show_errors(cases, found))
    print(_show_power(powers, number // 4))
    result = {
        "false_verdict_rate": round(max(each.false for each in found), 4),
        "coverage_min": round(min(each.coverage for each in found), 4),
        "coverage_max": round(max(each.coverage for each in found), 4),
        "power_plus2_3seeds": round(powers[_QUESTION_SDS.index(0.06)][3, 9], 4),
        "studies": number,
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(result))
    return 0


def make_cases(number: int) -> list[Case]:
    """Return the grid."""
    found = []
    for seeds in _SEEDS:
        for tau in _TAUS:
            alike = (tau,) * NUM_RECIPES
            pair = _PAIRS["common"]
            found.append(Case(_NULL, World(seeds, alike), pair, number))
            shared = World(seeds, alike, shares_questions=True)
            found.append(Case("all alike, shared questions", shared, pair, number))
            for name, pair in _PAIRS.items() if tau else ():
                more = tuple(_TIMES * tau if at in pair else tau for at in range(NUM_RECIPES))
                less = tuple(tau if at in pair else _TIMES * tau for at in range(NUM_RECIPES))
                found.append(Case(f"pair x 3 ({name})", World(seeds, more), pair, number))
                found.append(Case(f"others x 3 ({name})", World(seeds, less), pair, number))
    return found


def measure(case: Case) -> Found:
    """Return what comes of a case."""
    draw = generator("statistics", case.name, case.world.num_seeds, case.world.tau)
    tau = case.world.tau[0] if len(set(case.world.tau)) == 1 else None
    false = covered = 0
    for _ in range(case.num_studies):
        drawn = draw_study(case.world, draw)
        tests = {pair: _test(drawn, pair, tau) for pair in CLAIMS}
        parts = [
            [Part(test.p_value, test.mean > 0)]
            for found in tests.values()
            for test in found
            if test.basis == "recipes"
        ]
        judged = [p for part in correct_claims(parts) for p in part]
        false += any(p is not None and p < ALPHA for p in judged)
        covered += _is_covered(tests[case.pair], drawn, case.pair)
    return Found(false / case.num_studies, covered / case.num_studies)


def measure_power(asked: tuple[float, int]) -> dict[tuple[int, int], float]:
    """Return the share of differences of two points that are found, by seeds and family."""
    question_sd, number = asked
    found = {}
    for seeds in _SEEDS[1:]:
        world = World(seeds, (0.5,) * NUM_RECIPES, question_sd)
        draw = generator("power", seeds, question_sd)
        p_values = [
            test.error.p_two_sided(test.mean + _EFFECT)
            for drawn in (draw_study(world, draw) for _ in range(number))
            for pair in CLAIMS
            for test in _test(drawn, pair, None)
        ]
        for family in (1, len(CLAIMS)):
            seen = sum(p < ALPHA / family for p in p_values)
            found[seeds, family] = seen / len(p_values)
    return found


def _test(drawn: Drawn, pair: tuple[int, int], tau: float | None) -> list[Test]:
    others = [each for at, each in enumerate(drawn.recipes) if at not in pair]
    # In points, the standard deviation of the mean of four benchmarks of which half is common.
    stated = None if tau is None else tau * math.sqrt(0.5 + 0.5 / 4)
    return compare_recipes([drawn.recipes[at] for at in pair], [others], stated)


def _is_covered(tests: Sequence[Test], drawn: Drawn, pair: tuple[int, int]) -> bool:
    last = tests[-1]
    is_models = last.basis == "models"
    truth = float(drawn.trainings[pair[0]] - drawn.trainings[pair[1]]) if is_models else 0.0
    low, high = last.interval()
    return low <= truth <= high


def _show_errors(cases: Sequence[Case], found: Sequence[Found]) -> str:
    rows = []
    for case, each in zip(cases, found, strict=True):
        rows.append(
            [
                str(case.world.num_seeds),
                f"{min(case.world.tau):g}",
                case.name,
                _show(each.false, case.num_studies),
                _show(each.coverage, case.num_studies),
            ]
        )
    return table(["seeds", "tau", "trainings", "false verdict, %", "coverage, %"], rows)


def _show_power(powers: Sequence[dict[tuple[int, int], float]], number: int) -> str:
    head = ["s.d. of a question", "family", *(f"{seeds} seeds" for seeds in _SEEDS[1:])]
    rows = [
        [f"{sd:.2f}", str(family), *(_show(found[seeds, family], number) for seeds in _SEEDS[1:])]
        for sd, found in zip(_QUESTION_SDS, powers, strict=True)
        for family in (1, len(CLAIMS))
    ]
    return f"\nPower to see {_EFFECT:g} points, %, tau 0.5\n\n{table(head, rows)}\n"


def _show(share: float, number: int) -> str:
    error = math.sqrt(max(share * (1 - share), 1 / number) / number)
    return f"{100 * share:.1f} +- {100 * error:.1f}"


if __name__ == "__main__":
    sys.exit(main())
