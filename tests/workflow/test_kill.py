"""A study that is killed and started again ends with the files of one that was not."""

import pytest

from tests.workflow.kill_check import main


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_results_survive_kills() -> None:
    assert main(["--kills", "3", "--kinds", "rank", "job", "snakemake"]) == 0
