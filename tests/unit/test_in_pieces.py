"""Work in pieces goes on where it was killed, and a piece takes about a minute."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nt_pkg.annotations.label_traces import annotate
from nt_pkg.jobs.in_pieces import in_pieces
from nt_pkg.jobs.journal import Journal


class Killed(BaseException):
    """The end of a start."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Return the time, which only work moves."""
    now = [0.0]
    monkeypatch.setattr("nt_pkg.jobs.in_pieces.time.monotonic", lambda: now[0])
    yield now


class Work:
    """Doubles numbers, each in some seconds, and is killed before a number."""

    def __init__(self, clock: list[float], seconds: float = 0.001, killed_at: int = -1) -> None:
        self.clock, self.seconds, self.killed_at = clock, seconds, killed_at
        self.sizes: list[int] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        if self.killed_at in numbers:
            raise Killed
        self.sizes.append(len(numbers))
        self.clock[0] += self.seconds * len(numbers)
        return [2 * number for number in numbers]


def test_what_is_done_is_not_done_again(tmp_path: Path, clock: list[float]) -> None:
    numbers, done = range(1_000), 0
    for killed_at in (10, 100, 700, 999, -1):
        work = Work(clock, killed_at=killed_at)
        with Journal(tmp_path / "pieces.jsonl") as journal:
            if killed_at >= 0:
                with pytest.raises(Killed):
                    in_pieces("doubled", numbers, work, journal)
            else:
                found = in_pieces("doubled", numbers, work, journal)
                other = in_pieces("other", [1], lambda some: some, journal)
        done += sum(work.sizes)
    assert found == [2 * number for number in numbers] and other == [1]
    assert done == len(numbers)


def test_quick_work_is_a_few_pieces(tmp_path: Path, clock: list[float]) -> None:
    work = Work(clock)
    with Journal(tmp_path / "pieces.jsonl") as journal:
        in_pieces("doubled", range(8_000), work, journal)
    assert work.sizes == [64, 512, 4096, 8_000 - 64 - 512 - 4096]


def test_slow_work_is_pieces_of_a_minute(tmp_path: Path, clock: list[float]) -> None:
    work = Work(clock, seconds=5.0)
    with Journal(tmp_path / "pieces.jsonl") as journal:
        in_pieces("doubled", range(200), work, journal)
    assert set(work.sizes[1:]) <= {12, (200 - 64) % 12}


def test_labels_by_rules_are_the_same_in_pieces(tmp_path: Path) -> None:
    prompts = [
        {"id": f"{n:03}", "question": "q", "reference_answer": f"{n % 3}", "second_answer": f"{n}"}
        for n in range(150)
    ]
    prompts[7]["second_answer"] = None
    traces = [
        {"id": row["id"], "reasoning": "r", "answer": "2", "completion_tokens": 3, "status": "ok"}
        for row in prompts
    ]
    whole = annotate("agreement", {}, [{**row, "columns": None} for row in prompts], traces)

    for _ in range(2):
        rows = [{**row, "columns": None} for row in prompts]
        assert annotate("agreement", {}, rows, traces, work=tmp_path) == whole
    assert len((tmp_path / "labels.jsonl").read_text().splitlines()) == 2
