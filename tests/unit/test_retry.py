"""Options of scripts.retry among those of Snakemake."""

from pathlib import Path

import pytest

from scripts.retry import _split, main

STUDY = Path(__file__).parents[1] / "study.yaml"


@pytest.mark.parametrize(
    ("line", "own", "targets", "others"),
    [
        (
            "--teacher r1 --configfile a b --run traces",
            "--teacher r1 --run",
            "traces",
            "--configfile a b",
        ),
        ("--run --profile slurm", "--run", "", "--profile slurm"),
        ("traces --run", "--run", "traces", ""),
        (
            "--configfile a --teacher=x all --cores 2",
            "--teacher=x",
            "all",
            "--configfile a --cores 2",
        ),
        ("--annotator domain all", "--annotator domain", "all", ""),
    ],
)
def test_a_word_after_an_own_option_is_a_target(
    line: str, own: str, targets: str, others: str
) -> None:
    assert _split(line.split()) == (own.split(), targets.split(), others.split())


@pytest.mark.parametrize("option", ["--teacher", "--annotator"])
def test_name_that_does_not_exist_is_an_error(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise it would say that no row failed."""
    assert main([option, "micro-techer", "--configfile", str(STUDY)]) == 1
    assert f"{option}: unknown name 'micro-techer'" in capsys.readouterr().err
