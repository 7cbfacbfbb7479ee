"""Tables about data and work: subsets, training, rows lost, costs, sampling and provenance."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nt_pkg.report.cells import average_seeds
from nt_pkg.report.data_charts import sort_stages
from nt_pkg.report.tables import Column, Table
from nt_pkg.report.wording import DASH, show_count, show_percent, show_seconds

Record = Mapping[str, Any]
Rows = list[dict[str, Any]]


def tabulate_subsets(subsets: Sequence[Record]) -> Table | None:
    """Return the rule, size and parameters of every subset."""
    if not subsets:
        return None
    draws: dict[str, list[Record]] = {}
    for subset in sorted(subsets, key=lambda s: (int(s["size"]), str(s["subset"]))):
        draws.setdefault(subset["subset"], []).append(subset)
    keys = ("subset", "selector", "size", "num_available", "pool", "teacher")
    rows = tuple(
        {
            **{key: members[0][key] for key in keys},
            "seeds": ", ".join(
                str(seed) for seed in sorted({int(m["seed"] or 0) for m in members})
            ),
            "params": _show_settings(members[0].get("params") or {}),
        }
        for members in draws.values()
    )
    columns = (
        Column("subset", "Subset"),
        Column("selector", "Selector"),
        Column("size", "Examples", "number", lambda r: show_count(r["size"])),
        Column("num_available", "Chosen from", "number", lambda r: show_count(r["num_available"])),
        Column("seeds", "Seeds", "number"),
        Column("pool", "Pool"),
        Column("teacher", "Teacher"),
        Column("params", "Parameters", show=lambda r: r["params"] or DASH),
    )
    return Table("subsets", "The subsets and the rules that drew them.", columns, rows)


def tabulate_runs(runs: Sequence[Record]) -> Table | None:
    """Return what was trained: runs of one group in a row, averaged over seeds."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for run in runs:
        groups.setdefault((run["student"], run["subset"], run["format"]), []).append(run)
    rows = []
    for (student, subset, name), members in sorted(
        groups.items(), key=lambda item: (item[0][0], item[1][0]["num_examples"], item[0])
    ):
        loss, error = average_seeds([float(run["final_loss"]) for run in members])
        rows.append(
            {
                **{"subset": subset, "student": student, "format": name},
                "num_seeds": len(members),
                **{k: _mean(members, k) for k in ("num_examples", "num_tokens", "num_steps")},
                "final_loss": loss,
                "final_loss_error": error,
                **{k: _mean(members, k) for k in ("wall_seconds", "tokens_per_second")},
                "ranks": _list_values(members, "world_size"),
                "zero_stage": _list_values(members, "zero_stage"),
            }
        )
    if not rows:
        return None
    is_one_student = len({row["student"] for row in rows}) == 1
    columns = (
        Column("subset", "Subset"),
        *(() if is_one_student else (Column("student", "Student"),)),
        Column("format", "Format"),
        Column("num_seeds", "Seeds", "number"),
        Column("num_examples", "Examples", "number", lambda r: show_count(r["num_examples"])),
        Column("num_tokens", "Tokens seen", "number", lambda r: show_count(r["num_tokens"])),
        Column("num_steps", "Steps", "number", lambda r: show_count(r["num_steps"])),
        Column("final_loss", "Final loss", "number", _show_loss),
        Column("wall_seconds", "Time", "number", lambda r: show_seconds(r["wall_seconds"])),
        Column(
            "tokens_per_second", "Tokens/s", "number", lambda r: show_count(r["tokens_per_second"])
        ),
        Column("ranks", "Ranks", "number"),
        Column("zero_stage", "ZeRO", "number"),
    )
    return Table("training", "Training runs; numbers are means over seeds.", columns, tuple(rows))


def tabulate_lost(
    pools: Sequence[Record],
    traces: Sequence[Record],
    annotations: Sequence[Record],
    runs: Sequence[Record],
    scores: Sequence[Record],
) -> Table | None:
    """Return every row that got lost or counted as wrong on the way, with the reason."""
    rows: Rows = []
    for pool in pools:
        rows += _lose("prompts", pool["pool"], pool["num_rows_in"], pool["dropped"])
    for trace in traces:
        incomplete = {f"incomplete: {why}": num for why, num in trace["incomplete"].items()}
        reasons = {**trace["failed"], **incomplete}
        rows += _lose("traces", f"{trace['pool']} / {trace['teacher']}", trace["num_rows"], reasons)
    for entry in annotations:
        rows += _lose("annotations", entry["annotator"], entry["num_rows"], entry["failed"])
    rows += _lose_runs(runs)
    rows += _lose_answers(scores)
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
    return Table("rows_lost", "Rows lost on the way, by stage and reason.", columns, tuple(rows))


def tabulate_costs(seconds: Mapping[str, float]) -> Table | None:
    """Return seconds per stage and their shares."""
    total = sum(seconds.values())
    rows = tuple(
        {"stage": name, "seconds": seconds[name], "share": seconds[name] / total}
        for name in sort_stages(seconds)
        if seconds[name] > 0
    )
    columns = (
        Column("stage", "Stage"),
        Column("seconds", "Time", "number", lambda r: show_seconds(r["seconds"])),
        Column("share", "% of all", "number", lambda r: show_percent(r["share"])),
    )
    return Table("costs", "Work per stage, summed over its jobs.", columns, rows) if rows else None


def tabulate_sampling(scores: Sequence[Record]) -> Table | None:
    """Return how answers were drawn: one row per benchmark, mode and distinct settings."""
    found: dict[tuple[str, ...], int] = {}
    for score in scores:
        key = (
            *(score["benchmark"], score["mode"], _show_settings(score["sampling"])),
            *(
                str(score["repeats"]),
                str(score["prompt_digest"]),
                _show_settings(score["versions"]),
            ),
        )
        found[key] = found.get(key, 0) + 1
    names = ("benchmark", "mode", "sampling", "repeats", "prompt_digest", "versions")
    rows = tuple(
        dict(zip(names, key, strict=True)) | {"num_scores": found[key]} for key in sorted(found)
    )
    columns = (
        Column("benchmark", "Benchmark"),
        Column("mode", "Mode"),
        Column("sampling", "Sampling"),
        Column("repeats", "Repeats", "number"),
        Column("prompt_digest", "Prompts", "code"),
        Column("versions", "Versions"),
        Column("num_scores", "Scores", "number"),
    )
    caption = "How the answers were drawn. Prompts: digest of all questions as they were sent."
    return Table("sampling", caption, columns, rows) if rows else None


def tabulate_sources(stages: Mapping[str, Sequence[Record]]) -> Table | None:
    """Return path, spec digest and command of every record that carries a `source`."""
    rows = tuple(
        {
            "stage": stage,
            "what": " / ".join(
                str(record[key]) for key in _IDENTITY if record.get(key) is not None
            ),
            "path": record["source"]["path"],
            "spec_digest": record["source"].get("spec_digest"),
            "command": record["source"].get("command"),
        }
        for stage, records in stages.items()
        for record in records
        if record.get("source")
    )
    columns = (
        Column("what", "What"),
        Column("stage", "Stage"),
        Column("path", "File", "code"),
        Column("spec_digest", "Spec", "code"),
        Column("command", "Command that rebuilds it", "code"),
    )
    caption = (
        "Where every number comes from: the file, the digest of all that it depends on besides its "
        "inputs, and the command that makes it anew, given in the folder of the study."
    )
    return Table("provenance", caption, columns, rows) if rows else None


_IDENTITY = (
    *("pool", "teacher", "annotator", "student", "subset", "format"),
    *("seed", "benchmark", "mode"),
)


def _lose(stage: str, where: str, num_rows: int, reasons: Mapping[str, int]) -> Rows:
    lost = {reason: int(count) for reason, count in reasons.items() if count}
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


def _lose_runs(runs: Sequence[Record]) -> Rows:
    totals: dict[str, dict[str, int]] = {}
    examples: dict[str, int] = {}
    for run in runs:
        where = f"{run['student']} / {run['format']}"
        examples[where] = examples.get(where, 0) + int(run["num_examples"])
        reasons = totals.setdefault(where, {})
        for reason, count in run["dropped"].items():
            reasons[reason] = reasons.get(reason, 0) + int(count)
    return [
        row
        for where in sorted(totals)
        for row in _lose("sft", where, examples[where], totals[where])
    ]


def _lose_answers(scores: Sequence[Record]) -> Rows:
    rows: Rows = []
    for benchmark in sorted({score["benchmark"] for score in scores}):
        inside = [score for score in scores if score["benchmark"] == benchmark]
        answers = [int(s["num_questions"]) * int(s["repeats"]) for s in inside]
        counted = list(zip(inside, answers, strict=True))
        reasons = {
            "generation failed": sum(int(s["failed"] or 0) for s in inside),
            "cut at the token limit": round(sum(s["truncation_rate"] * n for s, n in counted)),
            "no readable answer": round(sum(s["no_answer_rate"] * n for s, n in counted)),
        }
        rows += _lose("evals", benchmark, sum(answers), reasons)
    return rows


def _mean(records: Sequence[Record], key: str) -> float:
    return sum(float(record[key]) for record in records) / len(records)


def _list_values(records: Iterable[Record], key: str) -> str:
    return ", ".join(sorted({str(record[key]) for record in records}))


def _show_loss(row: Mapping[str, Any]) -> str:
    loss, error = row["final_loss"], row["final_loss_error"]
    return f"{loss:.3f}" if error is None else f"{loss:.3f} \u00b1 {error:.3f}"


def _show_settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value if isinstance(value, str) else json.dumps(value)}"
        for key, value in sorted(settings.items())
        if value is not None
    )
