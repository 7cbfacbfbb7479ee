"""Every edit reruns what depends on it and nothing else."""

import pytest

from tests.workflow.rebuild_check import main


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_edit_reruns_only_what_depends_on_it() -> None:
    assert main([]) == 0
