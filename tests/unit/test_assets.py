"""Files from outside are copied whole and known by their content."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from nt_pkg.assets import fetch as assets
from nt_pkg.config.sources import Source
from nt_pkg.files.json_files import canonical
from scripts import fetch_asset


def test_folder_is_copied_and_listed(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    (source / "a").write_text("1")
    (source / "deep" / "b").write_text("2")
    out.mkdir()
    (out / "left over").write_text("x")
    entry = Source(path=str(source))
    spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))

    manifest = assets.fetch_asset(spec, entry, out)

    assert sorted(manifest["files"]) == ["a", "deep/b"]
    assert manifest["spec"] == spec
    assert (out / "deep" / "b").read_text() == "2"
    assert not (out / "left over").exists()


def test_single_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    entry = Source(path=str(tmp_path / "rows.jsonl"))
    spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))

    assert list(assets.fetch_asset(spec, entry, tmp_path / "out")["files"]) == ["rows.jsonl"]


def test_files_that_changed_since_the_plan_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n")
    entry = Source(path=str(path))
    spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))
    path.write_text("[]\n")

    with pytest.raises(ValueError, match="changed while the study ran: start it again"):
        assets.fetch_asset(spec, entry, tmp_path / "out")


def test_digests_of_large_files_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "_CACHE_ABOVE_BYTES", 2)
    path = tmp_path / "model"
    path.write_text("weights")
    entry, cache = Source(path=str(path)), tmp_path / "work" / "cache.json"
    digests = assets.Digests(cache)
    before = assets.source_spec(entry, "x", digests)
    assert not cache.exists()  # a dry run asks too, and writes nothing
    digests.keep()
    digest_file = assets.sha256_file
    monkeypatch.setattr(assets, "sha256_file", lambda path: pytest.fail("was read again"))

    assert assets.source_spec(entry, "x", assets.Digests(cache)) == before
    monkeypatch.setattr(assets, "sha256_file", digest_file)
    path.write_text("other weights")
    assert assets.source_spec(entry, "x", assets.Digests(cache)) != before


def test_builtin_student_is_there(tmp_path: Path) -> None:
    entry = Source(builtin="micro-base")
    spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))

    files = assets.fetch_asset(spec, entry, tmp_path / "out")["files"]

    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files)


@pytest.mark.parametrize("revision", ["1234567", "1234567" + "0" * 33])
def test_manifest_names_the_full_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    """The hub resolves the first digits of one, and the files are those of the full one."""
    commit = "1234567" + "0" * 33

    def download(hub: str, *, revision: str, local_dir: Path, **_: Any) -> None:
        local_dir.mkdir()
        (local_dir / "full.jsonl").write_text(f"{hub} {revision}")

    def resolve(self: Any, hub: str, *, repo_type: str, revision: str) -> Any:
        return SimpleNamespace(sha=commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", resolve)
    entry = Source(hub="a/b", revision=revision)
    spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))

    manifest = assets.fetch_asset(spec, entry, tmp_path / "out")

    assert manifest["commit"] == commit
    assert (tmp_path / "out" / "full.jsonl").read_text() == f"a/b {commit}"
    if revision != commit:
        other = Source(hub="a/b", revision="7654321")
        with pytest.raises(ValueError, match=f"returned commit {commit}: give all 40 digits"):
            assets.fetch_asset(spec, other, tmp_path / "other")


def test_same_files_of_two_entries_are_there_once(tmp_path: Path) -> None:
    """Unless they were changed, or are no longer all there."""
    (tmp_path / "source" / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        (tmp_path / "source" / name).write_text(name)
    entry = Source(path=str(tmp_path / "source"))
    spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))
    one, two = (tmp_path / "assets" / "annotators" / name for name in ("one", "two"))
    command = ["--spec", canonical(spec), "--source", entry.model_dump_json(), "--out"]
    files = [(folder / name) for folder in (one, two) for name in ("a", "deep/b")]

    def nodes() -> list[int]:
        fetch_asset.main([*command, str(two / "manifest.json")])
        assert (two / "manifest.json").read_bytes() == (one / "manifest.json").read_bytes()
        return [path.stat().st_ino for path in files]

    fetch_asset.main([*command, str(one / "manifest.json")])
    a, b, *same = nodes()
    assert same == [a, b]
    (one / "a").write_text("edited")
    *_, c, d = nodes()
    assert (two / "a").read_text() == "a" and a != c and b != d
    (one / "deep" / "b").unlink()
    fetch_asset.main([*command, str(two / "manifest.json")])
    assert (two / "deep" / "b").read_text() == "deep/b"
