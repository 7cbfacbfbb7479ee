"""A study that is killed and started again ends in the same files."""

import pytest

from tests.workflow.kill_check import main


@pytest.mark.slow
def test_kills_lose_nothing() -> None:
    assert main(["--kills", "3", "--kinds", "snakemake", "rank", "job"]) == 0


@pytest.mark.slow
def test_plain_snakemake_survives_a_kill_too() -> None:
    assert main(["--raw", "--kills", "1", "--kinds", "snakemake"]) == 0
