"""Rows of a made-up study: texts, labels, answers, questions of benchmarks, and scores."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.data.labels import LABELS
from benchmarks.data.rows import Book, Language, stated
from nt_pkg.annotators.domain import DOMAINS
from nt_pkg.files.schemas import Row
from nt_pkg.files.vectors import encode
from nt_pkg.identity.question_id import question_id

Draw = np.random.Generator
_REASONING_WORDS, _ANSWER_WORDS, _SECOND_WORDS, _GRADED_WORDS = 400, 120, 60, 120
_QUESTION_WORDS, _TEST_WORDS = 55, 70
_BLOCK_ROWS = 1000
_DIMENSIONS = 384
_BY_MODELS = ("agreement", "domain", "strategies", "verbosity")  # some of whose labels fail
_CUT_EVERY, _FAILED_EVERY = 50, 400


def prompts(book: Book, ids: Sequence[str], seed: int) -> Iterator[Row]:
    """Yield the rows of a pool."""
    language, draw = Language(seed=50 + seed), np.random.default_rng([6, seed])
    for first, block in _blocks(ids):
        answers = _pieces(book, draw, len(block), _SECOND_WORDS)
        texts = language.texts(len(block), _QUESTION_WORDS)
        for at, (row_id, question, answer) in enumerate(
            zip(block, texts, answers, strict=True), first
        ):
            yield {
                "id": row_id,
                "question": question,
                "reference_answer": answer[:40] if at % 5 else None,
                "second_answer": answer,
                "replay": None,
                "columns": None,
                "source_row": at,
            }


def traces(book: Book, ids: Sequence[str], seed: Sequence[int]) -> Iterator[Row]:
    """Yield the traces of a shard, of which every fiftieth was cut."""
    draw = np.random.default_rng(seed)
    for _, block in _blocks(ids):
        told = _pieces(book, draw, len(block), _REASONING_WORDS)
        answers = _pieces(book, draw, len(block), _ANSWER_WORDS)
        for at, (row_id, reasoning, answer) in enumerate(zip(block, told, answers, strict=True)):
            is_cut = at % _CUT_EVERY == 3
            yield {
                "id": row_id,
                "status": "incomplete" if is_cut else "ok",
                "reasoning": reasoning,
                "answer": "" if is_cut else f"{answer}\n\n\\boxed{{{stated(draw)}}}",
                "prompt_tokens": 75,
                "completion_tokens": len(reasoning) // 4,
                "finish_reason": "length" if is_cut else "stop",
                "error": "reasoning not closed" if is_cut else None,
            }


def labels(annotator: str, ids: Sequence[str], seed: Sequence[int]) -> Iterator[Row]:
    """Yield the labels of a shard; every four hundredth of a model has failed."""
    draw = np.random.default_rng(seed)
    for at, (row_id, value) in enumerate(zip(ids, _values(annotator, draw, len(ids)), strict=True)):
        if annotator in _BY_MODELS and at % _FAILED_EVERY == 7:
            yield {"id": row_id, "status": "failed", "value": None, "error": "no label in it"}
        else:
            yield {"id": row_id, "status": "ok", "value": json.dumps(value), "error": None}


def _values(annotator: str, draw: Draw, number: int) -> Iterator[Any]:
    if annotator == "embedding":
        for first in range(0, number, _BLOCK_ROWS):
            yield from encode(draw.normal(size=(min(_BLOCK_ROWS, number - first), _DIMENSIONS)))
    elif annotator == "domain":
        yield from (DOMAINS[at] for at in draw.integers(0, len(DOMAINS), number))
    else:
        yield from (LABELS[annotator](draw) for _ in range(number))


def grades(book: Book, items: Sequence[str], right: NDArray[np.bool_], draw: Draw) -> Iterator[Row]:
    """Yield the verdict on every answer of a run, shape (questions, repeats)."""
    for item, row in zip(items, right.tolist(), strict=True):
        answers = _pieces(book, draw, len(row), _GRADED_WORDS)
        for repeat, (is_right, answer) in enumerate(zip(row, answers, strict=True)):
            yield {
                "question_id": item,
                "repeat": repeat,
                "answer": answer,
                "extracted": "B" if repeat % 9 else None,
                "is_correct": is_right,
            }


def answers(items: Sequence[str], repeats: int, draw: Draw) -> Iterator[Row]:
    """Yield the answers of a run without their text."""
    for item in items:
        for repeat, tokens in enumerate(draw.integers(100, 9000, repeats).tolist()):
            yield {
                "question_id": item,
                "repeat": repeat,
                "text": "",
                "completion_tokens": tokens,
                "finish_reason": "stop",
                "status": "ok",
                "error": None,
            }


def score(right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return what a score file says of a run, but for its names."""
    accuracy = float(right.mean())
    part = {"accuracy": accuracy, "standard_error": 0.02, "num": 40}
    shown = {"question": "Why? " * 60, "reasoning": "So. " * 3000, "answer": "B", "gold": "B"}
    return {
        "num_questions": len(right),
        "repeats": right.shape[1],
        "accuracy": accuracy,
        "standard_error": 0.01,
        "by_category": {f"group {n}": part for n in range(13)},
        "mean_tokens": 8000.0,
        "median_tokens": 7000.0,
        "token_histogram": {"edges": [0, *(2**n for n in range(15))], "counts": [9] * 15},
        "truncation_rate": 0.02,
        "no_answer_rate": 0.03,
        "thinking_rate": 0.9,
        "failed": 0,
        "sampling": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 16384},
        "examples": [{**shown, "is_correct": n % 2 == 0} for n in range(4)],
        "spec": {},
    }


def write_questions(folder: Path, benchmark: str, number: int) -> None:
    """Write the file of a benchmark in its real shape."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = Language(seed=200 + len(benchmark)).texts(number, _TEST_WORDS)
    rows = [_QUESTIONS[benchmark](at, text) for at, text in enumerate(texts)]
    if benchmark == "mmlu_pro":
        pq.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
    elif benchmark == "gpqa_diamond":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        (folder / "gpqa_diamond.csv").write_text("\n".join(lines) + "\n")
    else:
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _gpqa(at: int, text: str) -> dict[str, str]:
    plain = text.replace(",", "").replace('"', "")
    return {
        "Record ID": f"rec{at:04d}",
        "Question": plain,
        "Correct Answer": f"{plain[:40]} 4",
        **{f"Incorrect Answer {n}": f"{plain[:40]} {n}" for n in (1, 2, 3)},
        "High-level domain": ("Physics", "Chemistry", "Biology")[at % 3],
        "Subdomain": f"Part {at % 2}",
    }


def _mmlu_pro(at: int, text: str) -> dict[str, Any]:
    return {
        "question_id": 70 + at,
        "question": text,
        "options": _options(text),
        "answer": "ABCDEFGHIJ"[at % 10],
        "answer_index": at % 10,
        "cot_content": "",
        "category": ("math", "law", "physics", "history", "other")[at % 5],
        "src": "stemez-Math",
    }


def _supergpqa(at: int, text: str) -> dict[str, Any]:
    return {
        "uuid": question_id(f"supergpqa {at}"),
        "question": text,
        "options": _options(text),
        "answer": _options(text)[at % 10],
        "answer_letter": "ABCDEFGHIJ"[at % 10],
        "discipline": DOMAINS[at % 6],
        "field": f"Field {at % 72}",
        "subfield": f"Subfield {at % 285}",
        "difficulty": ("easy", "middle", "hard")[at % 3],
        "is_calculation": False,
    }


def _math500(at: int, text: str) -> dict[str, Any]:
    return {
        "problem": text,
        "solution": "So.",
        "answer": str(at % 9),
        "subject": ("Algebra", "Geometry", "Number Theory")[at % 3],
        "level": 1 + at % 5,
        "unique_id": f"test/{at}.json",
    }


_QUESTIONS: dict[str, Callable[[int, str], dict[str, Any]]] = {
    "gpqa_diamond": _gpqa,
    "math500": _math500,
    "mmlu_pro": _mmlu_pro,
    "supergpqa": _supergpqa,
}


def _options(text: str) -> list[str]:
    return [f"{text[n : n + 60]} {n}" for n in range(10)]


def _blocks(ids: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    for first in range(0, len(ids), _BLOCK_ROWS):
        yield first, ids[first : first + _BLOCK_ROWS]


def _pieces(book: Book, draw: Draw, number: int, words: int) -> list[str]:
    lengths = draw.lognormal(np.log(words), 0.5, number).clip(5, 14_000)
    return book.pieces(draw, lengths.astype(np.int64))
