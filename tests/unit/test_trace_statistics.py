"""Traces, counted."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import TRACES
from nt_pkg.traces import statistics as module
from nt_pkg.traces.statistics import trace_statistics


def write(path: Path, *traces: tuple[str, int, str | None]) -> Path:
    """Write a shard of traces given by status, tokens and reason."""
    fixed: dict[str, Any] = {"reasoning": "r", "answer": "a", "prompt_tokens": 1}
    rows = [
        {**fixed, "id": f"{path.name}{at}", "finish_reason": "stop", "status": status,
         "completion_tokens": tokens, "error": error}
        for at, (status, tokens, error) in enumerate(traces)
    ]  # fmt: skip
    write_parquet(path, TRACES, rows, {"pool": "p", "teacher": "t"})
    return path


def test_all_shards_are_counted_by_status_reason_and_length(tmp_path: Path) -> None:
    shards = [
        write(tmp_path / "0", ("ok", 30, None), ("ok", 10, None), ("incomplete", 99, "cut")),
        write(tmp_path / "1", ("failed", 0, "no text"), ("ok", 20, None), ("incomplete", 5, "cut")),
        write(tmp_path / "2"),
    ]

    found = trace_statistics(shards)

    assert found["num_rows"] == 6
    assert found["status"] == {"failed": 1, "incomplete": 2, "ok": 3}
    assert (found["failed"], found["incomplete"]) == ({"no text": 1}, {"cut": 2})
    assert found["num_tokens"]["mean"] == 20
    quantiles = found["num_tokens"]["quantiles"]
    assert [quantiles[key] for key in ("0", "0.25", "0.5", "0.75", "1")] == [10, 10, 20, 30, 30]
    histogram = dict(zip(found["histogram"]["edges"], found["histogram"]["counts"], strict=False))
    assert {edge: count for edge, count in histogram.items() if count} == {8: 1, 16: 2}
    assert trace_statistics(shards[::-1]) == found


def test_reasons_without_end_do_not_make_a_file_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_REASONS", 2)
    reasons = ["a", "b", "c", "c", "d", "d"]
    path = write(tmp_path / "0", *(("failed", 0, reason) for reason in reasons))

    assert trace_statistics([path])["failed"] == {"c": 2, "d": 2, module.OTHER_REASONS: 2}


def test_no_complete_trace_has_no_length(tmp_path: Path) -> None:
    found = trace_statistics([write(tmp_path / "0", ("failed", 0, "no text"))])

    assert found["num_tokens"] == {"mean": None, "quantiles": {}}
    assert sum(found["histogram"]["counts"]) == 0
