"""The sections of the page in reading order, and the text around their tables and figures.

Tables and figures name their section themselves; see `nt_pkg.report.parts._base`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from nt_pkg.report import page
from nt_pkg.report.browser import Page, render_link
from nt_pkg.report.canvas import Chart
from nt_pkg.report.headline import say_headline, say_seed_scope
from nt_pkg.report.material import Material
from nt_pkg.report.page import paragraph
from nt_pkg.report.parts._base import Drawn
from nt_pkg.report.samples import choose_samples
from nt_pkg.report.wording import name_benchmark, show_plural
from nt_pkg.statistics.ratios import LONGER
from nt_pkg.statistics.tests import MIN_SEEDS
from nt_pkg.statistics.verdicts import ALPHA, MODELS_ALIKE, MODELS_DIFFER, NO_DATA

Words = Callable[[Material], Sequence[str]]


def _nothing(material: Material) -> Sequence[str]:
    return []


@dataclass(frozen=True)
class Section:
    """A section, with its text before and after its tables and figures.

    A section without tables and figures is left out, unless it `has_own_words`.
    """

    id: str
    title: str
    before: Words = _nothing
    after: Words = _nothing
    has_own_words: bool = False


def build_sections(
    material: Material, drawn: Mapping[str, Sequence[Drawn]], inline_svg: Mapping[str, str]
) -> list[page.Section]:
    """Return the page's sections in reading order; one without data has an empty body.

    Args:
        material: the data of the page.
        drawn: tables and figures by section.
        inline_svg: figures as SVG for the page, by name.

    Raises:
        ValueError: a table or figure names a section that does not exist.
    """
    if unknown := sorted(set(drawn) - {section.id for section in SECTIONS}):
        raise ValueError(
            f"a table or figure names the section {unknown[0]!r}; there are "
            f"{', '.join(section.id for section in SECTIONS)}"
        )
    return [_fill(section, material, drawn.get(section.id, ()), inline_svg) for section in SECTIONS]


def _fill(
    section: Section, material: Material, drawn: Sequence[Drawn], inline_svg: Mapping[str, str]
) -> page.Section:
    if not drawn and not section.has_own_words:
        return page.Section(section.id, section.title, [])
    shown = [_show(each, inline_svg) for each in drawn]
    parts = [*section.before(material), *shown, *section.after(material)]
    return page.Section(section.id, section.title, parts)


def _show(drawn: Drawn, inline_svg: Mapping[str, str]) -> str:
    if isinstance(drawn, Chart):
        return page.figure(drawn, inline_svg)
    return render_link(drawn) if isinstance(drawn, Page) else page.table(drawn)


def _say_headline(material: Material) -> Sequence[str]:
    found = say_headline(material)
    return [
        *(paragraph(text) for text in found.opening),
        *(page.note(text) for text in found.warnings),
        page.finding_list(found.findings),
        paragraph(
            "This study has no comparisons." if material.scores and not material.effects else ""
        ),
    ]


def _say_how_judged(material: Material) -> Sequence[str]:
    rule = (
        "A difference of two recipes varies with the draws and trainings, with the sampling of "
        "answers, and with the choice of questions: its variance is 2 (\u03c4\u00b2 + e\u00b2) / S "
        "+ 2 \u03c9\u00b2 over S seeds. \u03c4\u00b2 + e\u00b2 is seen between the seeds, pooled "
        "over the recipes of a student where these vary alike; otherwise it is moderated, or that "
        "of the pair\u2019s own seeds. \u03c9\u00b2 is seen between the questions. Accuracy is "
        "averaged over the benchmarks that both sides have if none is named; a question that two "
        "of them share counts as one."
    )
    families = (
        "p values are two-sided and corrected (Holm) over a family: the claims of this page, or "
        "comparisons without a claim. A claim of several parts is supported if all are, "
        "which needs no correction inside. Intervals are not corrected, so an interval "
        f"can exclude zero although the corrected p is not below {ALPHA}."
    )
    verdicts = (
        f"A claim is \u201csupported\u201d if the corrected p is below {ALPHA} and the sign is the "
        "claimed one, \u201copposite\u201d if the sign is the other one, else \u201cnot "
        "supported\u201d: these seeds do not show it, which does not prove the contrary. If "
        "nothing was claimed in advance, the verdicts are \u201cabove\u201d, \u201cbelow\u201d and "
        "\u201cno difference seen\u201d. Where nothing could be tested, it is "
        f"\u201c{NO_DATA}\u201d."
    )
    return [
        "<h3>How they were tested</h3>",
        paragraph(rule),
        paragraph(families),
        paragraph(verdicts),
        paragraph(say_seed_scope(material.subsets)),
        paragraph(_say_special(material)),
    ]


def _say_special(material: Material) -> str:
    parts = []
    if any(effect.basis == "models" for effect in material.effects):
        parts.append(
            "Where each side was trained once, nothing tells how much another training would "
            f"change. The verdict then is about these two models: \u201c{MODELS_DIFFER}\u201d or "
            f"\u201c{MODELS_ALIKE}\u201d, over the questions, and not about their recipes."
        )
    if any(effect.tokens for effect in material.effects):
        parts.append(
            "A claim about lengths is tested on the tokens of the answers: \u201clonger\u201d "
            f"means at least {LONGER:g} times the tokens, \u201cfewer\u201d any fewer, "
            f"\u201calike\u201d less than {LONGER:g} times either way (two one-sided tests; never "
            "\u201copposite\u201d). The interval of a ratio is Fieller\u2019s."
        )
    if any(effect.within is not None for effect in material.effects):
        parts.append(
            "A claim that a difference is small is supported if two one-sided tests show that it "
            "is within the stated margin; its interval is the 90 % one, and it is never "
            "\u201copposite\u201d."
        )
    if len(set(material.study.chance.values())) > 1 or (
        material.study.chance and len(material.study.chance) < len(material.benchmarks)
    ):
        parts.append(
            "Benchmarks differ in what a guess gives: a mean over them is a mean of accuracies, "
            "and a point on one is not worth a point on another."
        )
    return " ".join(parts)


def _say_changes(material: Material) -> Sequence[str]:
    changes = material.changes
    if changes is None:
        return []
    if not (changes.scores or changes.verdicts or changes.origins or changes.runs):
        return [paragraph("Nothing changed.")]
    if not changes.scores:
        return []
    words = (
        "A change is tested over seeds, paired, if both reports have "
        f"{MIN_SEEDS} or more and used the same prompts; otherwise over questions, with the errors "
        "of both sides added as if they had answered different ones, which misses changes rather "
        "than inventing them. p values are Holm-corrected over the "
        f"{show_plural(len(changes.scores), 'average')} that changed. A test over questions does "
        "not cover chance in training."
    )
    return [paragraph(words)]


def _say_scores(material: Material) -> Sequence[str]:
    words = "Fewer tokens are cheaper. An unreadable answer counts as wrong."
    if material.study.chance:
        words += " A uniform guess picks one of the possible answers at random."
    return [paragraph(words)]


def _say_gains(material: Material) -> Sequence[str]:
    words = (
        "The mean of a label over a subset, against the gain of its student: accuracy over the "
        "student of a random subset of the same size, over the benchmarks that both have. Subsets "
        "of one selector at several sizes are averaged, since they are no independent points. "
        "Subsets of one size share their random subset, whose own error moves their gains "
        "together. Noise in the gains draws a correlation towards 0."
    )
    return [paragraph(words)]


def _say_solved(material: Material) -> Sequence[str]:
    words = (
        "A side solved a question if more than half of its answers are right, over seeds and "
        "repeats. Students that differ by chance only also solve different questions, so these "
        "counts show where two differ, and not whether they do."
    )
    return [paragraph(words)]


def _show_samples(material: Material) -> Sequence[str]:
    samples = choose_samples(material.samples)
    if not samples:
        return []
    parts = [
        paragraph(
            "Some right and wrong answers of the students, spread over the runs. "
            "The samples files next to the scores have all answers."
        )
    ]
    for benchmark in sorted({sample.benchmark for sample in samples}):
        parts.append(f"<h3>{escape(name_benchmark(benchmark, material.study.labels))}</h3>")
        parts += [page.sample(sample) for sample in samples if sample.benchmark == benchmark]
    return parts


def _say(words: str) -> Words:
    return lambda material: [paragraph(words)]


SECTIONS = (
    Section("headline", "In short", before=_say_headline, has_own_words=True),
    Section("effects", "The effects, and how they were tested", after=_say_how_judged),
    Section(
        "changes",
        "What changed since the earlier report",
        before=_say_changes,
        has_own_words=True,
    ),
    Section("scores", "Scores", before=_say_scores),
    Section(
        "paper",
        "Next to the paper",
        before=_say(
            "Published numbers and ours, row by row. Marks say how sure a published number is: A, "
            "stated by two sources or more; B, by one."
        ),
    ),
    Section(
        "scaling",
        "Number of examples",
        before=_say("Only the number of training examples differs along a line."),
    ),
    Section(
        "tokens",
        "Accuracy against tokens",
        before=_say(
            "A student that can switch its mode moves along its line; one that cannot stays in "
            "place."
        ),
    ),
    Section("lengths", "How long answers and traces are"),
    Section("difficulty", "By category of question"),
    Section("selectors", "What each selector picked"),
    Section("strategies", "Strategies of the traces"),
    Section("gains", "Does a score predict gain?", before=_say_gains),
    Section("questions", "Who solved which question", before=_say_solved),
    Section("samples", "Read some answers", before=_show_samples, has_own_words=True),
    Section("training", "Training"),
    Section(
        "rows-lost",
        "Lost rows",
        before=_say(
            "No row disappears silently: rows that were dropped, failed, incomplete or unreadable "
            "are counted here with the reason. Training rows are counted once per run; answers "
            "that were cut or unreadable stay in the scores."
        ),
    ),
    Section("workflow", "The workflow as it ran"),
    Section("costs", "What it cost"),
    Section("provenance", "Where the numbers come from"),
)
