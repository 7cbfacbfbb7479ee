"""The cases of tests/golden/cases: what people decided is what the code gives."""

import pytest

from tests import cases


@pytest.mark.parametrize("reader", sorted(cases.READERS))
def test_every_case_has_its_right_value(reader: str) -> None:
    """The differing ones are shown."""
    found = cases.read_cases(reader)

    assert [(case, now) for case, now in found if now is not case["right"] != now] == []


@pytest.mark.parametrize("reader", sorted(cases.READERS))
def test_every_kind_has_ten_cases_and_one_that_was_wrong(reader: str) -> None:
    """Fewer do not show that a kind is fixed."""
    found = [case for case, _ in cases.read_cases(reader)]
    for kind in {case["kind"] for case in found}:
        of_kind = [case for case in found if case["kind"] == kind]

        assert len(of_kind) >= 10, kind
        assert any(case["at_749c5c5"] != case["right"] for case in of_kind), kind
