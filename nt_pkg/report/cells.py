"""Scores averaged over seeds: the cells of the tables and the points of the figures."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nt_pkg.config.base import IMPORTED, UNTRAINED
from nt_pkg.config.filters import list_names
from nt_pkg.report.records import Reading, Run, Score, Subset
from nt_pkg.report.wording import sort_modes
from nt_pkg.statistics.tests import average_seeds

Group = tuple[str, str, str]  # student, subset, format

# Below this accuracy a student does not solve a benchmark, whatever its chance level.
SOLVED_FLOOR = 0.02


@dataclass(frozen=True)
class Cell:
    """One run group (student, subset, format) on one benchmark in one mode, averaged over seeds.

    `standard_error` is over seeds; with one seed it is the score's own, over questions.
    """

    student: str
    subset: str
    format: str
    benchmark: str
    mode: str
    size: int
    num_seeds: int
    num_questions: int
    accuracy: float
    standard_error: float
    question_error: float
    mean_tokens: float | None  # None: not known, or all generations failed
    median_tokens: float | None
    truncation_rate: float
    no_answer_rate: float
    thinking_rate: float
    num_failed: int
    by_category: Mapping[str, Reading]

    @property
    def group(self) -> Group:
        """The run group of the cell."""
        return self.student, self.subset, self.format

    @property
    def place(self) -> tuple[str, str]:
        """Student and benchmark: one panel of a figure."""
        return self.student, self.benchmark

    @property
    def is_trained(self) -> bool:
        """Whether the student was trained on a subset."""
        return self.subset not in (UNTRAINED, IMPORTED)


def find_sizes(subsets: Sequence[Subset], runs: Sequence[Run]) -> dict[str, int]:
    """Return the number of examples of every subset, from its manifest or otherwise from a run."""
    sizes = {run.subset: run.num_examples for run in runs}
    return sizes | {subset.subset: subset.size for subset in subsets}


def build_cells(scores: Sequence[Score], sizes: Mapping[str, int]) -> list[Cell]:
    """Return one cell per run group, benchmark and mode: untrained first, then by size."""
    cells = [_build_cell(members, sizes) for _, members in group_scores(scores)]
    modes = sort_modes(sorted({cell.mode for cell in cells}))
    return sorted(
        cells,
        key=lambda c: (c.student, c.size, c.subset, c.format, c.benchmark, modes.index(c.mode)),
    )


def name_place(place: tuple[str, str], places: Sequence[tuple[str, str]]) -> str:
    """Return the title of a panel; it names the student only if there are several."""
    student, benchmark = place
    return benchmark if len({s for s, _ in places}) == 1 else f"{student}: {benchmark}"


def find_unsolved(cells: Sequence[Cell], chance: Mapping[str, float]) -> dict[str, Cell]:
    """Return the best trained cell of every benchmark that no trained student solves.

    Unsolved: below 2 %, or below the uniform guess plus two standard errors (the larger of seeds
    and questions).
    """
    best: dict[str, Cell] = {}
    for cell in cells:
        if cell.is_trained and (
            cell.benchmark not in best or cell.accuracy > best[cell.benchmark].accuracy
        ):
            best[cell.benchmark] = cell
    return {name: cell for name, cell in sorted(best.items()) if not _is_solved(cell, chance)}


def choose_format_cells(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of the subset that each student was trained on in most formats."""
    formats: dict[tuple[str, str], set[str]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for cell in cells:
        if cell.is_trained:
            formats.setdefault((cell.student, cell.subset), set()).add(cell.format)
            sizes[cell.student, cell.subset] = cell.size
    chosen: dict[str, str] = {}
    for student, subset in sorted(formats, key=lambda k: (len(formats[k]), sizes[k], k)):
        chosen[student] = subset  # the last one has the most formats, then the largest size
    return [cell for cell in cells if chosen.get(cell.student) == cell.subset]


def choose_shared_places(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of benchmarks that a student was scored on in several formats or modes.

    A panel of one point compares nothing; it is kept only if there is no other.
    """
    number = Counter(cell.place for cell in cells)
    return [cell for cell in cells if number[cell.place] > 1] or list(cells)


def choose_own_modes(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells in the mode that their format is for: no_think for system1, else think."""
    chosen: dict[tuple[str, ...], Cell] = {}
    for cell in cells:
        own = "no_think" if cell.format == "system1" else "think"
        key = (*cell.group, cell.benchmark)
        if key not in chosen or cell.mode == own:
            chosen[key] = cell
    return list(chosen.values())


def group_scores(scores: Sequence[Score]) -> list[tuple[dict[str, str], list[Score]]]:
    """Group the scores of all seeds by the names that they share, keeping their order."""
    groups: dict[tuple[str, ...], list[Score]] = {}
    for score in scores:
        groups.setdefault(tuple(list_names(score).values()), []).append(score)
    return [(list_names(members[0]), members) for _, members in groups.items()]


def average_readings(entries: Sequence[Reading]) -> tuple[float, float | None]:
    """Return accuracy over seeds with its standard error; for one seed, that over questions."""
    accuracy, error = average_seeds([entry.accuracy for entry in entries])
    return accuracy, entries[0].standard_error if error is None else error


def _build_cell(scores: Sequence[Score], sizes: Mapping[str, int]) -> Cell:
    first = scores[0]
    accuracy, error = average_seeds([score.accuracy for score in scores])
    question_error = _average_known(score.standard_error for score in scores)
    return Cell(
        student=first.student,
        subset=first.subset,
        format=first.format,
        benchmark=first.benchmark,
        mode=first.mode,
        size=sizes.get(first.subset, 0),
        num_seeds=len(scores),
        num_questions=first.num_questions,
        accuracy=accuracy,
        standard_error=question_error if error is None else error,
        question_error=question_error,
        mean_tokens=_average_tokens(score.mean_tokens for score in scores),
        median_tokens=_average_tokens(score.median_tokens for score in scores),
        truncation_rate=_average_known(score.truncation_rate for score in scores),
        no_answer_rate=_average_known(score.no_answer_rate for score in scores),
        thinking_rate=_average_known(score.thinking_rate for score in scores),
        num_failed=sum(score.failed for score in scores),
        by_category=_average_categories(scores),
    )


def _average_known(values: Iterable[float | None]) -> float:
    return _average_tokens(values) or 0.0


def _average_tokens(values: Iterable[float | None]) -> float | None:
    """Return the mean over the seeds whose tokens are known."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _average_categories(scores: Sequence[Score]) -> dict[str, Reading]:
    entries: dict[str, list[Reading]] = {}
    for score in scores:
        for name, entry in score.by_category.items():
            entries.setdefault(name, []).append(entry)
    found = {}
    for name, members in entries.items():
        accuracy, error = average_readings(members)
        found[name] = Reading(accuracy, error, num=members[0].num)
    return {name: entry for name, entry in found.items() if name}


def _is_solved(cell: Cell, chance: Mapping[str, float]) -> bool:
    error = max(cell.standard_error, cell.question_error)
    level = chance.get(cell.benchmark, 0.0) + 2 * error
    return cell.accuracy >= SOLVED_FLOOR and cell.accuracy >= level
