"""What jobs take of a server that somebody else runs."""

from typing import Any

import pytest

from nt_pkg.plan.admission import admissions, admitted
from nt_pkg.plan.validate import load_study

URL = "https://api.lab-7.example:8443/v1"


def served(batch: int, most: int | None, url: str = URL) -> dict[str, Any]:
    server = {"base_url": url, **({} if most is None else {"max_in_flight": most})}
    return {
        "engine": "openai",
        "params": {"model": "m"},
        "runtime": {"batch": batch, "server": server},
    }


def test_jobs_take_their_batch_of_their_server(demo: dict[str, Any]) -> None:
    """Those of an entry without the limit too, and those of other servers nothing."""
    other = "http://10.0.0.1:8000/v1"
    demo["teachers"] |= {
        "a": served(64, 256), "b": served(16, None), "c": served(8, 8, other),
        "d": served(999, None, "http://free/v1"),
    }  # fmt: skip
    study = load_study(demo)
    taken = admitted(study, lambda name: study.teachers[name].runtime)

    name, other_name = "requests_api_lab_7_example_8443_v1", "requests_10_0_0_1_8000_v1"
    assert admissions(study) == {name: 256, other_name: 8}
    assert {each: taken[name](each) for each in "abcd"} == {"a": 64, "b": 16, "c": None, "d": None}
    assert taken[other_name]("c") == 8
    assert taken[name]("micro-teacher") is None


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ({"a": served(64, 32)}, "teachers.a.runtime.batch: 64 .* more than max_in_flight 32"),
        (
            {"a": served(8, 32), "b": served(64, None)},
            "teachers.b.runtime.batch: 64 requests .* lower `batch`",
        ),
        ({"a": served(8, 32), "b": served(8, 16)}, "b.*max_in_flight: 16, and another.* 32"),
    ],
)
def test_limits_that_cannot_be_kept(
    demo: dict[str, Any], entries: dict[str, Any], error: str
) -> None:
    demo["teachers"] |= entries
    with pytest.raises(ValueError, match=error):
        load_study(demo)
