"""A start of Snakemake runs the study that its files and its command line say, in every process."""

import json
from pathlib import Path

import pytest
import yaml

from nt_pkg.config import load
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.plan.validate import load_study
from tests.workflow.sandbox import command, copy_repository, run

# A key is set in every place before the one that has to win, each time to something else.
FILES = {
    "config/config.yaml": {
        "include": ["../tests/workflow/tiny.yaml"],
        "study": "base",
        "annotators": {"length": {"kind": "length"}},
        "subsets": {"tiny-random": {"size": 3}},
        "students": {"tiny-llama": {"training": {"epochs": {0: 2}}}},
        "benchmarks": {"tiny_free": {"think_words": 7}},
    },
    "config/part.yaml": {
        "study": "included",
        "subsets": {"tiny-random": {"size": 4}},
        "students": {"tiny-llama": {"training": {"epochs": {0: 3}}}},
    },
    "studies/mine.yaml": {
        "include": ["../config/part.yaml"],
        "study": "file",
        "subsets": {"tiny-random": {"size": 5}},
    },
    # The profiles name it, so it would be read if the command line did not take its place.
    "refused.yaml": {"colour": "red"},
}
OVERRIDES = ["study=override", "report={notes: 'a b {c}'}"]
# A rule with `run` has a process of its own, as every job of a cluster has.
PROBE = """

rule seen:
    output:
        "seen.json",
    run:
        import json

        assert not workflow.is_main_process
        Path(output[0]).write_text(PLAN.study.model_dump_json())
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with these files and that rule."""
    folder = tmp_path_factory.mktemp("studies") / "copy"
    copy_repository(folder)
    (folder / "studies").mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(yaml.safe_dump(text))
    with (folder / "Snakefile").open("a") as file:
        file.write(PROBE)
    for profile in ("local", "slurm"):
        path = folder / "profiles" / profile / "profile.yaml"
        before = path.read_text()
        path.write_text(before.replace("../../config/demo.yaml", "../../refused.yaml"))
        assert path.read_text() != before
    return folder


@pytest.mark.timeout(120)
def test_all_places_disagree_and_the_stated_order_holds(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process of a job, for our loader, and in the report that a start shows at its end."""
    for folder, title in ((copy, "wrong"), (copy / "there", "right")):
        for name in ("base", "included", "file", "override"):
            effect = dict.fromkeys(("difference", "standard_error"))
            known = {"name": f"{title}-{name}", "num_seeds": 0, "verdict": "none", "claim": None}
            known |= {"kind": "difference", "contrast": "", "benchmark": ""}
            effect |= known
            summary = {"effects": [effect], "study": name, "seconds_per_stage": {}}
            write_json(folder / "results/report" / name / "summary.json", summary)
    options = ["--directory", "there", "--configfile", "studies/mine.yaml", "--config", *OVERRIDES]

    said = run(copy, command("scripts.study", "seen", *options))

    found = read_json(copy / "there/seen.json")
    assert found["study"] == "override"
    assert found["subsets"]["tiny-random"]["size"] == 5
    assert found["students"]["tiny-llama"]["training"]["epochs"] == {"0": 3}
    assert found["benchmarks"]["tiny_free"]["think_words"] == 7
    assert found["report"]["notes"] == "a b {c}"
    monkeypatch.setattr(load, "BASE", copy / "config/config.yaml")
    study = load_study(load.read_study([copy / "studies/mine.yaml"], OVERRIDES))
    assert json.loads(study.model_dump_json()) == found
    assert "right-override" in said and "wrong" not in said


@pytest.mark.timeout(120)
def test_a_plan_is_about_the_study_that_would_run(copy: Path) -> None:
    """With the profile of a cluster too, whose own study the command line takes the place of."""
    options = ["--configfile", "studies/mine.yaml", "--config", *OVERRIDES]

    said = run(copy, command("scripts.plan", "report", "--profile", "slurm", *options))

    assert "study override" in said
    assert "GPU-hours" in said
    with pytest.raises(RuntimeError, match="defects:\n  colour: unknown key"):
        run(copy, command("snakemake", "-n", "--profile", "slurm", "all"))


@pytest.mark.parametrize("module", ["scripts.study", "scripts.plan", "scripts.retry"])
def test_what_is_wrong_with_a_command_line_is_said_before_anything_runs(
    copy: Path, module: str
) -> None:
    for arguments, message in (
        (
            ["--configfile", "studies/mine.yaml", "sft"],
            "error: sft after --configfile is not a file",
        ),
        (["--configfile", "studies/gone.yaml"], "gone.yaml does not exist"),
        (["--profile", "none"], "error: no study is named"),
    ):
        with pytest.raises(RuntimeError, match=message):
            run(copy, command(module, *arguments))


def test_a_start_without_a_study_is_refused_in_one_line(copy: Path) -> None:
    with pytest.raises(RuntimeError, match=r"\nerror: no study is named: [^\n]*\n$"):
        run(copy, command("snakemake", "-n"))
