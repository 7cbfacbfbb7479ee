"""The changes of docs/extending.md, applied and run through their rules up to the subsets."""

from pathlib import Path

import pytest

from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import SUBSET
from tests.unit.test_docs import CHANGES, STUDY, apply
from tests.workflow.sandbox import command, copy_repository, run

# Change of the page -> a file that is there afterwards.
MAKES = {
    "A selector": "results/subsets/puzzles/procedure/dense/seed0.parquet",
    "An annotator": "results/annotations/puzzles/procedure/repetition/shard-0-of-2.parquet",
    "A pool": "results/subsets/homework/procedure/course/seed0.parquet",
    "An engine": "results/subsets/puzzles/program/programmed/seed0.parquet",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with the page's study."""
    folder = tmp_path_factory.mktemp("extending") / "copy"
    copy_repository(folder)
    apply(folder, STUDY)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKES)
def test_a_change_runs(copy: Path, name: str) -> None:
    options = ["--configfile", "config/mine.yaml", "--", "annotations", "subsets"]
    apply(copy, CHANGES[name])
    run(copy, [*command("snakemake", "--profile", "profiles/local"), *options])
    made = copy / MAKES[name]

    assert made.exists()
    if "subsets" in made.parts:
        assert len(read_parquet(made, SUBSET)) == (2 if name == "A pool" else 100)
    apply(copy, CHANGES[name], "--reverse")
