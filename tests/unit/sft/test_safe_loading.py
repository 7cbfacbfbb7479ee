"""Checkpoints of others run nothing."""

import os
from pathlib import Path

import pytest
import torch

from nt_pkg.sft.safe_loading import load
from nt_pkg.sft.shards import Shards


class Code:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def test_file_that_names_code_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "x.pt", tmp_path / "mark"
    torch.save({"a": torch.ones(2), "b": Code(mark)}, path)

    with pytest.raises(ValueError, match=r"x\.pt cannot be read as a checkpoint \(it names code"):
        load(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"PK\x03\x04"])
def test_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pt cannot be read as a checkpoint"):
        load(path)


def test_deepspeed_runs_nothing_either(tmp_path: Path) -> None:
    """It loads the files of the optimiser itself, and asks torch for everything in them."""
    mark = tmp_path / "mark"
    state = {"zero_stage": 2, "partition_count": 1, "fp32_flat_groups": [], "x": Code(mark)}
    torch.save(
        {"optimizer_state_dict": state}, tmp_path / "zero_pp_rank_0_mp_rank_00_optim_states.pt"
    )

    with pytest.raises(ValueError, match="it names code"):
        Shards(tmp_path)
    assert not mark.exists()
