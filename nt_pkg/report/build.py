"""Build the report of a study: page, tables, figures and summary.

The caller reads the files of a study and hands over their contents; nothing here knows where they
lie.

study
    name, title; optional: notes (paragraphs separated by empty lines), is_micro (bool), chance
    (benchmark -> accuracy of a uniform guess), comparisons, claims,
    published.
    A comparison has name, kind, optional claim, and by kind
    difference: a, b (filters);
    scaling: groups (filters, smallest first; the effect is last minus first);
    modes: a and b, or only a without a mode (then think minus no_think).
    A claim is a sentence which says that the difference is positive; null claims nothing. With
    `within` (points) it says that the difference is smaller than that; with `tokens` (longer,
    fewer, alike) it is about lengths.
    claims: see `nt_pkg.report.claims`.
    Filters: see `nt_pkg.report.filters`.
    published: rows of a paper's tables; see `nt_pkg.report.published`.
scores
    Score JSONs; the untrained student has subset and format "none".
subsets, pools, traces, annotations, runs, samples
    Manifests; `histograms` may be missing. Any list may be empty: its sections are then left out.
timings
    Optional wall_seconds, seconds_per_stage {stage: seconds}, startup_share, peak_mib, and rules
    (rule, stage, num_jobs, seconds, reads: other rules); they go into summary.json as they are.

Every score and manifest may carry `source`: {path, spec_digest, command}, listed under provenance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nt_pkg.files.json_files import atomic_path, write_json
from nt_pkg.report import (
    answer_charts,
    data_charts,
    data_tables,
    flow_chart,
    headline,
    reading_tables,
    score_charts,
    score_tables,
    trace_charts,
)
from nt_pkg.report.canvas import Chart, chart_style, save_chart
from nt_pkg.report.cells import Cell, build_cells, find_sizes, find_unsolved
from nt_pkg.report.change_tables import say_changes, tabulate_changes
from nt_pkg.report.changes import compare_summaries
from nt_pkg.report.claims import Claim, judge_claims, tabulate_claims
from nt_pkg.report.earlier import keep_record
from nt_pkg.report.effects import Effect, measure_effects
from nt_pkg.report.page import render_page
from nt_pkg.report.published import tabulate_published
from nt_pkg.report.samples import choose_samples
from nt_pkg.report.sections import Contents, build_sections
from nt_pkg.report.tables import Table, render_csv, render_markdown
from nt_pkg.statistics.ratios import Lengths
from nt_pkg.statistics.tests import Answers

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Inputs:
    """Everything a report is made of; see the module's docstring."""

    study: Record
    scores: Sequence[Record]
    subsets: Sequence[Record]
    pools: Sequence[Record]
    traces: Sequence[Record]
    annotations: Sequence[Record]
    runs: Sequence[Record]
    samples: Sequence[Record]
    timings: Record


def build_report(
    study: dict[str, Any],
    scores: list[dict[str, Any]],
    subsets: list[dict[str, Any]],
    pools: list[dict[str, Any]],
    traces: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    runs: list[dict[str, Any]],
    samples: list[dict[str, Any]],
    timings: dict[str, Any],
    out_dir: Path,
    answers: Answers | None = None,
    earlier: Record | None = None,
    lengths: Lengths | None = None,
) -> None:
    """Write index.html, tables/, figures/ and summary.json of a study into `out_dir`.

    The same inputs give the same bytes. Shapes are described at the top of this module. `answers`
    gives the share right of every question of a score, for comparisons with too few seeds;
    `lengths` gives the mean tokens, for those about lengths.
    `earlier` is the summary of an earlier report: the page says what changed since.

    Raises:
        ValueError: a comparison is ambiguous or names what does not exist.
    """
    inputs = Inputs(study, scores, subsets, pools, traces, annotations, runs, samples, timings)
    chance = study.get("chance") or {}
    cells = build_cells(scores, find_sizes(subsets, runs))
    effects = measure_effects(
        study.get("comparisons") or [], scores, answers, study.get("published") or [], lengths
    )
    claims = judge_claims(study.get("claims") or [], effects)
    opening = [headline.say_what_was_run(scores, pools, traces)]
    warnings, findings = _say_headline(inputs, cells, effects, claims)
    with chart_style():
        charts = _draw_charts(inputs, cells, effects)
        inline = {chart.name: save_chart(chart, out_dir / "figures") for chart in charts}
    tables = [
        *([found] if (found := tabulate_claims(claims)) else []),
        *_tabulate(inputs, cells, effects),
    ]
    summary = _summarise(inputs, effects, claims)
    if earlier is not None:
        changes = compare_summaries(earlier, summary)
        opening.append(say_changes(changes, str(study.get("earlier"))))
        tables += tabulate_changes(changes)
    for table in tables:
        _write_table(table, out_dir / "tables")
    contents = Contents(
        study=study,
        opening=opening,
        warnings=warnings,
        findings=findings,
        seed_scope=headline.say_seed_scope(subsets),
        num_tested=sum(effect.p_value is not None for effect in effects),
        benchmarks=sorted({cell.benchmark for cell in cells}),
        charts={chart.name: chart for chart in charts},
        inline_svg=inline,
        tables={table.name: table for table in tables},
        samples=choose_samples(samples),
        timings=timings,
        has_chance=bool(chance),
        is_compared=earlier is not None,
    )
    lede = [text.strip() for text in str(study.get("notes") or "").split("\n\n") if text.strip()]
    page = render_page(
        study["title"],
        f"NaturalThoughts workflow \u00b7 study {study['name']}",
        lede,
        build_sections(contents),
    )
    with atomic_path(out_dir / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    said = [*opening, *warnings, *map(str, findings)]
    write_json(out_dir / "summary.json", {**summary, "headline": said})


def _say_headline(
    inputs: Inputs, cells: Sequence[Cell], effects: Sequence[Effect], claims: Sequence[Claim]
) -> tuple[list[str], list[headline.Finding]]:
    chance = inputs.study.get("chance") or {}
    unsolved = find_unsolved(cells, chance)
    num_trained = len({cell.benchmark for cell in cells if cell.is_trained})
    warnings = [
        headline.MICRO_WORLD if inputs.study.get("is_micro") else "",
        headline.say_unsolved(unsolved, chance, num_trained),
    ]
    # Differences between students that all fail do not belong into a headline.
    is_hopeless = bool(unsolved) and len(unsolved) == num_trained
    findings = [] if is_hopeless else headline.say_effects(effects, claims)
    return [text for text in warnings if text], findings


def _draw_charts(inputs: Inputs, cells: Sequence[Cell], effects: Sequence[Effect]) -> list[Chart]:
    study = inputs.study
    drawn = (
        score_charts.draw_effects(effects),
        score_charts.draw_scaling(
            study.get("comparisons") or [],
            cells,
            study.get("chance") or {},
            study.get("published") or [],
        ),
        score_charts.draw_tokens(cells, study.get("published") or []),
        answer_charts.draw_difficulty(cells),
        answer_charts.draw_lengths(inputs.scores, cells),
        data_charts.draw_selectors(inputs.subsets, inputs.pools),
        trace_charts.draw_trace_lengths(inputs.subsets, inputs.pools),
        trace_charts.draw_strategies(inputs.pools),
        data_charts.draw_losses(inputs.runs),
        flow_chart.draw_flow(inputs.timings.get("rules") or []),
        data_charts.draw_costs(inputs.timings.get("seconds_per_stage") or {}),
    )
    return [chart for chart in drawn if chart is not None]


def _tabulate(inputs: Inputs, cells: Sequence[Cell], effects: Sequence[Effect]) -> list[Table]:
    study = inputs.study
    stages = {
        **{"prompts": inputs.pools, "traces": inputs.traces, "annotations": inputs.annotations},
        **{"subsets": inputs.subsets, "sft": inputs.runs, "evals": inputs.scores},
    }
    made = (
        score_tables.tabulate_effects(effects),
        *(
            score_tables.tabulate_scores(cells, benchmark, study.get("chance") or {})
            for benchmark in sorted({cell.benchmark for cell in cells})
        ),
        score_tables.tabulate_rates(cells) if cells else None,
        reading_tables.tabulate_readings(inputs.scores),
        score_tables.tabulate_categories(cells),
        reading_tables.tabulate_levels(inputs.scores),
        *tabulate_published(
            study.get("published") or [], cells, is_micro=bool(study.get("is_micro"))
        ),
        data_tables.tabulate_subsets(inputs.subsets),
        data_tables.tabulate_runs(inputs.runs),
        data_tables.tabulate_lost(
            inputs.pools, inputs.traces, inputs.annotations, inputs.runs, inputs.scores
        ),
        data_tables.tabulate_costs(inputs.timings.get("seconds_per_stage") or {}),
        data_tables.tabulate_sampling(inputs.scores),
        data_tables.tabulate_sources(stages),
    )
    return [table for table in made if table is not None]


def _write_table(table: Table, folder: Path) -> None:
    with atomic_path(folder / f"{table.name}.csv") as path:
        path.write_text(render_csv(table.rows), encoding="utf-8")
    with atomic_path(folder / f"{table.name}.md") as path:
        path.write_text(render_markdown(table), encoding="utf-8")


def _summarise(
    inputs: Inputs, effects: Sequence[Effect], claims: Sequence[Claim]
) -> dict[str, Any]:
    return {
        **inputs.timings,
        **keep_record(inputs.scores, inputs.runs, inputs.subsets, inputs.pools, inputs.traces),
        "study": inputs.study["name"],
        "effects": [
            {
                **{"name": e.name, "kind": e.kind, "claim": e.claim, "verdict": e.verdict},
                **{"difference": e.difference, "standard_error": e.standard_error},
                "interval": list(e.interval) if e.interval else None,
                **{"p_value": e.p_value, "p_value_raw": e.p_value_raw, "num_seeds": e.num_seeds},
                **{"tokens_ratio": e.tokens_ratio, "benchmark": e.benchmark, "note": e.note},
                **{"basis": e.basis, "paper": e.paper, "contrast": e.contrast},
                **{"within": e.within, "tokens": e.tokens, "tokens_error": e.tokens_error},
                "tokens_interval": list(e.tokens_interval) if e.tokens_interval else None,
            }
            for e in effects
        ],
        "claims": [
            {
                "name": c.name,
                "text": c.text,
                "verdict": c.verdict,
                "parts": [e.name for e in c.parts],
            }
            for c in claims
        ],
    }
