"""The disk that a plan needs, against numbers reckoned by hand."""

from pathlib import Path

import pytest

from nt_pkg.cost.disk import lines, sizes
from tests.unit.test_forecast import RUN, SHARD, _job, _study


def test_a_training_and_its_export(tmp_path: Path) -> None:
    """Llama-3.1-8B has 8,030,261,248 parameters: 16.1 GB in bfloat16, 96.4 GB of ZeRO-3's state."""
    jobs = [_job("train", 8, **RUN), _job("export_model", 0, **RUN)]
    found = sizes(jobs, _study(), tmp_path)
    assert found["exports"] == 16_060_522_496
    assert found["final checkpoints"] == 4 * 8_030_261_248  # float32 weights
    assert found["two checkpoints of the largest training while it runs"] == 24 * 8_030_261_248


def test_text_has_four_bytes_a_token(tmp_path: Path) -> None:
    jobs = [_job("generate_traces", 0, **SHARD, teacher="served") for _ in range(16)]
    found = sizes(jobs, _study(), tmp_path)
    assert found == {"traces": pytest.approx(1_145_824 * 4500 * 4)}


def test_what_does_not_fit_is_said() -> None:
    assert "WARNING 3 GB do not fit" in "\n".join(lines({"exports": 5e9}, 2e9))
    assert "WARNING" not in "\n".join(lines({"exports": 5e9}, 6e9))
    assert lines({}, 1.0) == []
