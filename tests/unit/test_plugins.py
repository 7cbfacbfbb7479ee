"""Plugins are found by name."""

import pytest

from nt_pkg.plugins import registry as plugins


@pytest.mark.parametrize(
    ("package", "some", "not_plugins"),
    [
        ("pools", {"micro", "natural_reasoning"}, {"ingest", "_base"}),
        ("annotators", {"agreement", "keywords", "length"}, {"_base"}),
        ("selectors", {"long", "random", "topics", "strategies"}, {"_base"}),
        ("benchmarks", {"micro_free", "micro_choice", "math500"}, {"_base", "_math_grading"}),
    ],
)
def test_names(package: str, some: set[str], not_plugins: set[str]) -> None:
    names = plugins.names(package)

    assert some <= set(names)
    assert not not_plugins & set(names)
    assert list(names) == sorted(names)


@pytest.mark.parametrize("package", sorted(plugins.CONSTANTS))
def test_unknown_name_lists_those_there_are(package: str) -> None:
    with pytest.raises(ValueError, match=f"unknown {package[:-1]} 'nothing'") as caught:
        plugins.plugin(package, "nothing")

    assert all(name in str(caught.value) for name in plugins.names(package))
    assert f"nt_pkg/{package}/" in str(caught.value)


@pytest.mark.parametrize("package", sorted(plugins.CONSTANTS))
def test_every_plugin_has_a_fingerprint_of_its_own(package: str) -> None:
    found = {plugins.fingerprint(package, name) for name in plugins.names(package)}

    assert len(found) == len(plugins.names(package))


def test_fields_of_a_plugin_have_fingerprints_of_their_own() -> None:
    """Editing a grader must not draw answers again."""
    asked = plugins.fingerprint("benchmarks", "math500", ("load", "prompt"))
    graded = plugins.fingerprint("benchmarks", "math500", ("load", "grade"))

    assert asked.split("-")[0] == graded.split("-")[0]
    assert asked.split("-")[1] != graded.split("-")[1]
