"""Bounds that no result shows: how often a long stage speaks, and how much is kept or quoted."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import httpx2
import pyarrow.parquet as pq
import pytest

from nt_pkg.benchmarks._base import Item
from nt_pkg.engines._server_answers import Retry, check_status
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import SUBSET
from nt_pkg.identity.question_id import normalised_id, question_digits
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts import ingest as ingestion
from nt_pkg.prompts.cleaning import decontamination

ROWS = [RawRow(n, f"What is the number {n} plus {7 * n}?") for n in range(300)]


class Ticking:
    """A clock on which a second passes with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


def read_pool() -> None:
    ingestion.ingest(ROWS, lambda rows: list(rows) and None)


def decontaminate() -> None:
    questions = decontamination.Questions({"m": [Item("q", "Who was the first?", "")]}, 8)
    list(decontamination.Decontamination(questions).mark(ROWS))


@pytest.mark.parametrize(
    ("module", "work"),
    [
        (ingestion, read_pool),
        (decontamination, decontaminate),
    ],
)
def test_a_long_stage_says_how_far_it_is(
    module: ModuleType,
    work: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    clock = Ticking()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(decontamination, "BLOCK_CHARS", 1)  # a row is a block

    work()

    lines = [each for each in caplog.messages if any(char.isdigit() for char in each)]
    assert clock.now / 60 <= len(lines) <= clock.now / 3, lines


def test_limits_of_a_question_and_of_what_is_kept_of_a_dropped_one() -> None:
    """The limit itself fits; of more, people see enough to know the row, and no more."""
    longest = "x" * 20_000
    rows = [RawRow(0, longest), RawRow(1, longest + "y")]

    dropped, counts = ingestion.ingest(rows, lambda kept: list(kept) and None)

    assert counts == {"read": 2, "kept": 1, "too_long": 1}
    assert dropped[0]["excerpt"] == "x" * 200


def test_a_server_that_says_much_is_quoted_in_short() -> None:
    with pytest.raises(Retry) as found:
        check_status(httpx2.Response(500), "no, because " * 1000)

    assert 100 < len(str(found.value)) < 500


def test_files_are_written_in_parts_that_fit_into_memory(tmp_path: Path) -> None:
    rows = [{"rank": n, "id": f"{n:08x}", "score": 0.0} for n in range(60_000)]
    write_parquet(tmp_path / "rows.parquet", SUBSET, rows)
    written = pq.ParquetFile(tmp_path / "rows.parquet").metadata

    assert all(2000 <= written.row_group(n).num_rows <= 50_000 for n in range(2))


def test_ids_of_answers_differ_and_share_digits_that_no_other_question_has() -> None:
    texts = [f"question {n}" for n in range(5000)]
    ids = [normalised_id(text, copy) for text in texts for copy in range(3)]

    assert len(set(ids)) == len(ids) and {len(each) for each in ids} == {32}
    assert len({question_digits(each) for each in ids}) == len(texts)
    assert len({question_digits(normalised_id(texts[0], copy)) for copy in range(16)}) == 1
