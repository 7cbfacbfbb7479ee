"""The reproduction page: every published number, our run for it, and our number.

Ours are what `docs/reproduction.json` holds (shares, not per cent):

    {"date": "2026-01-31", "commit": "...",
     "numbers": [{"table": "1", "row": "LIMO, 817", "benchmark": "math500", "ours": 0.565,
                  "standard_error": 0.011, "tokens": 5012.3}],
     "effects": {"random-1k-vs-limo": {"difference": 0.02, "standard_error": 0.01,
                 "tokens_ratio": 1.1, "verdict": "supported"}},
     "claims": {"C2": "supported"}}

`scripts.reproduction` writes it from a finished report; without it, nothing has been run.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nt_pkg.config.filters import expand_comparison
from nt_pkg.config.published import find_published_effect
from nt_pkg.config.report import Published, Report
from nt_pkg.plan.study_plan import Plan
from nt_pkg.report.records import read_record
from nt_pkg.report.summary import read_summary
from nt_pkg.report.tables import Column, Row, Table, render_markdown
from nt_pkg.report.wording import show_count, show_percent, show_plural, show_points, show_ratio
from nt_pkg.statistics.verdicts import NO_DATA

STUDY = "paper"
NOT_RUN = "not run yet"
_INTRO = """# Reproduction

Generated from `config/paper_numbers.yaml` and `config/paper_claims.yaml` by `make schema`; a test
fails when it is stale.

{state}

- [What is needed](#what-is-needed)
- [Every number](#every-number)
- [Every claim](#every-claim)

## What is needed

The study is [planned](paper_map.md): {num_trainings}, {num_scores}, for {num_published}.
What is missing for our own numbers:

- **A teacher.** The traces of `natural-reasoning` come from DeepSeek-R1, which each of its jobs
  serves on
  [two nodes of eight H100, or one of eight H200](cluster.md#a-teacher-over-several-nodes).
- **GPUs.** One node of eight for the students of 7 and 8 billion parameters, four such nodes for
  the student of 70 billion ([what the jobs ask for](cluster.md#what-the-papers-jobs-ask-for)).
- **The hub.** Stage `assets` fetches data sets and models on the login node. For GPQA and some of
  the models you must accept the terms on the hub and set `HF_TOKEN`.
{commits}- **A first hour.** Nothing of it has run on a GPU yet ([what is there today](status.md)).

```sh
make paper-dry-run   # shows what would run, and what is missing
snakemake --profile slurm all --configfile {file}
python -m scripts.reproduction results/report/paper   # puts its numbers on this page
```

For the run `STUDENT / SUBSET / FORMAT / MODE` of the tables below, the file of one number is
`results/evals/STUDENT/SUBSET/FORMAT/seed0/BENCHMARK/MODE.json`.
Ask Snakemake for this file instead of `all`, and it makes only what the file needs.
"""
_NUMBERS = """
## Every number

Accuracy is in per cent; tokens are the mean per answer.
The numbers come from digests of the paper, and marks say how sure each is: A, stated by two sources
or more; B, by one.
Numbers that no source states are left out; some sources
[disagree](paper_map.md#where-the-sources-disagree).
Points are ours minus the paper's, and s.e. is the standard error of ours.
"""
_CLAIMS = """
## Every claim

The comparisons that each claim rests on.
Differences are in points; for tokens, ours is a ratio. The paper's is given if both of its
numbers are known.
A claim is supported if all its comparisons are; [reading a report](report.md) says how they are
tested. With one training of each side, a verdict is about these two models only.
"""


@dataclass(frozen=True)
class OwnNumber:
    """Our number for a published one."""

    table: str
    row: str
    benchmark: str
    ours: float | None
    standard_error: float | None
    tokens: float | None


@dataclass(frozen=True)
class OwnEffect:
    """The result of one of our comparisons; empty if it was not run.

    benchmark: what it is of, as in `Effect`; "" if it is of those that the comparison names.
    """

    difference: float | None = None
    standard_error: float | None = None
    tokens_ratio: float | None = None
    verdict: str | None = None
    benchmark: str = ""


@dataclass(frozen=True)
class Ours:
    """What docs/reproduction.json holds: effects and verdicts of claims by name."""

    numbers: Sequence[OwnNumber] = ()
    effects: Mapping[str, OwnEffect] = field(default_factory=dict)
    claims: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    commit: str = ""


def reproduction_page(plan: Plan, ours: Ours | None, file: str) -> str:
    """Return the page as Markdown.

    Args:
        plan: the paper's study, with its published numbers and claims.
        ours: see the module's docstring; None if nothing was run.
        file: the study.
    """
    report = plan.study.report
    known = ours or Ours()
    cells = [cell for row in report.published for cell in _cells(row, known)]
    commits = "".join(
        f"- **A commit.** `{line.partition(':')[0]}`:{line.partition(':')[2]}.\n"
        for line in plan.missing_commits()
    )
    parts = [
        _INTRO.format(
            state=_say_state(cells, ours),
            num_trainings=show_plural(len(plan.sft()), "training"),
            num_scores=show_plural(len(plan.evals()), "score"),
            num_published=show_plural(len(cells), "published number"),
            commits=commits,
            file=file,
        ),
        _NUMBERS,
    ]
    for name in dict.fromkeys(cell["table"] for cell in cells):
        rows = tuple(cell for cell in cells if cell["table"] == name)
        parts.append(f"\n### Table {name}\n{_render(_NUMBER_COLUMNS, rows)}")
    parts.append(_CLAIMS)
    parts.append(_render(_CLAIM_COLUMNS, tuple(_claim_rows(report, known))))
    return "".join(parts)


def read_report(folder: Path) -> Ours:
    """Return what the page needs from a finished report, without date and commit.

    Raises:
        ValueError: it is not the report of the paper's study, or has no published numbers.
    """
    summary = read_summary(folder)
    if summary.study != STUDY:
        raise ValueError(
            f"{folder} is the report of study {summary.study!r}: only that of {STUDY!r} has "
            "the runs of the published numbers"
        )
    numbers = [
        read_record(OwnNumber, {key: value or None for key, value in row.items()}, path)
        for path in sorted((folder / "tables").glob("paper-*.csv"))
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        if row["ours"]
    ]
    if not numbers:
        raise ValueError(
            f"{folder} has none of our numbers next to published ones: build it with "
            "a study that includes config/paper_numbers.yaml, as config/paper.yaml does"
        )
    effects = {
        effect.name: OwnEffect(
            effect.difference,
            effect.standard_error,
            effect.tokens_ratio,
            effect.verdict,
            effect.benchmark,
        )
        for effect in summary.effects
    }
    return Ours(numbers, effects, {claim.name: claim.verdict for claim in summary.claims})


def _cells(row: Published, ours: Ours) -> Iterator[Row]:
    found = {
        each.benchmark: each
        for each in ours.numbers
        if (each.table, each.row) == (row.table, row.row)
    }
    run = " / ".join(row.filter.values())
    note = row.note
    for kind, published in (("accuracy", row.accuracy), ("tokens", row.tokens)):
        scale = 100 if kind == "accuracy" else 1
        for benchmark, paper in published.items():
            own = found.get(benchmark)
            yield {
                **{"table": row.table, "row": row.row, "note": note, "run": run, "kind": kind},
                **{"benchmark": benchmark, "paper": paper / scale},
                "mark": row.marks.get(benchmark, ""),
                "ours": _measured(own, kind),
                "standard_error": own.standard_error if own and kind == "accuracy" else None,
            }
            note = ""  # once a row


def _measured(own: OwnNumber | None, kind: str) -> float | None:
    if own is None:
        return None
    return own.ours if kind == "accuracy" else own.tokens


def _claim_rows(report: Report, ours: Ours) -> Iterator[Row]:
    everywhere = sorted({name for row in report.published for name in row.accuracy})
    comparisons = {each.name: each for each in report.comparisons}
    for claim in report.claims:
        verdict = ours.claims.get(claim.name, NOT_RUN)
        heading = f"**{claim.name}.** {claim.text.rstrip('.')}: {verdict}"
        for name in claim.comparisons:
            comparison = comparisons[name]
            a, b = expand_comparison(comparison)
            named = a.get("benchmark") or everywhere
            benchmarks = [named] if isinstance(named, str) else list(named)
            paper = find_published_effect(report.published, (a, b), benchmarks)
            yield {
                **{"claim": heading, "says": comparison.claim, "tokens": comparison.tokens},
                "where": ", ".join(benchmarks)
                if len(benchmarks) < len(everywhere)
                else "mean of all",
                "paper": None if comparison.tokens else paper,
                **vars(_of_these(ours.effects.get(name, OwnEffect()), benchmarks)),
            }
            heading = ""


def _of_these(own: OwnEffect, benchmarks: Sequence[str]) -> OwnEffect:
    """Return our result if it is of these benchmarks; one of fewer cannot stand by the paper's."""
    wanted = benchmarks[0] if len(benchmarks) == 1 else f"mean of {len(benchmarks)}"
    return own if own.benchmark in ("", wanted) else OwnEffect(verdict=NO_DATA)


def _say_state(cells: Sequence[Row], ours: Ours | None) -> str:
    done = sum(cell["ours"] is not None for cell in cells)
    if not ours or not done:
        return (
            "**No number of the paper has been reproduced yet.**\n"
            "The demo's numbers come from the micro-world and do not replace them."
        )
    return (
        f"{done:,} of {len(cells):,} published numbers have ours next to them, from a report of "
        f"{ours.date} at commit {ours.commit}."
    )


def _render(columns: Sequence[Column], rows: tuple[Row, ...]) -> str:
    return render_markdown(Table("", "", tuple(columns), rows))[1:]


def _show(row: Row, key: str) -> str:
    return show_percent(row[key]) if row["kind"] == "accuracy" else show_count(row[key])


def _show_own(row: Row) -> str:
    return NOT_RUN if row["ours"] is None else _show(row, "ours")


def _show_difference(row: Row) -> str:
    if row["ours"] is None or row["kind"] == "tokens":
        return ""
    return show_points(row["ours"] - row["paper"])


def _show_effect(row: Row) -> str:
    if row["verdict"] is None:
        return NOT_RUN
    return show_ratio(row["tokens_ratio"]) if row["tokens"] else show_points(row["difference"])


_ERROR = Column(
    "standard_error",
    "s.e.",
    "number",
    lambda r: "" if r["standard_error"] is None else show_percent(r["standard_error"]),
)
_NUMBER_COLUMNS = (
    Column("row", "Row", detail=lambda r: str(r["note"])),
    Column("benchmark", "Benchmark", detail=lambda r: "tokens" if r["kind"] == "tokens" else ""),
    Column("paper", "Paper", "number", lambda r: _show(r, "paper")),
    Column("mark", "Mark"),
    Column("ours", "Ours", "number", _show_own),
    _ERROR,
    Column("difference", "Points", "number", _show_difference),
    Column("run", "Run", "code", lambda r: f"`{r['run']}`"),
)
_CLAIM_COLUMNS = (
    Column("claim", "Claim"),
    Column("says", "Comparison", detail=lambda r: "" if r["where"] in r["says"] else r["where"]),
    Column("paper", "Paper", "number", lambda r: show_points(r["paper"])),
    Column("difference", "Ours", "number", _show_effect),
    _ERROR,
    Column("verdict", "Verdict", show=lambda r: str(r["verdict"] or "")),
)
