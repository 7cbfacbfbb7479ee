"""Which study a command line of Snakemake runs, and where, is read as Snakemake reads it."""

import os
from pathlib import Path

import pytest

from nt_pkg.config.load import study_files
from nt_pkg.snakemake_io.arguments import read_command_line
from tests.workflow.sandbox import ROOT

DEMO = ROOT / "config" / "demo.yaml"


@pytest.mark.parametrize("profile", ["profiles/local", "profiles/slurm", "slurm"])
def test_a_profile_names_the_demo_from_whatever_folder(profile: str) -> None:
    """`slurm` in the project's folder is a link to the profile."""
    given = read_command_line(["--profile", os.path.relpath(ROOT / profile)])

    assert [path.resolve() for path in given.configfiles] == [DEMO]
    assert DEMO in study_files(given.configfiles)


def test_the_command_line_takes_the_place_of_the_profiles_study() -> None:
    arguments = ["--profile", str(ROOT / "slurm"), "all", "--configfile", "a.yaml", "b.yaml"]

    assert read_command_line(arguments).configfiles == (Path("a.yaml"), Path("b.yaml"))


def test_overrides_folder_and_profiles_are_read(tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text("config: {study: mine}\nconfigfile: x.yaml\n")
    profile = ["--profile", str(tmp_path)]

    given = read_command_line([*profile, "-n", "-d", "there", "--", "all"])
    other = read_command_line([*profile, "--configfile=y.yaml", "-C", "study=a", "report={a: 1}"])

    assert given.overrides == ("study=mine",)
    assert (given.folder, given.profiles, given.is_dry_run) == (Path("there"), (tmp_path,), True)
    assert given.configfiles == (Path("x.yaml"),)
    assert other.configfiles == (Path("y.yaml"),)
    assert other.overrides == ("study=a", "report={a: 1}")
    assert (other.folder, other.is_dry_run) == (Path(), False)


@pytest.mark.parametrize("target", ["sft", "results/report/mine/index.html", "assets"])
def test_a_target_behind_the_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """A folder of that name may be there."""
    monkeypatch.chdir(tmp_path)
    Path("assets").mkdir()
    Path("a.yaml").touch()

    with pytest.raises(
        ValueError,
        match=rf"^{target} after .* not a file: .* as in `{target} --configfile a.yaml b.yaml`$",
    ):
        read_command_line(["-n", "--configfile", "a.yaml", "b.yaml", target])


def test_a_missing_file_is_left_to_the_loader() -> None:
    """It is no target: it is called what files are called."""
    assert len(read_command_line(["--configfile", "a.yaml", "gone.yaml"]).configfiles) == 2


def test_what_snakemake_refuses_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_command_line(["--profile", str(ROOT / "slurm"), "--no-such-option"])

    said = capsys.readouterr().err
    assert said.count("error: unrecognized arguments") == 1
