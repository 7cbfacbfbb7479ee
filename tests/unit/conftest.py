"""What several unit tests start from."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.load import read_study

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "tests" / "study.yaml"


@pytest.fixture
def demo() -> dict[str, Any]:
    """Return the study that tests start from, to be spoiled at will."""
    return read_study([STUDY])
