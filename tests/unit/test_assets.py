"""Files from outside are copied whole and known by their content."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from nt_pkg.assets import fetch as assets
from nt_pkg.config.sources import Source
from nt_pkg.files.content import note
from nt_pkg.files.json_files import canonical, digest, sha256_file, write_json
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
    monkeypatch.setattr(assets, "sha256_file", lambda path: pytest.fail("was read again"))

    assert assets.source_spec(entry, "x", assets.Digests(cache)) == before
    monkeypatch.setattr(assets, "sha256_file", sha256_file)
    path.write_text("other weights")
    assert assets.source_spec(entry, "x", assets.Digests(cache)) != before


def test_the_size_of_a_source_is_no_part_of_it(tmp_path: Path) -> None:
    source = Source(hub="a/b", revision="0" * 39 + "1")
    larger = source.model_copy(update={"expected_gb": 4.2})
    digests = assets.Digests(tmp_path / "cache.json")
    assert assets.source_spec(source, "x", digests) == assets.source_spec(larger, "x", digests)


def test_builtin_student_is_there(tmp_path: Path) -> None:
    entry = Source(builtin="micro-base")
    spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))

    files = assets.fetch_asset(spec, entry, tmp_path / "out")["files"]

    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files)


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


COMMIT = "1234567" + "0" * 33
FILES = {
    "rows.bin": bytes(i * i % 251 for i in range(3 * 2**20)),
    "deep/b.bin": b"b" * 2**20,
}


class Hub(http.server.ThreadingHTTPServer):
    """A hub with one data set of two files; rows.bin can break or stall once, or be refused.

    It sends files from another place than the hub's, as the hub does.
    """

    daemon_threads = True
    breaks_after: int | None = None  # bytes of the next body of rows.bin, then the line is dead
    stalls_after: int | None = None  # ... then nothing comes
    refuses = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files = dict(FILES)
        self.sent = Counter[str]()  # bytes of bodies
        self.is_over = threading.Event()
        self.keys: dict[str, set[str | None]] = {"hub": set(), "files": set()}  # seen at each place
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.address_of_files = f"http://localhost:{self.server_address[1]}/files/"


class HubHandler(http.server.BaseHTTPRequestHandler):
    """Commit, list of files, and files by range."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/"):
            if "/tree/" in path:
                found: Any = [
                    {
                        "type": "file",
                        "path": name,
                        "size": len(data),
                        "oid": "0" * 40,
                        "lfs": {
                            "oid": hashlib.sha256(data).hexdigest(),
                            "size": len(data),
                            "pointerSize": 1,
                        },
                    }
                    for name, data in self.server.files.items()
                ]
            else:
                siblings = [{"rfilename": name} for name in self.server.files]
                found = {"id": "a/b", "sha": COMMIT, "siblings": siblings}
            body = json.dumps(found).encode()
            self._answer(200, body, {"Content-Type": "application/json"})
            self.wfile.write(body)
            return
        _, at_hub, name = path.partition(f"/resolve/{COMMIT}/")
        key = self.headers["Authorization"]
        self.server.keys["hub" if at_hub else "files"].add(key)
        name = name or path.removeprefix("/files/")
        data = self.server.files[name]
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        if at_hub:
            where = {"Location": self.server.address_of_files + name, "X-Repo-Commit": COMMIT}
            size = {"X-Linked-Etag": etag, "X-Linked-Size": str(len(data))}
            self._answer(302, b"", where | size)
            return
        start = int((self.headers["Range"] or "bytes=0-").split("=")[1].split("-")[0])
        if self.command == "GET" and name == "rows.bin" and self.server.refuses:
            self._answer(403, b"", {})
            return
        headers = {"ETag": etag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._answer(206 if start else 200, data[start:], headers)
        if self.command == "HEAD":
            return
        body = data[start:]
        if self.server.breaks_after is not None and name == "rows.bin":
            body, self.server.breaks_after = body[: self.server.breaks_after], None
        stalls = self.server.stalls_after is not None and name == "rows.bin"
        if stalls:
            body, self.server.stalls_after = body[: self.server.stalls_after], None
        self.wfile.write(body)
        self.server.sent[name] += len(body)
        if stalls:
            self.server.is_over.wait()
        self.close_connection = len(body) < len(data) - start


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}).start()
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.address)
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    try:
        yield hub
    finally:
        hub.is_over.set()
        hub.shutdown()
        hub.server_close()


SIZES = {name: len(data) for name, data in FILES.items()}


def _fetch(out: Path, revision: str = "1234567", **more: Any) -> dict[str, Any]:
    entry = Source(hub="a/b", revision=revision, **more)
    return assets.fetch_asset(entry.model_dump(exclude_defaults=True), entry, out)


def _content(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
    }


def test_a_file_that_breaks_continues_at_its_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**18)  # whole ones count: 10 MB
    hub.breaks_after = 2**20

    assert _fetch(tmp_path / "out")["commit"] == COMMIT

    assert _content(tmp_path / "out") == FILES
    assert hub.sent == SIZES


def test_a_download_that_failed_continues_with_the_files_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    """And what was there before stays until then."""
    out = tmp_path / "out"
    monkeypatch.setattr("nt_pkg.assets.hub._AT_A_TIME", 1)
    hub.files = dict(reversed(FILES.items()))
    out.mkdir()
    (out / "old").write_text("of another commit")
    hub.refuses = True
    with pytest.raises(ValueError, match="could not be fetched"):
        _fetch(out)
    assert _content(out) == {"old": b"of another commit"}
    hub.refuses = False

    _fetch(out)

    assert _content(out) == FILES
    assert hub.sent == SIZES
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".out.fetched.json", "out", "out.aside-1"], "nobody knows who wrote `old`"


def test_files_with_their_digest_are_not_fetched_again(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = _fetch(out)
    read: list[Path] = []

    def reading(path: Path) -> str:
        read.append(path)
        return sha256_file(path)

    monkeypatch.setattr(assets, "sha256_file", reading)

    assert _fetch(out) == first
    assert sorted(read) == sorted(out / name for name in FILES)  # each once
    assert hub.sent == SIZES
    (out / "deep" / "b.bin").write_bytes(b"edited")
    assert _fetch(out) == first
    assert _content(out) == FILES
    assert hub.sent == {**SIZES, "deep/b.bin": 2 * SIZES["deep/b.bin"]}


def test_a_killed_job_continues_at_its_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    """Whole chunks of 10 MB are kept."""
    megabyte = 2**20
    rows = bytes(range(256)) * (25 * 2**12)
    hub.files, hub.stalls_after = {"rows.bin": rows}, 21 * megabyte
    out, entry = tmp_path / "assets" / "pools" / "x", Source(hub="a/b", revision="1234567")
    command = [
        "--spec", canonical(entry.model_dump(exclude_defaults=True)),
        "--source", entry.model_dump_json(),
        "--out", str(out / "manifest.json"),
    ]  # fmt: skip
    own = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0"}
    job = subprocess.Popen([sys.executable, "-m", "scripts.fetch_asset", *command], env=own)
    try:
        until = time.monotonic() + 60
        while sum(part.stat().st_size for part in tmp_path.rglob("*.part")) < 20 * megabyte:
            assert time.monotonic() < until
            assert job.poll() is None
            time.sleep(0.01)
    finally:
        job.kill()
        job.wait()
    assert not out.exists()
    hub.sent.clear()

    fetch_asset.main(command)

    assert hub.sent["rows.bin"] == 5 * megabyte
    assert (out / "rows.bin").read_bytes() == rows
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "rows.bin"]


def test_a_file_of_other_content_is_refused_and_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    """Its part was written by something else; a part that is too long starts again at once."""
    out, spec = tmp_path / "out", Source(hub="a/b", revision="1234567")
    name = f".out.{digest(spec.model_dump(exclude_defaults=True))[:16]}.incomplete"
    part = tmp_path / name / ".cache" / "rows.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 2**20)
    with pytest.raises(ValueError, match=r"a/b: rows.bin arrived with other content"):
        _fetch(out)
    assert not out.exists()
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 2**22)

    _fetch(out)

    assert _content(out) == hub.files
    assert hub.sent == {**SIZES, "rows.bin": SIZES["rows.bin"] * 2 - 2**20}


def test_a_file_that_was_noted_with_other_content_is_fetched_again(
    tmp_path: Path, hub: Hub
) -> None:
    """An earlier version kept what had arrived without comparing it."""
    out, record = tmp_path / "out", tmp_path / ".out.fetched.json"
    first = _fetch(out)
    (out / "rows.bin").write_bytes(b"x" * SIZES["rows.bin"])
    (out / "deep" / "b.bin").unlink()
    known = {**first, "files": {**first["files"], "rows.bin": sha256_file(out / "rows.bin")}}
    write_json(record, known)
    with pytest.raises(ValueError, match=r"a/b: rows.bin arrived with other content"):
        _fetch(out)

    assert _fetch(out) == first
    assert _content(out) == hub.files


@pytest.mark.parametrize("revision", ["1234567", COMMIT])
def test_manifest_names_the_full_commit(tmp_path: Path, hub: Hub, revision: str) -> None:
    """The hub resolves the first digits of one, and the files are those of the full one."""
    assert _fetch(tmp_path / "out", revision)["commit"] == COMMIT
    assert _content(tmp_path / "out") == hub.files
    with pytest.raises(ValueError, match=f"returned commit {COMMIT}: give all 40 digits"):
        _fetch(tmp_path / "other", "7654321")


def test_the_key_stays_with_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    _fetch(tmp_path / "out")

    assert hub.keys == {"hub": {"Bearer hf_secret"}, "files": {None}}


def test_only_the_files_asked_for_are_fetched(tmp_path: Path, hub: Hub) -> None:
    assert list(_fetch(tmp_path / "out", hub_files=("deep/*",))["files"]) == ["deep/b.bin"]
    assert list(hub.sent) == ["deep/b.bin"]


def test_files_in_the_cache_of_huggingface_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    known = tmp_path / "cache" / "datasets--a--b" / "snapshots" / COMMIT / "rows.bin"
    known.parent.mkdir(parents=True)
    known.write_bytes(hub.files["rows.bin"])

    _fetch(tmp_path / "out")

    assert _content(tmp_path / "out") == hub.files
    assert list(hub.sent) == ["deep/b.bin"]


def test_a_file_that_the_hub_only_sends_by_xet_is_left_to_huggingface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    monkeypatch.setattr(constants, "MAX_HTTP_DOWNLOAD_SIZE", 2**21)

    with pytest.raises(ValueError, match=r"Install `hf_xet`.*what has arrived is kept"):
        _fetch(tmp_path / "out")

    # Its lock: only `hf_hub_download` makes one.
    assert len(list(tmp_path.rglob("download/rows.bin.lock"))) == 1


@pytest.mark.parametrize("name", ["../rows.bin", "/rows.bin", "deep/../../rows.bin"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, hub: Hub, name: str) -> None:
    hub.files = {name: b"x"}

    with pytest.raises(ValueError, match="which is no path in a repository"):
        _fetch(tmp_path / "out")

    assert not hub.sent


OURS = ["results/sft/s/hf", "work/x", "scratch/x", "logs", "timings", ".snakemake/x"]


@pytest.mark.parametrize(
    "source", ["assets/pools/x", "assets/pools/x/rows", "assets/other", ".", *OURS]
)
def test_a_source_in_our_own_folders_is_refused_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NT_WORK", "scratch")
    rows = Path(source) / "rows.jsonl"
    rows.parent.mkdir(parents=True, exist_ok=True)
    rows.write_text("{}\n")
    entry = Source(path=source)

    with pytest.raises(ValueError, match=r"contain each other.* to a folder elsewhere"):
        spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))
        assets.fetch_asset(spec, entry, Path("assets/pools/x"))

    assert rows.read_text() == "{}\n"


def test_files_that_were_not_fetched_are_kept_beside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a folder that somebody filled or edited by hand, nothing is lost."""
    source, out = tmp_path / "source", tmp_path / "assets" / "pools" / "x"
    (source / "deep").mkdir(parents=True)
    (source / "rows.jsonl").write_text("1\n")
    (source / "deep" / "more.jsonl").write_text("2\n")
    out.mkdir(parents=True)
    (out / "rows.jsonl").write_text("the only copy\n")

    def fetch() -> None:
        entry = Source(path=str(source))
        spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))
        made = assets.fetch_asset(spec, entry, out)
        note([out], {out / name: sha256 for name, sha256 in made["files"].items()})

    fetch()
    (out / "deep" / "more.jsonl").write_text("edited\n")
    (out / "README").write_text("mine\n")
    (source / "rows.jsonl").write_text("3\n")
    fetch()
    fetch()

    kept = {
        path.relative_to(out.parent).as_posix(): path.read_text()
        for path in out.parent.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert kept == {
        "x/rows.jsonl": "3\n",
        "x/deep/more.jsonl": "2\n",
        "x.aside-1/rows.jsonl": "the only copy\n",
        "x.aside-2/deep/more.jsonl": "edited\n",
        "x.aside-2/README": "mine\n",
    }
    assert "2 files in" in caplog.text


def test_link_to_a_folder_of_the_user_is_replaced_and_not_followed(tmp_path: Path) -> None:
    source, own, out = (tmp_path / name for name in ("source", "own", "assets/pools/x"))
    for folder in (source, own, out.parent):
        folder.mkdir(parents=True)
    (source / "rows.jsonl").write_text("1\n")
    (own / "mine").write_text("mine")
    out.symlink_to(own)
    entry = Source(path=str(source))

    spec = assets.source_spec(entry, "x", assets.Digests(tmp_path / "cache.json"))
    assets.fetch_asset(spec, entry, out)

    assert (own / "mine").read_text() == "mine"
    assert [path.name for path in out.iterdir()] == ["rows.jsonl"]
