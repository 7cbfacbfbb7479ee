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

What is measured is kept in `work/bench-statistics/`, by a digest of the code, so a killed run
continues. `--quick` keeps nothing.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.statistics_worlds import CLAIMS, NUM_RECIPES, Drawn, World, draw_study
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.identity.fingerprint import code_fingerprint
from nt_pkg.identity.seeds import digest_int, generator
from nt_pkg.statistics.families import Part, correct_claims
from nt_pkg.statistics.recipes import Test, compare_recipes
from nt_pkg.statistics.verdicts import ALPHA
from tests.workflow.sandbox import table

_SEEDS = (1, 2, 3, 5)
_TAUS = (0.0, 0.5, 1.0, 1.5)
_TIMES = 3.0
_EFFECT = 2.0
_QUESTION_SDS = (0.05, 0.06, 0.10, 0.15)
_FAMILIES = (1, len(CLAIMS))
_NULL = "all alike"
# The pair of recipes that varies otherwise than the rest, by name.
_PAIRS = {"common": (1, 0), "neither": (7, 8)}
_KEPT = Path("work/bench-statistics")


@dataclass(frozen=True)
class Case:
    """A world, the pair whose interval is looked at, and how often it is drawn."""

    name: str
    world: World
    pair: tuple[int, int]
    num_studies: int


@dataclass(frozen=True)
class Share:
    """A share of studies, and its Monte-Carlo error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} +- {100 * self.error:.1f}"


@dataclass(frozen=True)
class Found:
    """What comes of a case; coverage of recipes, or of two models if there is one seed."""

    false: Share
    coverage: Share


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few studies")
    args = parser.parse_args()
    begun = time.perf_counter()
    number = 40 if args.quick else 1500
    cases = list(make_cases(number))
    powers = [
        Case("power", World(seeds, (0.5,) * NUM_RECIPES, sd), (1, 0), number // 4)
        for sd in _QUESTION_SDS
        for seeds in _SEEDS[1:]
    ]
    kept = None if args.quick else _KEPT / _digest_code()
    if args.quick:
        cases, powers = cases[::6], powers[1::3]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = []
        asked = [*cases, *powers]
        for case, answer in zip(asked, pool.map(partial(_measure_once, kept), asked), strict=True):
            found.append(answer)
            print(f"{len(found)} of {len(asked)}: {case.name}", file=sys.stderr)
    errors = [Found(*each) for each in found[: len(cases)]]
    seen = dict(zip([case.world for case in powers], found[len(cases) :], strict=True))
    print(_show_errors(cases, errors))
    print(_show_power(seen))
    result = {
        "false_verdict_rate": round(max(each.false.value for each in errors), 4),
        "coverage_min": round(min(each.coverage.value for each in errors), 4),
        "coverage_max": round(max(each.coverage.value for each in errors), 4),
        "power_plus2_3seeds": next(
            round(shares[-1].value, 4)
            for world, shares in seen.items()
            if (world.num_seeds, world.question_sd) == (3, 0.06)
        ),
        "studies": number,
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(result))
    return 0


def _digest_code() -> str:
    world = code_fingerprint("benchmarks.statistics_worlds", ["draw_study"])
    return world + code_fingerprint(
        "benchmarks.statistics_errors", ["measure", "measure_power", "make_cases"]
    )


def _measure_once(kept: Path | None, case: Case) -> list[Share]:
    """Return what comes of a case, from an earlier run if it is kept."""
    path = kept / f"{digest_int(repr(case)):x}.json" if kept else None
    if path and path.is_file():
        return [Share(**each) for each in read_json(path)]
    found = measure_power(case) if case.name == "power" else measure(case)
    if path:
        write_json(path, [asdict(each) for each in found])
    return found


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


def measure(case: Case) -> list[Share]:
    """Return the shares of studies with a false verdict, and whose interval holds the truth."""
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
    return [_share(false, case.num_studies), _share(covered, case.num_studies)]


def measure_power(case: Case) -> list[Share]:
    """Return the shares of differences of two points that are found, by size of the family."""
    draw = generator("power", case.world.num_seeds, case.world.question_sd)
    p_values = np.array(
        [
            [
                test.error.p_two_sided(test.mean + _EFFECT)
                for pair in CLAIMS
                for test in _test(drawn, pair, None)
            ]
            for drawn in (draw_study(case.world, draw) for _ in range(case.num_studies))
        ]
    )
    found = []
    for family in _FAMILIES:
        # The claims of a study share recipes, so the error is that over studies.
        shares = (p_values < ALPHA / family).mean(axis=1)
        error = float(shares.std(ddof=1)) / math.sqrt(len(shares))
        found.append(Share(float(shares.mean()), error))
    return found


def _share(count: int, number: int) -> Share:
    share = count / number
    # None of n is no proof of never: its error is that of one of n.
    return Share(share, math.sqrt(max(share * (1 - share), 1 / number) / number))


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
    rows = [
        [
            str(case.world.num_seeds),
            f"{min(case.world.tau):g}",
            case.name,
            str(each.false),
            str(each.coverage),
        ]
        for case, each in zip(cases, found, strict=True)
    ]
    return table(["seeds", "tau", "trainings", "false verdict, %", "coverage, %"], rows)


def _show_power(seen: dict[World, list[Share]]) -> str:
    rows = [
        [f"{world.question_sd:.2f}", str(world.num_seeds), *map(str, shares)]
        for world, shares in seen.items()
    ]
    families = [f"family of {number}" for number in _FAMILIES]
    head = ["s.d. of a question", "seeds", *families]
    return f"\nPower to see {_EFFECT:g} points, %, tau 0.5\n\n{table(head, rows)}\n"


if __name__ == "__main__":
    sys.exit(main())
