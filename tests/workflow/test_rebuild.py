"""Every edit reruns what hangs on it and nothing else."""

import pytest

from tests.workflow.rebuild_check import main


@pytest.mark.slow
def test_every_edit_reruns_only_what_hangs_on_it() -> None:
    assert main([]) == 0
