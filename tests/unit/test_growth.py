"""The check of growth tells a line from a square."""

import re

import pytest

from tests.unit.growth import assert_linear


def test_a_square_is_found() -> None:
    with pytest.raises(AssertionError, match=r"four times \d+ take 1\d times as long"):
        assert_linear(re.compile("x*y").search, lambda n: "x" * n)


def test_a_line_passes() -> None:
    assert_linear(re.compile("y").search, lambda n: "x" * n)
