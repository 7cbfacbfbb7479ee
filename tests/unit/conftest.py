"""What several unit tests start from."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.load import read_yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo() -> dict[str, Any]:
    """Return the demo's configuration, to be spoiled at will."""
    return read_yaml([ROOT / "config" / "config.yaml"])
