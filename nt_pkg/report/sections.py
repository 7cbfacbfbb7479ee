"""The order of the page and the words between its tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from nt_pkg.report import page
from nt_pkg.report.canvas import Chart
from nt_pkg.report.headline import Finding
from nt_pkg.report.page import Section, paragraph
from nt_pkg.report.tables import Table
from nt_pkg.report.wording import show_percent, show_plural, show_seconds
from nt_pkg.statistics.ratios import LONGER
from nt_pkg.statistics.tests import ALPHA, MIN_SEEDS

MOST_CHANGED = 20  # rows of scores that the page shows without being asked


@dataclass(frozen=True)
class Contents:
    """What the sections are filled with; charts and tables by name."""

    study: Mapping[str, Any]
    opening: Sequence[str]
    warnings: Sequence[str]
    findings: Sequence[Finding]
    seed_scope: str
    num_tested: int
    benchmarks: Sequence[str]
    charts: Mapping[str, Chart]
    inline_svg: Mapping[str, str]
    tables: Mapping[str, Table]
    samples: Sequence[Mapping[str, Any]]
    timings: Mapping[str, Any]
    has_chance: bool
    is_compared: bool = False  # with an earlier report

    def figure(self, name: str) -> str:
        """Return a figure's HTML, or nothing when it was not drawn."""
        return page.figure(self.charts.get(name), self.inline_svg)

    def table(self, name: str) -> str:
        """Return a table's HTML, or nothing when it was not made."""
        return page.table(self.tables.get(name))


def build_sections(contents: Contents) -> list[Section]:
    """Return the page's sections in reading order; one without data has an empty body."""
    return [
        _headline(contents),
        _effects(contents),
        _changes(contents),
        _scores(contents),
        _paper(contents),
        _with_words(
            contents,
            ("scaling", "More examples", "scaling"),
            "Only the number of training examples differs along a line.",
        ),
        _with_words(
            contents,
            ("tokens", "Accuracy against tokens", "tokens"),
            "A student that can switch its mode moves along its line; one that cannot stays where "
            "it is.",
        ),
        Section(
            "lengths",
            "How long answers and traces are",
            [contents.figure("lengths"), contents.figure("trace_lengths")],
        ),
        Section(
            "difficulty",
            "By category of question",
            [
                contents.figure("difficulty"),
                page.fold_table("All categories in numbers", contents.tables.get("categories")),
                page.fold_table("Further groups of questions", contents.tables.get("levels")),
            ],
        ),
        Section(
            "selectors",
            "What each selector picked",
            [contents.figure("selectors"), contents.table("subsets")],
        ),
        Section("strategies", "Strategies of the traces", [contents.figure("strategies")]),
        _samples(contents),
        Section("training", "Training", [contents.figure("losses"), contents.table("training")]),
        _lost(contents),
        Section("workflow", "The workflow as it ran", [contents.figure("workflow")]),
        _costs(contents),
        _provenance(contents),
    ]


def _with_words(contents: Contents, names: tuple[str, str, str], words: str) -> Section:
    section_id, title, chart = names
    drawn = contents.figure(chart)
    return Section(section_id, title, [paragraph(words), drawn] if drawn else [])


def _headline(contents: Contents) -> Section:
    empty = "" if contents.tables.get("effects") else "This study asks no comparison."
    return Section(
        "headline",
        "In short",
        [
            *(paragraph(text) for text in contents.opening),
            *(page.note(text) for text in contents.warnings),
            page.finding_list(contents.findings),
            paragraph(empty),
        ],
    )


def _effects(contents: Contents) -> Section:
    table = contents.table("effects")
    if not table:
        return Section("effects", "Effects", [])
    rule = (
        "Every comparison is paired by seed: one side's accuracy minus the other's, averaged over "
        "the "
        "benchmarks where none is named. The differences of the seeds give the mean, its standard "
        "error "
        "and a 95 % t interval with one degree of freedom less than seeds. p values are two-sided "
        "and "
        f"Holm-corrected over the {show_plural(contents.num_tested, 'tested comparison')} of this "
        "page; "
        "intervals are not corrected, so an interval can leave out zero where the corrected p does "
        "not "
        "reach its mark."
    )
    verdicts = (
        f"With fewer than {MIN_SEEDS} seeds, and no test over questions in their place, the "
        "verdict is \u201cnot enough data\u201d. A claim is "
        f"\u201csupported\u201d if the corrected p is below {ALPHA} and the sign is the claimed "
        "one, "
        "\u201copposite\u201d if the sign is the other one, else \u201cnot supported\u201d: these "
        "seeds do "
        "not show it, which is no proof of the contrary. Where nothing was claimed in advance the "
        "words "
        "are \u201cabove\u201d, \u201cbelow\u201d and \u201cno difference seen\u201d."
    )
    claims = contents.table("claims")
    if claims:  # they hold most of its rows already
        table = page.fold("All comparisons in numbers", table)
    return Section(
        "effects",
        "The effects, and how they were judged",
        [
            contents.figure("effects"),
            claims,
            table,
            "<h3>How they were judged</h3>",
            paragraph(rule),
            paragraph(verdicts),
            paragraph(contents.seed_scope),
            paragraph(_say_questions(contents)),
        ],
    )


def _say_questions(contents: Contents) -> str:
    rows = contents.tables["effects"].rows
    parts = []
    if any(row["basis"] == "questions" for row in rows):
        parts.append(
            f"Where a comparison has fewer than {MIN_SEEDS} seeds, it is tested over the questions "
            "that both sides answered instead (paired, every question once whatever its repeats; "
            "benchmarks count alike). Such an interval covers the choice of questions and the "
            "sampling of answers; it does not cover the luck of a draw and a training, so it says "
            "that these two models differ, and not that training again would show it."
        )
    if any(row["tokens"] for row in rows):
        parts.append(
            "A claim about lengths is tested on the tokens of the answers, paired in the same way "
            f"and corrected together with the others: \u201clonger\u201d means at least {LONGER:g} "
            "times the tokens, \u201cfewer\u201d any fewer, \u201calike\u201d less than "
            f"{LONGER:g} times either way (two one-sided tests; never \u201copposite\u201d). The "
            "interval of a ratio is Fieller\u2019s."
        )
    if any(row["within"] is not None for row in rows):
        parts.append(
            "A claim that a difference is small is supported if two one-sided tests show it to lie "
            "within the margin stated; it is never \u201copposite\u201d."
        )
    return " ".join(parts)


def _changes(contents: Contents) -> Section:
    title = "What changed since the earlier report"
    if not contents.is_compared:
        return Section("changes", title, [])
    names = [f"changes-{name}" for name in ("verdicts", "scores", "made", "runs")]
    if not any(name in contents.tables for name in names):
        return Section("changes", title, [paragraph("Nothing did.")])
    scores = contents.tables.get("changes-scores")
    number = len(scores.rows) if scores else 0
    shown = contents.table("changes-scores")
    if number > MOST_CHANGED:
        shown = page.fold(f"All {number:,} averages that changed", shown)
    words = (
        "A change is tested over seeds, paired, where both reports have "
        f"{MIN_SEEDS} or more and asked the same; else over questions, with the errors of both "
        "sides added as if they had answered different ones, which overlooks changes rather than "
        "invents them. p values are Holm-corrected over the "
        f"{show_plural(number, 'average')} that changed. A test over questions does not cover the "
        "luck of a training."
    )
    return Section(
        "changes",
        title,
        [
            contents.table("changes-verdicts"),
            paragraph(words if number else ""),
            shown,
            *map(contents.table, names[2:]),
        ],
    )


def _scores(contents: Contents) -> Section:
    if not contents.benchmarks:
        return Section("scores", "Scores", [])
    words = "Fewer tokens are cheaper. An answer that cannot be read counts as wrong."
    if contents.has_chance:
        words += " A uniform guess picks one of the possible answers blindly."
    return Section(
        "scores",
        "Scores",
        [
            paragraph(words),
            *(contents.table(f"scores-{benchmark}") for benchmark in contents.benchmarks),
            page.fold_table(
                "How answers ended: cut, unreadable, with reasoning", contents.tables.get("rates")
            ),
            page.fold_table(
                "Read otherwise: macro averages and others' graders",
                contents.tables.get("readings"),
            ),
        ],
    )


def _samples(contents: Contents) -> Section:
    if not contents.samples:
        return Section("samples", "Read some answers", [])
    parts = [
        paragraph(
            "Some answers as the students gave them, right and wrong ones, spread over the runs. "
            "All of them are in the samples files beside the scores."
        )
    ]
    for benchmark in sorted({sample["benchmark"] for sample in contents.samples}):
        parts.append(f"<h3>{escape(benchmark)}</h3>")
        parts += [page.sample(s) for s in contents.samples if s["benchmark"] == benchmark]
    return Section("samples", "Read some answers", parts)


def _lost(contents: Contents) -> Section:
    table = contents.table("rows_lost")
    words = (
        "No row disappears silently: what was dropped, failed, left incomplete or could not be "
        "read is "
        "counted here with its reason. Training rows are counted once per run; answers that were "
        "cut or "
        "unreadable stay in the scores."
    )
    return Section("rows-lost", "Rows lost on the way", [paragraph(words), table] if table else [])


def _costs(contents: Contents) -> Section:
    timings = contents.timings
    facts = []
    if timings.get("wall_seconds") is not None:
        facts.append(
            f"The study took {show_seconds(float(timings['wall_seconds']))} from start to end"
        )
    if timings.get("startup_share") is not None:
        facts.append(f"{show_percent(float(timings['startup_share']))} % of the work was start-up")
    if timings.get("peak_mib") is not None:
        facts.append(f"the largest job needed {float(timings['peak_mib']):,.0f} MiB of memory")
    words = "; ".join(facts)
    return Section(
        "costs",
        "What it cost",
        [
            paragraph(f"{words[0].upper()}{words[1:]}." if words else ""),
            contents.figure("costs"),
            page.fold("The same in numbers", contents.table("costs")),
        ],
    )


def _paper(contents: Contents) -> Section:
    names = [name for name in contents.tables if name.startswith("paper-")]
    words = (
        "Published numbers and ours, row by row. Marks say how sure a published number is: A, "
        "stated by two sources or more; B, by one."
    )
    return Section(
        "paper",
        "Beside the paper",
        [paragraph(words), *map(contents.table, names)] if names else [],
    )


def _provenance(contents: Contents) -> Section:
    sources = contents.tables.get("provenance")
    number = len(sources.rows) if sources else 0
    return Section(
        "provenance",
        "Where the numbers come from",
        [
            contents.table("sampling"),
            page.fold(
                f"All {number:,} files and the commands that rebuild them", page.table(sources)
            ),
        ],
    )
