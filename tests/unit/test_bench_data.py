"""The rows that `make bench-data` measures with, and how it measures."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.data import measure, rows
from nt_pkg.plugins import registry as plugins


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PART_ROWS", 2000)
        patch.setattr(rows, "_BOOK_WORDS", 40_000)
        yield


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, _small: None) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    rows.write_parts(folder, 3000)
    return folder / "pool"


def test_rows_have_the_shape_and_the_shares_of_natural_reasoning(pool: Path) -> None:
    plugin = plugins.plugin("pools", "natural_reasoning")
    found = list(plugin.rows(plugin.params(), pool))

    assert len(found) == 4000
    assert not any(row.defect for row in found)
    words = [len(row.question.split()) for row in found]
    assert 53 < sum(words) / len(words) < 57
    without = sum(row.reference_answer is None for row in found) / len(found)
    assert 0.15 < without < 0.22


def test_rows_depend_on_nothing_but_the_seed(pool: Path, tmp_path: Path) -> None:
    rows.write_parts(tmp_path / "again", 3000)

    for path in pool.iterdir():
        assert (tmp_path / "again" / "pool" / path.name).read_bytes() == path.read_bytes()


def test_what_was_measured_is_not_run_again(tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'ran')!r}, 'a').write('x'); print('{{\"found\": 3}}')"
    costs = [
        measure.Measurements(tmp_path / "kept").measure("it", 5, [sys.executable, "-c", code])
        for _ in range(2)
    ]

    assert costs[0] == costs[1]
    assert costs[0].rows == 5 and costs[0].said == {"found": 3}
    assert costs[0].peak_gib > 0
    assert (tmp_path / "ran").read_text() == "x"


def test_a_failed_command_is_named_and_not_kept(tmp_path: Path) -> None:
    kept = measure.Measurements(tmp_path)

    with pytest.raises(RuntimeError, match=r"this one failed; see the end of .*log\.txt"):
        kept.measure("this one", 1, [sys.executable, "-c", "raise SystemExit(3)"])
    assert not [json.loads(path.read_text()) for path in tmp_path.glob("measured-*")]
