"""The clock that times our loop, TRL's and a bare one."""

from pathlib import Path

import pytest

from benchmarks.sft_worker import read_clock, start_clock, stop_clock


def test_time_runs_from_the_end_of_the_first_step(tmp_path: Path) -> None:
    path = tmp_path / "clock.txt"
    # Two groups of parameters, so two ticks a step; seconds since the epoch, processor seconds.
    path.write_text("9 0\n10 1\n11 2\n12 3\n13 4\n16 7\n")

    found = read_clock(path, [1000, 60, 240])

    assert found["first_step"] == 10 and found["steps"] == [2, 4]
    assert found["tokens_per_s"] == found["tokens_per_cpu_s"] == 50
    with pytest.raises(RuntimeError, match="stepped 6 times in 4 steps"):
        read_clock(path, [1, 1, 1, 1])


def test_any_optimiser_of_torch_is_noted(tmp_path: Path) -> None:
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    for name in ("first", "second"):  # the second run has a clock of its own
        start_clock(tmp_path / name)
        for _ in range(3):
            weight.sum().backward()
            optimizer.step()
    stop_clock()
    optimizer.step()
    lines = [(tmp_path / name).read_text().splitlines() for name in ("first", "second")]
    assert [len(each) for each in lines] == [3, 3]
