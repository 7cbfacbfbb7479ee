"""Spellings of one strategy count once, and different strategies stay apart."""

import json
from pathlib import Path

import pytest

from nt_pkg.dialogue.strategy_names import SYNONYMS, normalise_strategy
from nt_pkg.identity.seeds import rng

LISTED = json.loads((Path(__file__).parents[1] / "golden/strategy_names.json").read_text())


@pytest.mark.parametrize("name", LISTED["together"])
def test_spellings_of_one_strategy(name: str) -> None:
    assert {normalise_strategy(spelling) for spelling in LISTED["together"][name]} == {name}


def test_number_of_names_that_are_left() -> None:
    """What the changelog quotes."""
    spellings = [each for group in LISTED["together"].values() for each in group]
    names = {normalise_strategy(each) for each in [*spellings, *LISTED["alone"]]}

    assert len(set(spellings)) + len(LISTED["alone"]) == 136
    assert len(names) == len(LISTED["together"]) + len(LISTED["alone"]) == 43


def test_names_that_stand_alone_meet_no_other() -> None:
    found = [normalise_strategy(name) for name in LISTED["alone"]]

    assert len(set(found)) == len(found)
    assert not set(found) & set(SYNONYMS)


def test_normalising_twice_changes_nothing() -> None:
    draw = rng("strategy names")
    parts = ["s", "es", "ing", "is", "e", "y", "ies", "at", "ss", " ", "-", "(", "the", "verif"]
    names = ["".join(draw.choices(parts, k=6)) for _ in range(5000)]
    for name in [*names, *SYNONYMS, *LISTED["alone"], "", "...", "The strategy", "\ufb01ng"]:
        once = normalise_strategy(name)

        assert normalise_strategy(once) == once


def test_no_spelling_belongs_to_two_names() -> None:
    listed = [other for name, others in SYNONYMS.items() for other in (name, *others)]

    assert len(set(listed)) == len(listed)
    assert [name for name in SYNONYMS if normalise_strategy(name) != name] == []
