"""The disk that a plan needs, against numbers reckoned by hand."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.cost.disk import lines, sizes
from tests.unit.test_forecast import RUN, SHARD, _job, _study

PARAMETERS = 8_030_261_248  # of Llama-3.1-8B


@pytest.mark.parametrize(
    ("dtype", "zero_stage", "keeps", "export", "final", "running"),
    [
        ("bfloat16", 3, False, 2, 4, 12),
        ("bfloat16", 2, False, 2, 4, 14),
        ("bfloat16", 1, True, 2, 14, 14),
        ("bfloat16", 3, True, 2, 12, 12),
        ("float32", 3, False, 4, 4, 12),
        ("float32", 1, False, 4, 4, 16),
        ("float32", 2, True, 4, 16, 16),
    ],
)
def test_bytes_of_a_parameter(
    tmp_path: Path,
    dtype: str,
    zero_stage: int,
    keeps: bool,
    export: int,
    final: int,
    running: int,
) -> None:
    """The files of trainings of 5 million parameters have these numbers of bytes for each."""

    def change(found: dict[str, Any]) -> None:
        student = found["students"]["llama-3.1-8b"]
        student.setdefault("training", {})["dtype"] = dtype
        student["runtime"] |= {"zero_stage": zero_stage, "keep_optimizer": keeps}

    jobs = [_job("train", 8, **RUN), _job("export_model", 0, **RUN)]
    found = sizes(jobs, _study(change), tmp_path)
    assert found["exports"] == export * PARAMETERS
    assert found["final checkpoints"] == final * PARAMETERS
    largest = found["three checkpoints of the largest training while it runs"]
    assert largest == 3 * running * PARAMETERS


def test_text_has_four_bytes_a_token(tmp_path: Path) -> None:
    jobs = [_job("generate_traces", 0, **SHARD, teacher="served") for _ in range(16)]
    found = sizes(jobs, _study(), tmp_path)
    assert found == {"traces": pytest.approx(1_145_824 * 4500 * 4)}


def test_what_does_not_fit_is_said() -> None:
    assert "WARNING 3 GB do not fit" in "\n".join(lines({"exports": 5e9}, 2e9))
    assert "WARNING" not in "\n".join(lines({"exports": 5e9}, 6e9))
    assert lines({}, 1.0) == []
