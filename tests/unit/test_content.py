"""What is read is what was made, and files are read in full only when they may have changed."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from nt_pkg.engines._base import Model, checked_model
from nt_pkg.files import content
from nt_pkg.files.content import check, compared_in_full, foreign_files, known_sha256, note
from nt_pkg.files.json_files import sha256_file, write_json
from nt_pkg.files.manifest import lacks_files, read_manifest
from nt_pkg.files.parquet import read_columns, read_parquet, stream_parquet, write_parquet
from nt_pkg.plan.verify import verify

SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False)])


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are read in full from now on."""
    found: list[Path] = []

    def counted(path: Path) -> str:
        found.append(path)
        return sha256_file(path)

    monkeypatch.setattr(content, "sha256_file", counted)
    return found


def flip(path: Path, at: int = -3, keep_time: bool = False) -> None:
    """Change one bit of a file in its place."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[at] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _model(folder: Path, word: str = "one") -> Path:
    """Make a model as an export makes it, and return its manifest."""
    weights = folder / "hf" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_text(f"weights {word}")
    (folder / "hf" / "config.json").write_text("{}")
    files = {path.name: sha256_file(path) for path in weights.parent.iterdir()}
    manifest = folder / "hf.json"
    write_json(manifest, {"files": files, "folder": "hf"})
    note([folder / "hf", manifest])
    return manifest


def test_file_is_read_in_full_once(tmp_path: Path, read: list[Path]) -> None:
    path = tmp_path / "a"
    path.write_text("text")
    note([path])
    assert read == [path]
    check(path)
    assert read == [path], "as noted"
    path.touch()
    check(path)
    check(path)
    assert read == [path] * 2, "times differ, once"
    copy = tmp_path / "copy" / "a"
    copy.parent.mkdir()
    for each in tmp_path.glob("*a*"):
        if each.is_file():
            shutil.copy2(each, copy.parent)
    check(copy)
    check(copy)
    assert read == [path] * 2 + [copy], "another inode, once"


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "a flipped bit": lambda model, other: flip(model / "model.safetensors"),
    "a flipped bit and the old time": lambda model, other: flip(
        model / "model.safetensors", keep_time=True
    ),
    "weights of another run": lambda model, other: shutil.copy(
        other / "model.safetensors", model / "model.safetensors"
    ),
    "weights of another run with its times": lambda model, other: shutil.copy2(
        other / "model.safetensors", model / "model.safetensors"
    ),
    "weights of another run, renamed over": lambda model, other: (
        other / "model.safetensors"
    ).rename(model / "model.safetensors"),
    "all of another run, with its notes": lambda model, other: (
        shutil.copytree(other, model, dirs_exist_ok=True),
        shutil.copy2(other.parent / ".hf.sha256", model.parent / ".hf.sha256"),
    ),
    "a file that is cut": lambda model, other: os.truncate(model / "model.safetensors", 3),
    "a missing file": lambda model, other: (model / "config.json").unlink(),
    "a file more": lambda model, other: (model / "adapter_config.json").write_text("{}"),
    "a damaged note": lambda model, other: flip(model.parent / ".hf.sha256", 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_model_that_is_not_the_one_of_its_manifest_is_not_run(tmp_path: Path, damage: str) -> None:
    manifest, other = _model(tmp_path / "a"), _model(tmp_path / "b", "two")
    made = checked_model(manifest)
    assert not verify([manifest.with_suffix(""), manifest]).wrong

    DAMAGES[damage](manifest.with_suffix(""), other.with_suffix(""))

    with pytest.raises(ValueError, match=r"the same command again|Move it elsewhere") as refused:
        checked_model(manifest)
    assert str(manifest.with_suffix("")) in str(refused.value)
    assert verify([manifest.with_suffix(""), manifest]).wrong
    assert Model.beside(manifest) == made, "its digest is that of what was made"


def test_verify_takes_no_file_of_the_user_for_one_of_ours(tmp_path: Path) -> None:
    """Otherwise the next job that makes the folder would remove it."""
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "scores.csv").write_text("1")
    note([folder])
    mine = folder / "mine.txt"
    mine.write_text("mine")

    for _ in range(2):
        assert verify([folder]).wrong == {mine: "does not belong there"}
        assert foreign_files(folder) == [mine]


def test_what_changes_while_verify_runs_is_compared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights"
    path.write_text("as made")
    note([path])

    def read_and_changed(file: Path) -> tuple[str, list[int]]:
        found = compared_in_full(file)
        flip(file)
        return found

    monkeypatch.setattr("nt_pkg.plan.verify.compared_in_full", read_and_changed)
    assert not verify([path]).wrong
    with pytest.raises(ValueError, match="is not as it was made"):
        check(path)


def test_results_of_others_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be written there."""
    path = tmp_path / "weights"
    path.write_text("as made")
    note([path])

    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(content, "atomic_path", refused)
    assert not verify([path]).wrong


def test_hidden_files_of_a_folder_are_nobodys_content(tmp_path: Path) -> None:
    manifest = _model(tmp_path)
    (tmp_path / "hf" / ".nfs0001").write_text("open elsewhere")
    (tmp_path / "hf" / ".snakemake_timestamp").touch()
    assert not verify([tmp_path / "hf", manifest]).wrong
    (tmp_path / "hf" / ".snakemake_timestamp").unlink()

    checked_model(manifest)


def test_model_without_a_note_is_compared_with_its_manifest(
    tmp_path: Path, read: list[Path]
) -> None:
    """An earlier version made it."""
    manifest = _model(tmp_path)
    (tmp_path / ".hf.sha256").unlink()
    read.clear()
    checked_model(manifest)
    checked_model(manifest)
    assert len(read) == 2, "two files, once"

    flip(tmp_path / "hf" / "config.json", 0)
    with pytest.raises(ValueError, match=r"config.json is not as it was made"):
        checked_model(manifest)


@pytest.mark.parametrize("at", [10, 40, -12])
def test_flipped_bit_in_parquet_is_seen_by_every_reader(tmp_path: Path, at: int) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(path, SCHEMA, [{"id": f"row {n}"} for n in range(20)])
    note([path])
    flip(path, at, keep_time=True)

    for reader in (
        lambda: read_parquet(path, SCHEMA),
        lambda: read_columns([path], SCHEMA, ["id"]),
        lambda: list(stream_parquet(path, SCHEMA)),
    ):
        with pytest.raises(ValueError, match=r"rows.parquet is not as it was made: its sha256"):
            reader()


def test_changed_digit_in_a_manifest_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"loss": 1.25})
    note([path])
    path.write_text(path.read_text().replace("1.25", "1.05"))

    with pytest.raises(ValueError, match=r"run.json is not as it was made"):
        read_manifest(path, "loss")


def test_what_an_earlier_version_made_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"loss": 1.25})

    assert read_manifest(path) == {"loss": 1.25}
    found = verify([path, tmp_path / "none.json"])
    assert (found.wrong, found.unknown, found.num_absent) == ({}, [path], 1)


def test_digest_for_planning(tmp_path: Path) -> None:
    """A small file that was touched is read again; of a large one the size has to do."""
    path = tmp_path / "a"
    assert known_sha256(path, 0) is None
    path.write_text("text")
    assert known_sha256(path, 0) is None
    note([path])
    assert known_sha256(path, 100) == sha256_file(path)
    path.touch()
    assert known_sha256(path, 100) is None
    assert known_sha256(path, 3) == sha256_file(path)
    path.write_text("text, longer")
    assert known_sha256(path, 3) is None


def test_folder_that_lacks_files(tmp_path: Path) -> None:
    manifest = _model(tmp_path)
    assert not lacks_files(manifest)
    (tmp_path / "hf" / "config.json").unlink()
    assert lacks_files(manifest)
    shutil.rmtree(tmp_path / "hf")
    assert lacks_files(manifest)


def test_verify_names_every_artifact_with_a_flipped_bit(tmp_path: Path) -> None:
    outputs = []
    for number in range(5):
        path = tmp_path / f"{number}.json"
        write_json(path, {"number": number})
        outputs.append(path)
    note(outputs)
    folder = _model(tmp_path).with_suffix("")
    outputs += [folder, tmp_path / "hf.json"]
    assert not verify(outputs).wrong

    files = [*outputs[:5], folder / "config.json", tmp_path / "hf.json"]
    for path in files:
        flip(path, -1, keep_time=True)

    assert set(verify(outputs).wrong) >= set(files)
