"""The table of rows lost between stages, or counted as wrong, with the reason."""

from collections import Counter
from collections.abc import Sequence

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.records import Counts, Run, Score, Subset
from nt_pkg.report.tables import Column, Row, Table
from nt_pkg.report.wording import show_count, show_percent


def tabulate_lost(material: Material) -> Table | None:
    """Return every row that was lost, by stage and reason."""
    rows: list[Row] = []
    for pool in material.pools:
        asked = f", each then asked {pool.samples} times" if pool.samples > 1 else ""
        rows += _lose("prompts", f"{pool.pool}{asked}", pool.num_rows_in, pool.dropped)
    for trace in material.traces:
        incomplete = {f"incomplete: {why}": num for why, num in trace.incomplete.items()}
        where = f"{trace.pool} / {trace.teacher}"
        rows += _lose("traces", where, trace.num_rows, {**trace.failed, **incomplete})
    several = len({(each.pool, each.teacher) for each in material.traces}) > 1
    for entry in material.annotations:
        of = f"{entry.pool} / " if several else ""
        rows += _lose("annotations", f"{of}{entry.annotator}", entry.num_rows, entry.failed)
    rows += _lose_choices(material.subsets)
    rows += _lose_runs(material.runs)
    rows += _lose_answers(material.scores)
    if not rows:
        return None
    columns = (
        Column("stage", "Stage"),
        Column("where", "Where"),
        Column("reason", "Reason"),
        Column("num_lost", "Rows", "number", lambda r: show_count(r["num_lost"])),
        Column("num_rows", "Of", "number", lambda r: show_count(r["num_rows"])),
        Column("share", "%", "number", lambda r: show_percent(r["share"])),
    )
    return Table("rows_lost", "Lost rows, by stage and reason.", columns, tuple(rows))


def _lose(stage: str, where: str, num_rows: int, reasons: Counts) -> list[Row]:
    lost = {reason: count for reason, count in reasons.items() if count}
    return [
        {
            "stage": stage,
            "where": where,
            "reason": reason,
            "num_lost": count,
            "num_rows": num_rows,
            "share": count / num_rows if num_rows else None,
        }
        for reason, count in sorted(lost.items()) or [("nothing lost", 0)]
    ]


def _lose_choices(subsets: Sequence[Subset]) -> list[Row]:
    """Return the questions that no answer stands for, where one answer per question is chosen."""
    rows: list[Row] = []
    chosen = [each for each in subsets if each.one_per_question]
    for name in sorted({each.subset for each in chosen}):
        draws = [each.one_per_question for each in chosen if each.subset == name]
        questions, kept = (sum(each[key] for each in draws) for key in ("questions", "chosen"))
        where = f"{name}, questions, over all seeds"
        rows += _lose("subsets", where, questions, {"no right answer": questions - kept})
    return rows


def _lose_runs(runs: Sequence[Run]) -> list[Row]:
    totals: dict[str, Counter[str]] = {}
    examples: Counter[str] = Counter()
    for run in runs:
        where = f"{run.student} / {run.format}"
        examples[where] += run.num_examples
        totals.setdefault(where, Counter()).update(run.dropped)
    return [
        row
        for where in sorted(totals)
        for row in _lose("sft", where, examples[where], totals[where])
    ]


def _lose_answers(scores: Sequence[Score]) -> list[Row]:
    rows: list[Row] = []
    for benchmark in sorted({score.benchmark for score in scores}):
        inside = [score for score in scores if score.benchmark == benchmark]
        answers = [score.num_questions * score.repeats for score in inside]
        counted = list(zip(inside, answers, strict=True))
        reasons = {
            "generation failed": sum(score.failed for score in inside),
            "cut at the token limit": round(sum(s.truncation_rate * n for s, n in counted)),
            "no readable answer": round(sum(s.no_answer_rate * n for s, n in counted)),
        }
        rows += _lose("evals", benchmark, sum(answers), reasons)
    return rows


PART = Part(section="rows-lost", place=10, draw=tabulate_lost)
