"""Progress survives a kill, and one process at a time works on it."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nt_pkg.jobs.journal import Journal
from nt_pkg.jobs.work_dir import forget_finished, work_dir, work_in
from nt_pkg.slurm.stopping import Stopped


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NT_WORK", str(tmp_path / "scratch"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def _make(out: Path, text: str = "made") -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)


def test_journal_continues(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.extend({"a": 1, "b": {"x": "line\nbreak \u2028 \r"}})

    with Journal(path) as again:
        assert again.entries == {"a": 1, "b": {"x": "line\nbreak \u2028 \r"}}
        again.extend({"c": None})
    with Journal(path) as last:
        assert list(last.entries) == ["a", "b", "c"]


@pytest.mark.parametrize("cut", [1, 2, 10])
def test_line_that_a_kill_cut_off_is_dropped(
    tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Also one that lacks nothing but its line end."""
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.extend({"a": 1, "b": "some text"})
    path.write_bytes(path.read_bytes()[:-cut])

    with Journal(path) as again:
        assert again.entries == {"a": 1}
        assert "removed a truncated line" in caplog.text
        again.extend({"b": 2})
    with Journal(path) as last:
        assert last.entries == {"a": 1, "b": 2}


def is_free(path: Path) -> bool:
    """Return whether nobody, this process included, holds the lock of a journal."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Stopped])
def test_journal_is_free_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    """The error is still held, and with it what was open."""
    path = tmp_path / "j.jsonl"
    with pytest.raises(error) as held, Journal(path) as journal:
        journal.extend({"a": 1})
        assert not is_free(path)
        raise error("x", 0)

    assert held.tb
    assert is_free(path)
    with Journal(path) as again:
        assert again.entries == {"a": 1}


def test_journal_that_cannot_be_read_is_free(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text("no entry\n")
    (tmp_path / "j.jsonl.damaged").mkdir()  # the copy has no place
    with pytest.raises(OSError) as held:
        Journal(path)

    assert held.tb
    assert is_free(path)


def _spoiled(line: bytes, damage: str) -> bytes:
    """Return a line of a journal as a disk, an editor or another program may leave it."""
    return {
        "a byte that is no UTF-8": line.replace(b"of b", b"o\xffb"),
        "a bit of a text": line.replace(b"of b", b"of c"),
        "a bit of the key": line.replace(b'"b"', b'"x"'),
        "a bit of the syntax": line.replace(b'"key":', b'"key"='),
        "a bit of the line end": line.replace(b"\n", b"\x0b"),
        "a line end inside": line.replace(b"text", b"te\nt"),
        "zeros": b"\0" * (len(line) - 1) + b"\n",
        "no object": b"[1, 2]\n",
        "another object": b'{"other": 1}\n',
        "a key that is none": line.replace(b'"b"', b"[1]"),
        "nested too deeply": b"[" * 100_000 + b"\n",
        "an empty line": b"\n",
    }[damage]


DAMAGES = {
    **dict.fromkeys(("a bit of the line end",), "ad"),  # it takes the next line with it
    **dict.fromkeys(("a byte that is no UTF-8", "a bit of a text", "a bit of the key"), "acd"),
    **dict.fromkeys(("a bit of the syntax", "a line end inside", "zeros", "no object"), "acd"),
    **dict.fromkeys(("another object", "a key that is none", "nested too deeply"), "acd"),
    "an empty line": "acd",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_inside_a_journal_costs_one_entry(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.extend({name: f"text of {name}" for name in "abcd"})
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = _spoiled(lines[1], damage)
    path.write_bytes(b"".join(lines))

    with Journal(path) as again:
        assert "".join(again.entries) == DAMAGES[damage]
        assert again.num_damaged == (2 if damage == "a line end inside" else 1)
        again.extend({"b": "again"})
    assert path.read_bytes().startswith(b"".join(lines)), "nothing was removed"
    aside = (tmp_path / "j.jsonl.damaged").read_bytes()
    assert aside in b"".join(lines)
    assert aside
    assert f"skipped {again.num_damaged} lines" in caplog.text
    with Journal(path) as last:
        assert last.entries == {**again.entries, "b": "again"}


def test_journal_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"key": "a", "value": 1}\n')
    with Journal(path) as journal:
        assert (journal.entries, journal.num_damaged) == ({"a": 1}, 0)


def test_progress_stays_after_an_error_and_goes_after_success() -> None:
    out = Path("results/x.parquet")
    with pytest.raises(RuntimeError), work_dir([out], "d") as folder:
        assert folder
        (folder / "half").write_text("done")
        raise RuntimeError

    with work_dir([out], "d") as folder:
        assert folder
        assert (folder / "half").read_text() == "done"
        _make(out)
    forget_finished()
    with work_dir([out], "d") as folder:
        assert folder
        assert not list(folder.iterdir())
        _make(out)


def test_finished_outputs_are_put_back_until_they_are_noted() -> None:
    """Snakemake was killed, deletes what the job made meanwhile, and starts the job again."""
    run, checkpoint = Path("results/x/run.json"), Path("results/x/checkpoint")
    with work_dir([run, checkpoint], "d"):
        _make(run)
        _make(checkpoint / "deep" / "shard0", "weights")
    run.unlink()
    shutil.rmtree(checkpoint)

    with work_dir([run, checkpoint], "e") as folder:
        assert folder, "other inputs"
        _make(run, "other")
        _make(checkpoint / "deep" / "shard0", "other")
    with work_dir([run, checkpoint], "d") as folder:
        assert folder is None
    assert run.read_text() == "made"
    assert (checkpoint / "deep/shard0").read_text() == "weights"

    forget_finished()
    assert sorted(p.name for p in run.parent.iterdir()) == ["checkpoint", "run.json"]
    with work_dir([run, checkpoint], "d") as folder:
        assert folder, "made again"
        _make(run)
        _make(checkpoint / "shard0")


def test_next_start_keeps_only_what_the_last_one_has_not_noticed() -> None:
    """A hangup or kill of Snakemake leaves the notes of every job that it has seen, too."""
    seen, unseen = [Path("results/a")], [Path("results/b"), Path("results/b.json")]
    for outputs in (seen, unseen):
        with work_dir(outputs, "d"):
            for out in outputs:
                _make(out, "old")

    forget_finished(keep={"results/b.json", "results/c"})

    with work_dir(unseen, "d") as folder:
        assert folder is None
    with work_dir(seen, "d") as folder:
        assert folder, "made again"
        _make(seen[0])
    forget_finished(keep={"results/c"})
    assert sorted(p.name for p in Path("results").iterdir()) == ["a", "b", "b.json"]


def test_output_half_held_is_made_again() -> None:
    """A kill came between the note and the links."""
    out = Path("results/x")
    with work_dir([out], "d"):
        _make(out)
    next(Path("results").glob(".x.d.finished")).unlink()

    with work_dir([out], "d") as folder:
        assert folder
        _make(out)
    forget_finished()


def test_two_clones_share_no_scratch_folder(tmp_path: Path) -> None:
    places = set()
    for name in ("a/study", "b/study"):
        work_in("/scratch/ann", tmp_path / name)
        places.add(Path(os.environ["NT_WORK"]))

    assert len(places) == 2
    assert {place.parent for place in places} == {Path("/scratch/ann")}
    assert all(place.name.startswith("study-") for place in places)


def test_missing_output_is_an_error() -> None:
    with pytest.raises(FileNotFoundError), work_dir([Path("results/x")], "d"):
        pass


def test_other_key_or_output_has_other_progress(tmp_path: Path) -> None:
    folders = set()
    for out, key in [("results/x", "d"), ("results/x", "e"), ("results/y", "d")]:
        with work_dir([Path(out)], key) as folder:
            folders.add(folder)
            _make(Path(out))

    assert len(folders) == 3
    assert all(folder and tmp_path / "scratch" in folder.parents for folder in folders)


def test_folder_never_leaves_the_scratch_place(tmp_path: Path) -> None:
    for out in (tmp_path / "x", Path("../x")):
        with work_dir([out], "d") as folder:
            _make(out)
            assert folder
            assert (tmp_path / "scratch").resolve() in folder.resolve().parents


def test_second_process_waits(tmp_path: Path) -> None:
    """It goes on when the first has ended, and has nothing left to do."""
    code = (
        "import logging, pathlib, sys\n"
        "from nt_pkg.jobs.work_dir import work_dir\n"
        "logging.basicConfig(stream=sys.stdout, format='%(message)s')\n"
        "with work_dir([pathlib.Path('results/x')], 'd') as folder:\n"
        "    print('inside', folder, flush=True)\n"
    )
    with work_dir([Path("results/x")], "d"):
        _make(Path("results/x"))
        second = subprocess.Popen(
            [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True
        )
        assert second.stdout is not None
        assert "another process works on results/x: waiting" in second.stdout.readline()
        assert second.poll() is None

    assert second.stdout.read() == "inside None\n"
    assert second.wait(10) == 0


def test_lock_of_a_killed_process_is_free() -> None:
    code = (
        "import os, pathlib\nfrom nt_pkg.jobs.work_dir import work_dir\n"
        "with work_dir([pathlib.Path('results/x')], 'd') as folder:\n"
        "    (folder / 'half').write_text('done')\n    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)

    with work_dir([Path("results/x")], "d") as folder:
        assert folder
        assert (folder / "half").read_text() == "done"
        _make(Path("results/x"))


def test_scratch_folder_that_others_can_fill_is_refused(tmp_path: Path) -> None:
    """They could leave answers and checkpoints there; its name can be told before it is made."""
    scratch, clone = tmp_path / "site", tmp_path / "clone"
    work_in(str(scratch), clone)
    place = Path(os.environ["NT_WORK"])
    assert not scratch.exists()  # planning writes nothing

    with work_dir([tmp_path / "out"], "key") as folder:
        assert folder and place.stat().st_mode & 0o777 == 0o700
        _make(tmp_path / "out")
    work_in(str(scratch), clone)  # our own is taken again

    place.chmod(0o777)
    with pytest.raises(ValueError, match="can be written by everybody, so what lies in it"):
        work_in(str(scratch), clone)
    shutil.rmtree(place)
    place.symlink_to(tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        work_in(str(scratch), clone)
    place.unlink()
    place.mkdir()
    if os.geteuid() == 0:
        os.chown(place, 12345, -1)
        with pytest.raises(ValueError, match=r"belongs to another user \(uid 12345\)"):
            work_in(str(scratch), clone)
        with pytest.raises(ValueError, match="belongs to another user"), work_dir([place], "key"):
            pass
