"""The HTML of the page: skeleton, sections and their small pieces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nt_pkg.report.canvas import Chart, theme_variables
from nt_pkg.report.headline import Finding
from nt_pkg.report.records import Sample
from nt_pkg.report.tables import Table, render_html, render_links
from nt_pkg.report.wording import name_subset

# The Tab key stops only at boxes that scroll; without scripts, at all that may scroll.
FOCUS_SCRIPT = """
const boxes = document.querySelectorAll(".table, .canvas");
const mark = () => boxes.forEach((b) => { b.tabIndex = b.scrollWidth > b.clientWidth ? 0 : -1; });
mark();
addEventListener("resize", mark);
addEventListener("toggle", mark, true);
"""

MAX_ROWS = 400  # of a folded table; the page links to the CSV of a longer one


@dataclass(frozen=True)
class Section:
    """One section of the page; `parts` are HTML, empty ones are left out."""

    id: str
    title: str
    parts: Sequence[str]

    @property
    def body(self) -> str:
        """The HTML below the heading."""
        return "\n".join(part for part in self.parts if part)


def paragraph(text: str, css_class: str = "") -> str:
    """Return escaped text as a paragraph, or nothing for an empty text."""
    attribute = f' class="{css_class}"' if css_class else ""
    return f"<p{attribute}>{escape(text)}</p>" if text else ""


def note(text: str) -> str:
    """Return a note that a reader must not miss."""
    return f'<p class="note" role="note">{escape(text)}</p>' if text else ""


def finding_list(findings: Sequence[Finding]) -> str:
    """Return the headline's findings as a list, verdict first."""
    items = "".join(
        f'<li><span class="verdict" data-verdict="{f.verdict}">{f.verdict.capitalize()}</span>'
        f"<div>{escape(f.text)} <small>{escape(f.numbers)}</small></div></li>"
        for f in findings
    )
    return f'<ul class="findings">{items}</ul>' if items else ""


def figure(chart: Chart, inline_svg: Mapping[str, str]) -> str:
    """Return a figure with its caption and links to its files."""
    base = f"figures/{chart.name}"
    links = " ".join(
        f'<a href="{base}.{end}">{label}</a>'
        for end, label in (("csv", "Data"), ("svg", "SVG"), ("png", "PNG"))
    )
    label = escape(f"Figure: {chart.name}")
    return (
        f'<figure>\n<div class="canvas" role="group" tabindex="0" aria-label="{label}">'
        f"{inline_svg[chart.name]}</div>\n"
        f'<figcaption>{escape(chart.caption)} <span class="links">{links}</span></figcaption>\n'
        "</figure>"
    )


def table(content: Table) -> str:
    """Return a table; one with a `fold` is folded, and a very long one is only linked."""
    if not content.fold:
        return render_html(content)
    summary = escape(content.fold)
    if len(content.rows) <= MAX_ROWS:
        return f"<details><summary>{summary}</summary>\n{render_html(content)}\n</details>"
    number = f"{len(content.rows):,} rows, too many for a page: "
    return f"<p>{summary}: {number}{render_links(content.name)}</p>"


def sample(shown: Sample) -> str:
    """Return one answered question, folded."""
    mark = "right" if shown.is_correct else "wrong"
    run = name_subset(shown.subset)
    if shown.is_trained:
        run = f"{run}, {shown.format}, seed {shown.seed}"
    who = f"{shown.student}, {run}, {shown.mode}"
    parts = {
        "Question": shown.question,
        "Reasoning": shown.reasoning,
        "Answer": shown.answer,
        "Gold": shown.gold,
    }
    rows = "".join(
        f'<dt>{label}</dt><dd class="text">{escape(text or "") or "<i>empty</i>"}</dd>'
        for label, text in parts.items()
    )
    question = escape(" ".join(shown.question.split())[:140])
    return (
        f'<details class="sample"><summary><span class="mark" data-correct="{mark}">{mark}</span> '
        f'<span class="asked">{question}</span> <span class="who">{escape(who)}</span></summary>'
        f"\n<dl>{rows}</dl>\n</details>"
    )


def render_page(title: str, kicker: str, lede: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the whole page: one file, no network, light and dark."""
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    light, dark = theme_variables()
    # The figures' colours have one source, so that page and figures agree.
    theme = f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"
    shown = [section for section in sections if section.body]
    contents = "".join(f'<li><a href="#{s.id}">{escape(s.title)}</a></li>' for s in shown)
    body = "\n".join(
        f'<section id="{s.id}" aria-labelledby="{s.id}-heading">\n'
        f'<h2 id="{s.id}-heading">{escape(s.title)}</h2>\n{s.body}\n</section>'
        for s in shown
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{theme}{css}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header>
<p class="kicker">{escape(kicker)}</p>
<h1>{escape(title)}</h1>
{"".join(paragraph(text, "lede") for text in lede)}
</header>
<nav aria-label="Sections"><ol>{contents}</ol></nav>
<main id="main">
{body}
</main>
<footer><p>Made by a workflow for selecting reasoning traces, built to reproduce NaturalThoughts
(arXiv 2507.01921). One file, no
network. Its tables and figures are next to it in <code>tables/</code> and <code>figures/</code>,
its effects in <code>summary.json</code>.</p></footer>
<script>{FOCUS_SCRIPT}</script>
</body>
</html>
"""
