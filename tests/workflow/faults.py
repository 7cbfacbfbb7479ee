"""The faults of `fault_check`: each is done to a copy of a finished study, which then goes on.

A fault is a function: what it does, what the user has to see, and what the user does then.
"""

import errno
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nt_pkg.files.json_files import read_json
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import PROMPTS, TRACES
from tests.unit.fake_openai import MODEL, serving
from tests.unit.test_openai_engine import BODIES, HOSTILE
from tests.workflow.fault_place import BOTH, Place, Seen, expect
from tests.workflow.kill_check import Study
from tests.workflow.one_run import BRANCH, RUN, SNAKEMAKE, ran, rules_of, write_study
from tests.workflow.sandbox import copy_repository, plan

_BENCHMARK = {"sample_answers": 1, "grade": 1, "build_report": 1}  # what one more benchmark needs
_SAMPLES = Path("results/evals/tiny-llama/tiny-long/system2/seed0/tiny_free")
_ASSET = Path("assets/students/tiny-llama")
_FULL_SECONDS = 180.0  # a start on a full disk ends before
_NO_LOCKS = f"""
import fcntl, os
def fails(*_, **__):
    raise OSError({errno.ENOSYS}, "Function not implemented")
fcntl.flock = os.link = fails
"""

Fault = Callable[[Place], Seen | None]


def purged_model(at: Place) -> Seen:
    """`hf/` of a run purged."""
    at.copy()
    shutil.rmtree(at.clone / RUN / "hf")
    return _comes_back(at, "exported again before the first job")


def purged_asset(at: Place) -> Seen:
    """`hf/` and a file of the asset it is made from purged."""
    at.copy()
    shutil.rmtree(at.clone / RUN / "hf")
    (at.clone / _ASSET / "tokenizer.json").unlink()
    return _comes_back(at, "fetched and exported again before the first job")


def _comes_back(at: Place, how: str) -> Seen:
    found = at.finish(how, "")
    again = ran(at.clone)
    expect(again == _BENCHMARK, f"other jobs ran: {dict(again)}")
    found.saw = at.saw("first they come back")
    return found


def other_weights(at: Place) -> Seen:
    """Weights of another run copied into `hf/`."""
    at.copy()
    shutil.copy2(
        at.clone / _ASSET / "model.safetensors", at.clone / RUN / "hf" / "model.safetensors"
    )
    expect(at.start() != 0, "they were evaluated")
    saw = at.saw("model.safetensors is not as it was made")
    (at.clone / RUN / "hf").rename(at.aside / "hf")
    return at.finish("refused; after a move of hf/ it was exported again", saw)


def flipped_byte(at: Place) -> Seen:
    """A flipped byte in Parquet that a job reads."""
    at.copy()
    samples = at.clone / _SAMPLES / "think.samples.parquet"
    content = bytearray(samples.read_bytes())
    content[len(content) // 2] ^= 1
    samples.write_bytes(content)
    (at.clone / _SAMPLES / "think.grades.parquet").unlink()
    expect(at.start() != 0, "it was graded")
    saw = at.saw("think.samples.parquet is not as it was made")
    samples.rename(at.aside / samples.name)
    return at.finish("refused; after a move it was made again", saw)


def damaged_journal(at: Place) -> Seen:
    """A damaged line inside a journal of paid answers."""
    with serving() as server:
        prompts = _asked(at, server.url)
        expect(_traces(at) == 0, at.said[-1500:])
        num_asked = len(server.asked)
        [journal] = (at.clone / "results/traces").rglob("completions.jsonl")
        lines = journal.read_bytes().splitlines(keepends=True)
        lines[1] = lines[1][: len(lines[1]) // 2] + b"\xff\n"
        journal.write_bytes(b"".join(lines))
        [shard] = (at.clone / "results/traces").rglob("shard-*.parquet")
        shard.unlink()
        expect(_traces(at) == 0, at.said[-1500:])
        again = len(server.asked) - num_asked
    expect(again == 1, f"{again} answers were asked for again")
    rows = [row for row in read_parquet(shard, TRACES) if row["status"] == "ok"]
    kept_aside = journal.with_name("completions.jsonl.damaged").read_bytes() == lines[1]
    lost = prompts - len(rows) + (not kept_aside)
    how = f"1 of {num_asked} answers asked for again; the line is kept aside"
    return Seen(how, at.saw("skipped 1 lines"), lost)


def hostile_answers(at: Place) -> Seen:
    """Hostile answers of a server, which also echoes its key."""
    key = secrets.token_hex(16)
    with serving(key=key) as server:
        _asked(at, server.url)
        prompts = read_parquet(at.clone / "results/prompts/tiny/all.parquet", PROMPTS)
        bad: list[Any] = [(200, headers, body) for body, headers, says in BODIES.values() if says]
        bad += [(200, {}, json.dumps(body).encode()) for body in HOSTILE.values()]
        bad += [(400, {}, {"error": f"\x1b[2J no such key: {key}"}), "half JSON"]
        server.streams = False  # what is sent is then what stands there
        hit = {row["question"]: [step] for row, step in zip(prompts, bad, strict=False)}
        expect(len(hit) == len(bad) < len(prompts), "the pool is too small")
        server.plan = {**hit}
        status = _traces(at, key)
    expect(status == 0, f"one row stopped the rest: {at.said[-1500:]}")
    [shard] = (at.clone / "results/traces").rglob("shard-*.parquet")
    rows = read_parquet(shard, TRACES)
    failed = [row for row in rows if row["status"] == "failed" and row["error"]]
    files = [path for path in at.clone.rglob("*") if path.is_file()]
    let_out = [path for path in files if key.encode() in path.read_bytes()]
    expect(not let_out and key not in at.said, f"the key stands in {let_out}")
    expect("\x1b[2J" not in "".join(row["error"] for row in failed), "escapes were stored")
    believed = max(0, len(bad) - len(failed))
    shares = f"{len(failed)} of {len(rows)}"
    how = f"{shares} rows failed with their reason; the key stands nowhere"
    return Seen(how, at.saw(f"{shares} failed"), len(prompts) - len(rows), believed)


def _asked(at: Place, url: str) -> int:
    """Make a study whose teacher is a server, and the prompts of it; return how many."""
    copy_repository(at.clone)
    server = {"base_url": url, "key_env": "NT_TEST_KEY"}
    teacher = {
        "engine": "openai",
        "params": {"model": MODEL},
        "runtime": {"mem_mb": 1000, "server": server},
    }
    write_study(
        at.clone,
        pools={"tiny": {"params": {"num_rows": 30}, "num_shards": 1}},
        teachers={"asked": teacher},
        subsets={"tiny-long": {"teacher": "asked", "size": 2}},
    )
    expect(at.run("snakemake", *SNAKEMAKE, "--", "prompts") == 0, at.said[-1500:])
    return len(read_parquet(at.clone / "results/prompts/tiny/all.parquet", PROMPTS))


def _traces(at: Place, key: str = "none") -> int:
    return at.run("snakemake", *SNAKEMAKE, "--", "traces", NT_TEST_KEY=key)


def copied_with_times(at: Place) -> Seen:
    """Results copied to another clone without `.snakemake`."""
    return _copied(at, with_times=True)


def copied_without_times(at: Place) -> Seen:
    """The same without times."""
    return _copied(at, with_times=False)


def _copied(at: Place, with_times: bool) -> Seen:
    edits = {"subsets": {"tiny-long": {"params": {"scale_tokens": 55}}}, "benchmarks": BOTH[:1]}
    at.copy(["results", "assets"], with_times, **edits)
    branch = rules_of(plan(at.clone, SNAKEMAKE))
    stale = sum(rule not in branch for rule in BRANCH)
    write_study(at.clone, benchmarks=BOTH)
    found = at.finish("taken over; an edited selector plans its branch", "")
    again = ran(at.clone)
    expect(again == _BENCHMARK, f"finished jobs ran again: {dict(again)}")
    num_jobs = sum(again.values())
    found.saw = f"{num_jobs} jobs, those of the new benchmark"
    found.stale += stale
    return found


def forced_after_kill(at: Place) -> Seen:
    """`--forcerun` after a kill that leaves second names of finished results."""
    return _forced(at, signal.SIGKILL)


def forced_after_hangup(at: Place) -> Seen:
    """The same after SIGHUP."""
    return _forced(at, signal.SIGHUP)


def _forced(at: Place, how: signal.Signals) -> Seen:
    at.copy()
    study = at.begin(lambda _: bool(_second_names(at.clone)))
    processes = [study.find("snakemake", 0.0), (study.process, "the launcher")]
    for target in processes:
        if target is not None:
            target[0].send_signal(how)
    study.process.wait()
    names = _second_names(at.clone)
    expect(bool(names), "no second name was left, so the fault was not done")
    for name in names:  # what would be put back is recognised
        name.unlink()
        name.write_text("old")
    found = at.finish("made again", "", "--forcerun", "sample_answers")
    expect(ran(at.clone)["sample_answers"] == 2, "it was not made again")
    left = [name for name in names if name.exists() and name.read_text() == "old"]
    found.stale += len(left)
    found.saw = f"{sum(ran(at.clone).values())} jobs of the same command with --forcerun"
    return found


def _second_names(clone: Path) -> list[Path]:
    """Return the second names of finished results of which all are there."""
    found = []
    for note in (clone / "work/finished_outputs").glob("*.json"):
        links = [clone / link for link in read_json(note).values()]
        found += links if all(link.is_file() for link in links) else []
    return found


def source_in_assets(at: Place) -> Seen:
    """A user's model inside `assets/`, named as a source."""
    source = {"builtin": None, "path": "assets/students/tiny-llama"}
    at.copy(students={"tiny-llama": {"source": source}})
    before = {p.name: p.read_bytes() for p in (at.clone / _ASSET).iterdir() if p.is_file()}
    expect(at.start() != 0, "it was taken")
    saw = at.saw("contain each other")
    lost = sum(
        not (path := at.clone / _ASSET / name).is_file() or path.read_bytes() != content
        for name, content in before.items()
    )
    write_study(at.clone, benchmarks=BOTH)
    found = at.finish("refused before the first job; the files are untouched", saw)
    found.lost += lost
    return found


def full_disk(at: Place) -> Seen | None:
    """A disk that gets full while jobs run."""
    at.clone.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(at.clone)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        return None
    at.last.callback(subprocess.run, ["umount", "-l", str(at.clone)], check=True)
    at.copy()
    study = at.begin(lambda _: bool(ran(at.clone)))
    filler = at.clone / "filler"
    _fill(filler)
    begun = time.monotonic()
    while study.is_running():
        _fill(filler)  # what was removed meanwhile
        expect(time.monotonic() - begun < _FULL_SECONDS, "the study hangs")
        time.sleep(0.5)
    seconds = time.monotonic() - begun
    expect(study.process.wait() != 0, "it ended well")
    at.said = study.log.read_text()
    saw = at.saw("no space left")
    expect(str(at.clone) in at.said, "the file system is not named")
    filler.unlink()
    return at.finish(f"ended after {seconds:.0f} s; continued after room was made", saw)


def _fill(path: Path) -> None:
    try:
        with path.open("ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def no_locks(at: Place) -> Seen:
    """A file system without hard links and `flock`."""
    at.copy()
    shutil.rmtree(at.clone / RUN / "hf")  # so that folders are made as well
    (at.clone / "sitecustomize.py").write_text(_NO_LOCKS)  # every Python of the copy reads it
    found = at.finish("runs as elsewhere", "")
    found.saw = at.saw("if Snakemake is killed now, it is rebuilt")
    at.saw("this file system has no locks")
    return found


def dangling_results(at: Place) -> Seen:
    """`results` is a link to a folder that is gone."""
    at.copy()
    (at.clone / "results").rename(at.aside / "elsewhere")
    (at.clone / "results").symlink_to(at.aside / "mounted")
    expect(at.start() != 0, "it was taken")
    saw = at.saw("which does not exist")
    (at.aside / "elsewhere").rename(at.aside / "mounted")
    return at.finish("refused; continued when it was there again", saw)


def second_start(at: Place) -> Seen:
    """A second start beside a first."""
    at.copy()
    first: Study = at.begin(lambda _: bool(ran(at.clone)))
    log = at.clone / "logs/study.log"
    before = log.read_bytes()
    expect(at.start() != 0, "it was let in")
    saw = at.saw("another start works in")
    lost = int(not log.read_bytes().startswith(before))
    expect(first.process.wait() == 0, "it stopped the first")
    found = at.compared("refused; the first went on", saw)
    found.lost += lost
    return found


def long_temporary_folder(at: Place) -> Seen:
    """A TMPDIR that is too long for the address of a socket."""
    at.copy()
    folder = at.aside / ("x" * 120)
    folder.mkdir()
    return at.finish("runs as elsewhere", "nothing", TMPDIR=str(folder))


def strange_path(at: Place) -> Seen:
    """A clone with a blank, `$`, quotes and backticks in its path, from its first job."""
    at.clone = at.aside / "a b $HOME 'c' \"d\" `touch pwned` e"
    copy_repository(at.clone)
    write_study(at.clone, benchmarks=BOTH)
    found = at.finish("runs as elsewhere", "nothing")
    expect(not list(at.aside.rglob("pwned")), "the path was executed")
    return found


FAULTS: tuple[Fault, ...] = (
    purged_model,
    purged_asset,
    other_weights,
    flipped_byte,
    damaged_journal,
    copied_with_times,
    copied_without_times,
    forced_after_kill,
    forced_after_hangup,
    source_in_assets,
    full_disk,
    no_locks,
    dangling_results,
    second_start,
    long_temporary_folder,
    strange_path,
    hostile_answers,
)
