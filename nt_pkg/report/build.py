"""Build the report of a study: page, tables, figures and summary.

The caller reads the files of a study and passes their contents as records; nothing here knows
where the files are. Tables and figures are modules of `nt_pkg.report.parts`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from nt_pkg.files.json_files import atomic_path, write_json
from nt_pkg.report.browser import FOLDER, Page, render_browser
from nt_pkg.report.canvas import Chart, chart_style, save_chart
from nt_pkg.report.cells import build_cells, find_sizes
from nt_pkg.report.changes.compare import compare_summaries
from nt_pkg.report.effects import LengthsOf, measure_effects
from nt_pkg.report.gains import measure_gains
from nt_pkg.report.headline import say_headline
from nt_pkg.report.material import Material
from nt_pkg.report.page import render_page
from nt_pkg.report.parts._base import Drawn, draw_part, load_parts
from nt_pkg.report.records import Inputs
from nt_pkg.report.runs import AnswersOf, Runs
from nt_pkg.report.sections import build_sections
from nt_pkg.report.summary import KeptClaim, Summary, summarise
from nt_pkg.report.tables import Table, render_csv, render_markdown
from nt_pkg.report.truth import judge_truth


def build_report(
    inputs: Inputs,
    out_dir: Path,
    answers: AnswersOf | None = None,
    lengths: LengthsOf | None = None,
    earlier: Summary | None = None,
) -> None:
    """Write index.html, tables/, figures/, pages/ and summary.json of a study into `out_dir`.

    The same inputs give the same bytes.

    Args:
        inputs: the records of the study.
        out_dir: folder of the report.
        answers: returns the share of right answers per question of a score.
        lengths: returns the mean tokens per question of a score, for comparisons of lengths.
        earlier: summary of an earlier report; the page then says what changed since.

    Raises:
        ValueError: a comparison is ambiguous or names something unknown, or two parts of the page
            have the same name.
    """
    report = inputs.study.report
    stated = report.training_sd
    effects, claims = measure_effects(
        report.comparisons,
        inputs.scores,
        answers,
        report.published,
        lengths,
        claims=report.claims,
        runs=inputs.runs,
        training_sd=None if stated is None else stated / 100,
        labels=inputs.study.labels,
    )
    known = Runs(inputs.scores, answers, None if stated is None else stated / 100)
    gains, predictions = measure_gains(inputs.scores, inputs.subsets, known)
    material = Material(
        **vars(inputs),
        cells=build_cells(inputs.scores, find_sizes(inputs.subsets, inputs.runs)),
        effects=effects,
        claims=claims,
        judged=judge_truth(
            report.comparisons,
            effects,
            inputs.scores,
            inputs.subsets,
            inputs.truth,
            inputs.recipes,
            inputs.runs,
        ),
        gains=gains,
        predictions=predictions,
    )
    summary = _summarise(material)
    if earlier is not None:
        changes = compare_summaries(earlier, summary, str(report.earlier))
        material = dataclasses.replace(material, changes=changes)
    headline = say_headline(material)
    with chart_style():
        drawn = draw_parts(material)
        charts = [each for each in _all(drawn) if isinstance(each, Chart)]
        inline = {chart.name: save_chart(chart, out_dir / "figures") for chart in charts}
    kicker = f"NaturalThoughts workflow \u00b7 study {inputs.study.name}"
    (out_dir / FOLDER).mkdir(parents=True, exist_ok=True)  # declared, and may stay empty
    for each in _all(drawn):
        if isinstance(each, Table):
            _write_table(each, out_dir / "tables")
        if isinstance(each, Page):
            with atomic_path(out_dir / FOLDER / f"{each.name}.html") as path:
                path.write_text(render_browser(each, kicker), encoding="utf-8")
    page = render_page(
        report.title,
        kicker,
        [text.strip() for text in report.notes.split("\n\n") if text.strip()],
        build_sections(material, drawn, inline),
    )
    with atomic_path(out_dir / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    summary = dataclasses.replace(summary, headline=headline.lines)
    write_json(out_dir / "summary.json", dataclasses.asdict(summary))


def draw_parts(material: Material) -> dict[str, list[Drawn]]:
    """Return the tables and figures of the page by section, in their order.

    Raises:
        ValueError: two of them would be written to the same file.
    """
    drawn: dict[str, list[Drawn]] = {}
    for part in load_parts():
        if found := draw_part(part, material):
            drawn.setdefault(part.section, []).extend(found)
    names = [(type(each), each.name) for each in _all(drawn)]
    for kind, name in names:
        if names.count((kind, name)) > 1:
            raise ValueError(
                f"two parts of the report draw a {kind.__name__.lower()} named {name!r}"
            )
    return drawn


def _all(drawn: Mapping[str, Sequence[Drawn]]) -> list[Drawn]:
    return [each for found in drawn.values() for each in found]


def _summarise(material: Material) -> Summary:
    claims = [
        KeptClaim(
            name=claim.name,
            text=claim.text,
            verdict=claim.verdict,
            parts=[part.name for part in claim.parts],
        )
        for claim in material.claims
    ]
    return summarise(material, material.effects, claims, material.judged)


def _write_table(table: Table, folder: Path) -> None:
    with atomic_path(folder / f"{table.name}.csv") as path:
        path.write_text(render_csv(table.rows), encoding="utf-8")
    with atomic_path(folder / f"{table.name}.md") as path:
        path.write_text(render_markdown(table), encoding="utf-8")
