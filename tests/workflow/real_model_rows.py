"""Rows for `make real-model`, in files with the columns question, reasoning, answer, reference.

From any JSON lines with these columns, or in the shape of NaturalReasoning, or else made: questions
of the micro-world in words, with its teacher's traces.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from nt_pkg.files.json_files import atomic_path
from nt_pkg.identity.seeds import rng
from nt_pkg.microworld.teacher import write_trace
from nt_pkg.microworld.world import parse_question, pool_rows

Row = dict[str, str]
_MARK = "The final answer is:"


def write_rows(source: Path | None, folder: Path, num_pool: int, num_held: int) -> None:
    """Write `pool.jsonl` and `held.jsonl`, which share no question.

    Args:
        source: JSON lines; None makes rows.
        folder: where the files go.
        num_pool: rows of the pool, or as many as there are.
        num_held: rows that are held out.

    Raises:
        ValueError: the source has too few rows with a question, a reasoning and an answer.
    """
    wanted = num_pool + num_held
    found: dict[str, Row] = {}
    for row in _made(wanted) if source is None else _read(source):
        found.setdefault(row["question"], row)
    rows = list(found.values())
    if len(rows) < 2 * num_held:
        raise ValueError(
            f"{source} has {len(rows)} usable rows, and {2 * num_held} are the least: each needs "
            "texts in question, reasoning and answer, or the shape of NaturalReasoning"
        )
    order = rng("real model rows").sample(range(len(rows)), min(wanted, len(rows)))
    _write(folder / "held.jsonl", [rows[at] for at in order[:num_held]])
    _write(folder / "pool.jsonl", [rows[at] for at in order[num_held:]])


def _write(path: Path, rows: list[Row]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _read(source: Path) -> Iterator[Row]:
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            if isinstance(fields, dict) and (row := _row(fields)):
                yield row


def _row(fields: dict[str, object]) -> Row | None:
    reasoning, reference = fields.get("reasoning"), fields.get("answer")
    if isinstance(answers := fields.get("responses"), list) and answers:
        reasoning = str(answers[0].get("response", "")).partition(_MARK)[0].strip()
        reference = fields.get("reference_answer")
    texts = fields.get("question"), reasoning, reference
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return None
    return _named(*map(str, texts))


def _named(question: str, reasoning: str, reference: str) -> Row:
    """Return a row; students are asked for a box, so they are trained on one."""
    answer = reference if "boxed" in reference else f"The answer is \\boxed{{{reference}}}."
    return {
        "question": question,
        "reasoning": reasoning,
        "answer": answer,
        "reference": reference,
    }


def _made(number: int) -> Iterator[Row]:
    for row in pool_rows(number, 0):
        question = str(row["question"])
        problem = parse_question(question)
        reasoning, _, _ = write_trace(problem, rng("real model", question))
        yield _named(question, reasoning, str(row["reference_answer"]))
