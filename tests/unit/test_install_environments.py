"""envs/install.py: an environment is exchanged as a whole, and only by one of its own."""

import fcntl
import importlib.util
import json
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ENVS = Path(__file__).parents[2] / "envs"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module with a list `toy` that asks for torch, and without a package index."""
    spec = importlib.util.spec_from_file_location("install_environments", ENVS / "install.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lists = tmp_path / "repo" / "envs"
    lists.mkdir(parents=True)
    (lists / "toy.in").write_text("-r torch.txt\ntoy\n")
    (lists / "toy.txt").write_text("# Made by `make lock`.\ntoy==1\n")
    (lists / "other.in").write_text("toy\n")
    (lists / "other.txt").write_text("toy==1\n")
    (lists / "torch.txt").write_text("torch==2\n")

    def fill(kind: str, new: Path, wanted: dict[str, Any], prompt: str) -> None:
        (new / "bin").mkdir()
        (new / "bin" / "python").symlink_to(Path(sys.executable).resolve())
        (new / "list").write_text((lists / f"{kind}.txt").read_text())

    monkeypatch.setattr(module, "HERE", lists)
    monkeypatch.setattr(module, "install", fill)
    monkeypatch.setattr(module, "_OF_STUDIES", ("toy",))
    monkeypatch.delenv("TORCH", raising=False)
    return module


@pytest.fixture
def venv(install: ModuleType, tmp_path: Path) -> Path:
    """Return a place with an environment of `toy`."""
    folder = tmp_path / "repo" / ".venv-toy"
    assert install.main("toy", str(folder)) == 0
    return folder


def edit(install: ModuleType, text: str = "toy==2\n", name: str = "toy.txt") -> None:
    (install.HERE / name).write_text(text)


def fail(*_: object, **__: object) -> None:
    raise subprocess.CalledProcessError(1, "pip")


@pytest.fixture
def running(venv: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python of the environment, called as the parameter says."""
    by = request.param
    called = {"path": str(venv / "bin/python"), "relative": "bin/python", "name": "python"}[by]
    process = subprocess.Popen(
        [called, "-I", "-S", "-c", "import sys; print(1, flush=True); sys.stdin.read()"],
        executable=str(venv / "bin/python"),
        cwd=venv,
        env={"PATH": f"{venv}/bin:/usr/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.readline()  # it has become Python
    yield process
    process.kill()
    process.wait()


def test_an_environment_is_made_beside_and_linked(install: ModuleType, venv: Path) -> None:
    assert venv.is_symlink() and not venv.readlink().is_absolute()
    assert venv.resolve().parent == venv.with_name(".venv-toy.d")
    assert json.loads((venv / ".ready").read_text())["kind"] == "toy"
    assert not (venv / ".making").exists()


def test_a_list_with_a_newer_time_or_comment_changes_nothing(
    install: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = venv.resolve()
    monkeypatch.setattr(install, "install", fail)
    for path in install.HERE.iterdir():
        os.utime(path, (time.time() + 9, time.time() + 9))
    edit(install, "# another comment\ntoy==1 # why\n")

    assert install.main("toy", str(venv)) == 0
    assert venv.resolve() == before


@pytest.mark.parametrize(
    ("name", "text"),
    [("toy.txt", "toy==2\n"), ("torch.txt", "torch==3\n"), ("toy.override", "toy>=1\n")],
)
def test_another_content_makes_another(
    install: ModuleType, venv: Path, name: str, text: str
) -> None:
    before = venv.resolve()
    edit(install, text, name)

    assert install.main("toy", str(venv)) == 0
    assert venv.resolve() != before
    assert (venv / "list").read_text() == (install.HERE / "toy.txt").read_text()


def test_there_and_back_uses_the_first_one_again(install: ModuleType, venv: Path) -> None:
    first, text = venv.resolve(), (install.HERE / "toy.txt").read_text()
    edit(install)
    install.main("toy", str(venv))
    edit(install, text)
    install.main("toy", str(venv))

    assert venv.resolve() == first


def test_the_one_before_the_last_goes(install: ModuleType, venv: Path) -> None:
    made = [venv.resolve()]
    for version in (2, 3):
        edit(install, f"toy=={version}\n")
        install.main("toy", str(venv))
        made.append(venv.resolve())

    assert [path.exists() for path in made] == [False, True, True]


def test_a_failure_leaves_the_environment(
    install: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = venv.resolve()
    edit(install)
    for error in (
        fail,
        lambda *_, **__: (_ for _ in ()).throw(OSError("No space left")),
    ):
        monkeypatch.setattr(install, "install", error)
        with pytest.raises(ValueError, match=r"could not be made: .*was not touched and works"):
            install.main("toy", str(venv))

    monkeypatch.setattr(
        install, "install", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        install.main("toy", str(venv))
    assert venv.resolve() == before
    assert [path.name for path in before.parent.iterdir() if path.is_dir()] == [before.name]


@pytest.mark.parametrize("running", ["path", "relative", "name"], indirect=True)
def test_one_in_use_is_left_alone_until_its_end(
    install: ModuleType,
    venv: Path,
    running: subprocess.Popen[bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = venv.resolve()
    edit(install)

    assert install.main("toy", str(venv)) == 0
    assert venv.resolve() == before
    assert f"in use: process {running.pid} (" in capsys.readouterr().err

    running.kill()
    running.wait()
    assert install.main("toy", str(venv)) == 0
    assert venv.resolve() != before


def test_one_that_a_process_has_loaded_files_of_is_in_use(install: ModuleType, venv: Path) -> None:
    """Some programs write another name over their arguments."""
    with (venv / "list").open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert install.runs_from(Path("/proc/self"), "VLLM::EngineCore", venv.resolve())
    assert not install.runs_from(Path("/proc/self"), "VLLM::EngineCore", venv.resolve())


def test_use_that_begins_during_the_build_counts(
    install: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = venv.resolve()
    asked = iter([[], ["process 1"]])
    monkeypatch.setattr(install, "users", lambda _: next(asked, []))
    edit(install)

    install.main("toy", str(venv))
    assert venv.resolve() == before
    monkeypatch.setattr(install, "install", fail)  # it is there already
    install.main("toy", str(venv))
    assert venv.resolve() != before


def test_a_running_study_keeps_its_environment(
    install: ModuleType, venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, before = venv.parent / "results", venv.resolve()
    results.mkdir()
    edit(install)
    with (results / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install.main("toy", str(venv))
        assert venv.resolve() == before
        assert f"a study that runs in {venv.parent}" in capsys.readouterr().err
    install.main("toy", str(venv))
    assert venv.resolve() != before


@pytest.mark.parametrize("thing", ["file", "folder", "venv", "link", "marked"])
def test_what_it_did_not_make_is_never_removed(
    install: ModuleType, tmp_path: Path, thing: str
) -> None:
    place, target = tmp_path / "place", tmp_path / "target"
    target.mkdir()
    if thing == "file":
        place.write_text("mine")
    elif thing == "link":
        (target / "pyvenv.cfg").touch()
        (target / ".ready").touch()
        place.symlink_to(target)
    else:
        place.mkdir()
        (place / "mine").write_text("mine")
        if thing != "folder":
            (place / "pyvenv.cfg").touch()
        if thing == "marked":  # by an earlier version, but no Makefile made this kind here
            (place / ".ready").touch()
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(ValueError, match="is no environment that this made for 'toy'"):
        install.main("toy", str(place))
    assert sorted(tmp_path.rglob("*")) == before


def test_that_of_another_list_is_not_replaced(install: ModuleType, venv: Path) -> None:
    before = venv.resolve()
    with pytest.raises(ValueError, match="is an environment of 'toy', not of 'other'"):
        install.main("other", str(venv))
    assert venv.resolve() == before


def test_clean_up_leaves_what_is_not_ours(install: ModuleType, venv: Path) -> None:
    builds = venv.with_name(".venv-toy.d")
    for name in ("mine", "killed", "going"):
        (builds / name).mkdir()
    for name in ("killed", "going"):
        (builds / name / ".making").touch()
    os.utime(builds / "killed" / ".making", (0, 0))
    edit(install)
    install.main("toy", str(venv))

    assert (builds / "mine").exists() and (builds / "going").exists()
    assert not (builds / "killed").exists()


def test_the_folder_of_an_earlier_version_is_exchanged(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "repo" / ".venv-toy"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").touch()
    (folder / ".ready").touch()
    with monkeypatch.context() as failing:
        failing.setattr(install, "install", fail)
        with pytest.raises(ValueError, match="was not touched"):
            install.main("toy", str(folder))
    assert not folder.is_symlink()

    install.main("toy", str(folder))
    assert folder.is_symlink() and (folder / "list").exists()
    assert len([each for each in folder.with_name(".venv-toy.d").iterdir() if each.is_dir()]) == 1


def test_a_lost_interpreter_makes_it_again(install: ModuleType, venv: Path) -> None:
    (venv / "bin" / "python").unlink()
    install.main("toy", str(venv))
    assert (venv / "bin" / "python").exists()


def test_two_at_once_make_one(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, fill = [], install.install

    def slow(kind: str, new: Path, *rest: Any, **more: Any) -> None:
        made.append(new)
        time.sleep(0.2)
        fill(kind, new, *rest, **more)

    monkeypatch.setattr(install, "install", slow)
    folder = tmp_path / "repo" / ".venv-toy"
    two = [threading.Thread(target=install.main, args=("toy", str(folder))) for _ in range(2)]
    for thread in two:
        thread.start()
    for thread in two:
        thread.join()

    assert len(made) == 1 and folder.resolve() == made[0]


def test_a_build_of_torch_stays_until_torch_changes(
    install: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH", "/wheels/torch.whl")
    install.main("toy", str(venv))
    with_wheel = venv.resolve()
    monkeypatch.delenv("TORCH")
    install.main("toy", str(venv))
    assert venv.resolve() == with_wheel

    edit(install, "torch==3\n", "torch.txt")
    with pytest.raises(ValueError, match=r"name the build of torch again with TORCH=\.\.\."):
        install.main("toy", str(venv))
    monkeypatch.setenv("TORCH", "torch==3")
    install.main("toy", str(venv))
    assert json.loads((venv / ".ready").read_text())["torch"] == "torch==3"


def test_every_list_says_whether_it_wants_torch(install: ModuleType) -> None:
    without = {
        path.stem for path in ENVS.glob("*.in") if not install.asks_for_torch(ENVS / path.name)
    }
    assert without == {"core", "workflow", "peers", "peers-grade-lm-eval", "docs"}


@pytest.mark.slow
def test_without_an_index_the_environment_on_path_stays(tmp_path: Path) -> None:
    """The Makefile puts it on PATH, so its own Python is the first that is found."""
    folder = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (folder / ".ready").touch()
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        [ENVS / "install.sh", "workflow", folder],
        env={**os.environ, "PATH": path, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "No matching distribution found for uv" in done.stderr  # so pip was there to say it
    assert "was not touched and works" in done.stderr
    assert not folder.is_symlink() and (folder / "bin" / "python").exists()
