"""The headline: what was run, what was found, and what the numbers do not say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nt_pkg.config.base import IMPORTED
from nt_pkg.evaluation.score import MOST_UNANSWERED
from nt_pkg.report.cautions import say_idle_conditions, say_uneven_sides
from nt_pkg.report.cells import Cell, find_sizes, find_unsolved
from nt_pkg.report.changes.words import say_changes
from nt_pkg.report.effects import show_effect_interval
from nt_pkg.report.judging import JudgedClaim, is_decided, leans_as_claimed
from nt_pkg.report.material import Material
from nt_pkg.report.records import Effect, Judged, Pool, Run, Score, Subset, TraceSet
from nt_pkg.report.sentences import say_claim, say_difference, say_no_difference, say_where
from nt_pkg.report.truth import BY_DESIGN, say_stale, say_truth
from nt_pkg.report.wording import (
    DASH,
    capitalise,
    name_run,
    show_accuracy,
    show_count,
    show_list,
    show_p_value,
    show_percent,
    show_plural,
    sort_modes,
)
from nt_pkg.statistics.verdicts import MODELS_ALIKE, MODELS_DIFFER, NO_DATA

MICRO_WORLD = (
    "These numbers come from a micro-world: a tiny student on questions made by this project. They "
    "say nothing about the paper's models, questions or effect sizes."
)

_MOST_NAMED = 4


@dataclass(frozen=True)
class Finding:
    """One sentence of the headline: the verdict, its subject, and its numbers."""

    verdict: str
    text: str
    numbers: str

    def __str__(self) -> str:
        """The finding as one line of plain text."""
        return f"{self.verdict.capitalize()}: {self.text} {self.numbers}".rstrip()


@dataclass(frozen=True)
class Headline:
    """The first section: what was run and what changed, warnings, and findings."""

    opening: Sequence[str]
    warnings: Sequence[str]
    findings: Sequence[Finding]

    @property
    def lines(self) -> list[str]:
        """The headline as lines of plain text."""
        return [*self.opening, *self.warnings, *map(str, self.findings)]


def say_headline(material: Material) -> Headline:
    """Return the headline of a study."""
    cells, chance = material.cells, material.study.chance
    opening = [
        say_what_was_run(material.scores, material.pools, material.traces)
        if material.scores or material.runs or not material.subsets
        else say_what_was_selected(material.subsets, material.traces)
    ]
    opening += say_held_out(material.runs)
    if material.changes is not None:
        opening.append(say_changes(material.changes))
    unsolved = find_unsolved(cells, chance)
    num_trained = len({cell.benchmark for cell in cells if cell.is_trained})
    warnings = [
        MICRO_WORLD if material.study.report.is_micro else "",
        say_unsolved(unsolved, chance, num_trained),
        say_unanswered(cells),
        say_stale(material.judged, material.effects, material.study.report.truth),
        say_idle_conditions(material.subsets),
        say_uneven_sides(
            material.study.report.comparisons,
            material.scores,
            material.runs,
            find_sizes(material.subsets, material.runs),
        ),
    ]
    # Differences between students that all fail do not belong in a headline.
    is_hopeless = bool(unsolved) and len(unsolved) == num_trained
    findings = [] if is_hopeless else _say_effects_of(material)
    if findings and (text := say_truth(material.judged)):
        findings.append(Finding("next to the truth", text, ""))
    return Headline(opening, [text for text in warnings if text], findings)


def say_held_out(runs: Sequence[Run]) -> list[str]:
    """Return one sentence about the loss on held-out examples, or nothing."""
    known = [(run, run.held_out) for run in runs if run.held_out]
    if not known:
        return []
    told = [
        f"{name_run(run.subset, run.format)} {held.loss_before:.3f} to {held.loss_after:.3f}"
        for run, held in known[:_MOST_NAMED]
    ]
    more = f"; {len(known) - len(told)} more in the table" if len(known) > len(told) else ""
    examples = show_plural(known[0][1].num_examples, "example")
    return [
        f"Loss per token on {examples} that no student was trained on, before and after training: "
        f"{'; '.join(told)}{more}."
    ]


def _say_effects_of(material: Material) -> list[Finding]:
    return say_effects(material.effects, material.claims, material.judged, material.study.labels)


def say_what_was_run(
    scores: Sequence[Score], pools: Sequence[Pool], traces: Sequence[TraceSet]
) -> str:
    """Return one or two sentences about the size of the study."""
    if not scores:
        return "No run of this study has a score yet."
    own = [score for score in scores if score.subset != IMPORTED]
    runs = {
        (score.student, score.subset, score.format, score.seed) for score in own if score.is_trained
    }
    students = sorted({score.student for score in own})
    others = sorted({score.student for score in scores if score.subset == IMPORTED})
    imported = f"answers of {show_list(others)} from elsewhere"
    questions = {score.benchmark: score.num_questions for score in scores}
    modes = sort_modes(sorted({score.mode for score in scores}))
    counted = (
        f"{show_plural(len(runs), 'training run')} of {show_list(students)} ("
        f"{show_plural(len({r[1] for r in runs}), 'subset')}, "
        f"{show_plural(len({r[2] for r in runs}), 'format')}, "
        f"{show_plural(len({r[3] for r in runs}), 'seed')})"
    )
    if not runs:
        counted = f"The untrained {show_list(students)}"
    if others:
        counted = f"{counted} and {imported}" if own else f"A{imported[1:]}"
    parts = [
        f"{counted}, scored on "
        + show_list(
            [f"{name} ({show_count(questions[name])} questions)" for name in sorted(questions)]
        )
        + f" in {'mode' if len(modes) == 1 else 'modes'} {show_list(modes)}."
    ]
    if traces:
        sets = [
            f"{show_count(each.num_rows)} traces of teacher {each.teacher} over pool {each.pool}"
            for each in traces
        ]
        parts.append(f"The examples are {show_list(sets)}.")
    if not traces:
        parts += [f"Pool {pool.pool} holds {show_count(pool.num_kept)} prompts." for pool in pools]
    return " ".join(parts)


def say_what_was_selected(subsets: Sequence[Subset], traces: Sequence[TraceSet]) -> str:
    """Return what a study without trainings and scores has selected."""
    names = {each.subset for each in subsets}
    sets = [
        f"{show_count(each.num_rows)} traces of teacher {each.teacher} over pool {each.pool}"
        for each in traces
    ]
    return (
        f"{show_plural(len(names), 'subset')} selected from {show_list(sets)}. No student is "
        "trained on them here."
    )


def say_unsolved(unsolved: Mapping[str, Cell], chance: Mapping[str, float], benchmarks: int) -> str:
    """Return the statement that students do not solve a benchmark, or an empty text."""
    if not unsolved:
        return ""
    best = "; ".join(
        f"{name}: best {show_accuracy(cell.accuracy, cell.standard_error)} %"
        + (f", a uniform guess gives {show_percent(chance[name])} %" if name in chance else "")
        for name, cell in unsolved.items()
    )
    if len(unsolved) < benchmarks:
        return (
            f"No trained student solves {show_list(list(unsolved))} ({best}): differences there "
            "are differences between students that fail."
        )
    return (
        f"The student does not solve {'this benchmark' if benchmarks == 1 else 'these benchmarks'} "
        f"({best}). This study only shows that the workflow runs on these rows; its differences "
        "say nothing about selection or format."
    )


def say_unanswered(cells: Sequence[Cell]) -> str:
    """Return the statement that most answers of some runs cannot be read, or an empty text."""
    found = sorted(
        (cell for cell in cells if cell.no_answer_rate > MOST_UNANSWERED),
        key=lambda cell: -cell.no_answer_rate,
    )
    if not found:
        return ""
    named = [
        f"{cell.student}, {name_run(cell.subset, cell.format)}, on {cell.benchmark} in "
        f"{cell.mode}: {show_percent(cell.no_answer_rate)} %"
        for cell in found[:_MOST_NAMED]
    ]
    more = len(found) - len(named)
    return (
        f"More than half of the answers cannot be read ({'; '.join(named)}"
        + (f"; and {more} more" if more else "")
        + "). Such accuracies measure the form of the answers and not what a model knows: the "
        "benchmark's page says which form is read, and the table of how answers ended whether they "
        "were cut."
    )


def say_effects(
    effects: Sequence[Effect],
    claims: Sequence[JudgedClaim] = (),
    judged: Sequence[Judged] = (),
    labels: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Return one finding per claim, then what was found without one, the rest, and controls.

    Comparisons that belong to a claim are not repeated.

    Args:
        effects: all comparisons.
        claims: `report.claims`, judged.
        judged: verdicts next to the truth, for the controls among them.
        labels: what sentences call each benchmark.
    """
    names = labels or {}
    findings = [
        Finding(c.verdict, f"{c.name}. {c.text.rstrip('.')}.", _say_parts(c.parts)) for c in claims
    ]
    told = {part.name for claim in claims for part in claim.parts}
    controls = {each.name for each in judged if each.source == BY_DESIGN}
    findings += [
        Finding(e.verdict, say_claim(e), _say_details(e, names))
        for e in effects
        if e.claim is not None and e.name not in told
    ]
    groups: dict[str, list[Effect]] = {}
    for effect in effects:
        if effect.claim is None and effect.name not in controls:
            groups.setdefault(effect.verdict, []).append(effect)
    for verdict in ("above", "below", MODELS_DIFFER):
        findings += [
            Finding(verdict, say_difference(each, names), _say_details(each, names))
            for each in sorted(groups.get(verdict, []), key=_by_size)
        ]
    for verdict in ("no difference seen", MODELS_ALIKE):
        if found := groups.get(verdict):
            findings.append(Finding(verdict, capitalise(say_no_difference(found, names)), ""))
    findings += [
        Finding(NO_DATA, say_difference(each, names), "") for each in groups.get(NO_DATA, [])
    ]
    return findings + _say_controls([each for each in effects if each.name in controls], names)


def _by_size(effect: Effect) -> float:
    return -abs(effect.difference or 0.0)


def _say_controls(effects: Sequence[Effect], labels: Mapping[str, str]) -> list[Finding]:
    """Return what became of comparisons whose true difference is zero by design."""
    quiet = [each for each in effects if not is_decided(each) and each.p_value is not None]
    found = [each for each in effects if is_decided(each)]
    findings = [
        Finding(each.verdict, f"A control was found, an error: {say_difference(each, labels)}", "")
        for each in found
    ]
    if quiet:
        who = {1: "The control", 2: "Both controls"}.get(len(quiet), "All controls")
        were = "was" if len(quiet) == 1 else "were"
        said = say_no_difference(quiet, labels)
        text = f"{who}, chosen without a look at the rows, {were} quiet, as must be: {said}"
        findings.append(Finding("no difference seen", text, ""))
    return findings


def say_seed_scope(subsets: Sequence[Subset]) -> str:
    """Return what differs between seeds, and so what the intervals cover."""
    draws: dict[str, set[int]] = {}
    for subset in subsets:
        draws.setdefault(subset.subset, set()).add(subset.seed)
    if not draws:
        return ""
    if all(len(seeds) > 1 for seeds in draws.values()):
        return (
            "Every seed draws its own subset, trains its own student and samples its own answers, "
            "so the intervals cover chance in all three. A deterministic rule selects the same "
            "rows at every seed."
        )
    return (
        "Some subsets were drawn only once. For these, seeds repeat the "
        "training and the answers but not the selection, and the intervals do not cover chance in "
        "the selection."
    )


def _say_parts(parts: Sequence[Effect]) -> str:
    measured = sum(part.difference is not None for part in parts)
    of = show_plural(len(parts), "comparison")
    if any(part.basis == "models" and part.p_value is not None for part in parts):
        seen = [part for part in parts if part.verdict == MODELS_DIFFER]
        agree = sum(leans_as_claimed(part) for part in seen)
        text = f"{len(seen)} of {of} differ, {agree} as claimed; each side was trained once"
    else:
        supported = sum(part.verdict == "supported" for part in parts)
        text = f"{supported} of {of} supported"
    return f"{text}, {measured} measured." if measured < len(parts) else f"{text}."


def _say_details(effect: Effect, labels: Mapping[str, str]) -> str:
    if effect.difference is None:
        return f"Nothing was measured: {effect.note}."
    details = [show_plural(effect.num_seeds, "seed")]
    where = say_where(effect, labels)
    if effect.claim is not None and where.removeprefix(" on ") not in effect.claim:
        details.insert(0, where.lstrip())
    if effect.models:
        details.append(effect.models)
    if (interval := show_effect_interval(effect)) != DASH:
        details.insert(0, f"{100 * effect.level:.0f}\u00a0% interval {interval}")
    if effect.p_value is not None:
        shown = show_p_value(effect.p_value)
        sign = "" if shown.startswith("<") else "= "
        details.append(f"corrected p {sign}{shown}".replace(" ", "\u00a0"))
    if effect.kind == "modes" and not effect.tokens and effect.tokens_ratio is not None:
        details.append(f"{effect.tokens_ratio:.1f} times the tokens")
    return f"{capitalise(', '.join(details))}."
