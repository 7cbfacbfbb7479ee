"""The sections of the page in reading order, and the text around their tables and figures.

Tables and figures name their section themselves; see `nt_pkg.report.parts._base`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from nt_pkg.report import page
from nt_pkg.report.canvas import Chart
from nt_pkg.report.headline import say_headline, say_seed_scope
from nt_pkg.report.material import Material
from nt_pkg.report.page import paragraph
from nt_pkg.report.parts._base import Drawn
from nt_pkg.report.samples import choose_samples
from nt_pkg.report.wording import show_plural
from nt_pkg.statistics.ratios import LONGER
from nt_pkg.statistics.tests import MIN_SEEDS
from nt_pkg.statistics.verdicts import ALPHA, NO_DATA

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
    shown = [
        page.figure(each, inline_svg) if isinstance(each, Chart) else page.table(each)
        for each in drawn
    ]
    parts = [*section.before(material), *shown, *section.after(material)]
    return page.Section(section.id, section.title, parts)


def _say_headline(material: Material) -> Sequence[str]:
    found = say_headline(material)
    return [
        *(paragraph(text) for text in found.opening),
        *(page.note(text) for text in found.warnings),
        page.finding_list(found.findings),
        paragraph("" if material.effects else "This study has no comparisons."),
    ]


def _say_how_judged(material: Material) -> Sequence[str]:
    num_tested = sum(effect.p_value is not None for effect in material.effects)
    rule = (
        "Every comparison is paired by seed: one side's accuracy minus the other's, averaged over "
        "all benchmarks if none is named. The differences of the seeds give the mean, its "
        "standard error and a 95 % t interval (n - 1 degrees of freedom for n seeds). p values "
        "are two-sided and Holm-corrected over the "
        f"{show_plural(num_tested, 'tested comparison')} of this page; intervals are not "
        "corrected, so an interval can exclude zero although the corrected p is not below "
        f"{ALPHA}."
    )
    verdicts = (
        f"With fewer than {MIN_SEEDS} seeds, and no test over questions instead, the "
        f"verdict is \u201c{NO_DATA}\u201d. A claim is \u201csupported\u201d if the corrected p is "
        f"below {ALPHA} and the sign is the claimed one, \u201copposite\u201d if the sign is the "
        "other one, else \u201cnot supported\u201d: these seeds do not show it, which does not "
        "prove the contrary. If nothing was claimed in advance, the verdicts are "
        "\u201cabove\u201d, \u201cbelow\u201d and \u201cno difference seen\u201d."
    )
    return [
        "<h3>How they were tested</h3>",
        paragraph(rule),
        paragraph(verdicts),
        paragraph(say_seed_scope(material.subsets)),
        paragraph(_say_questions(material)),
    ]


def _say_questions(material: Material) -> str:
    parts = []
    if any(effect.basis == "questions" for effect in material.effects):
        parts.append(
            f"A comparison with fewer than {MIN_SEEDS} seeds is tested over the questions "
            "that both sides answered instead (paired, every question once whatever its repeats; "
            "benchmarks weigh the same). Such an interval covers the choice of questions and the "
            "sampling of answers, but not chance in selection and training. So it says "
            "that these two models differ, not that training again would show it."
        )
    if any(effect.tokens for effect in material.effects):
        parts.append(
            "A claim about lengths is tested on the tokens of the answers, paired in the same way "
            f"and corrected together with the others: \u201clonger\u201d means at least {LONGER:g} "
            "times the tokens, \u201cfewer\u201d any fewer, \u201calike\u201d less than "
            f"{LONGER:g} times either way (two one-sided tests; never \u201copposite\u201d). The "
            "interval of a ratio is Fieller\u2019s."
        )
    if any(effect.within is not None for effect in material.effects):
        parts.append(
            "A claim that a difference is small is supported if two one-sided tests show that it "
            "is within the stated margin; it is never \u201copposite\u201d."
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
        parts.append(f"<h3>{escape(benchmark)}</h3>")
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
