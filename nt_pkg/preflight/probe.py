"""One tiny job: does a compute node see the files that this node writes, and vice versa?"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nt_pkg.preflight.ask import execute
from nt_pkg.preflight.facts import Answer, Finding, Level, SlurmRequest
from nt_pkg.preflight.profile import Profile

SECONDS = 150  # for a job to start and end
_VISIBLE_SECONDS = 60
# Plain sh, because whether Python is there is one of the questions.
_ON_NODE = r"""
folder=$1; token=$2; python=$3; shift 3
echo "host $(hostname)"
[ "$(cat "$folder/ask" 2>/dev/null)" = "$token" ] && echo "read yes" || echo "read no"
{ echo "$token" > "$folder/answer"; } 2>/dev/null && echo "wrote yes" || echo "wrote no"
for path in "$@"; do [ -e "$path" ] && echo "seen $path"; done
"$python" - "$folder/lock" 2>/dev/null <<'P' || echo "python missing"
import sys
from importlib import metadata
try:
    print("python", sys.version.split()[0], "snakemake", metadata.version("snakemake"))
except metadata.PackageNotFoundError:
    print("python", sys.version.split()[0], "without snakemake")
try:
    import fcntl
    with open(sys.argv[1], "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("lock free")
except BlockingIOError:
    print("lock held")
except OSError as error:
    print("lock", error.strerror)
P
exit 0
"""


@dataclass(frozen=True)
class Probed:
    """The job's answer; `seen` are the paths that exist on its node."""

    answer: Answer
    host: str = ""
    could_read: bool = False
    could_write: bool = False
    python: str = ""
    lock: str = ""
    seen: frozenset[str] = frozenset()
    visible_seconds: float | None = None  # until what the node wrote was seen here


def command(request: SlurmRequest | None, profile: Profile, name: str) -> list[str]:
    """Return the `srun` call, in the partition of the study's first jobs."""
    found = ["srun", f"--job-name={name}", "--ntasks=1", "--time=1", "--mem=200", "--quiet"]
    if request is not None:
        pairs = {
            "--account": request.get("slurm_account"),
            "--partition": (request.get("slurm_partition") or "").split(",")[0],
            "--qos": profile.get("slurm-qos") or request.get("qos"),
            "--constraint": request.get("constraint"),
            "--reservation": profile.get("slurm-reservation"),
        }
        found += [f"{key}={value}" for key, value in pairs.items() if value]
    return found


def probe(
    srun: Sequence[str], folder: Path, python: str, paths: Sequence[Path], name: str
) -> Probed:
    """Run the job and return what it found; leave neither files nor a job."""
    token = os.urandom(8).hex()
    place = Path(tempfile.mkdtemp(dir=folder, prefix=".preflight-"))
    try:
        (place / "ask").write_text(token)
        with (place / "lock").open("a") as lock:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            arguments = ["sh", "-c", _ON_NODE, "sh", str(place), token, python, *map(str, paths)]
            answer = execute([*srun, *arguments], seconds=SECONDS)
            if answer.status is None:
                execute(["scancel", f"--name={name}"])
        probed = parse(answer)
        return _wait_for(probed, place / "answer", token) if probed.could_write else probed
    finally:
        shutil.rmtree(place, ignore_errors=True)


def parse(answer: Answer) -> Probed:
    """Return the answer in a job's output."""
    words: Mapping[str, str] = dict(re.findall(r"^(\w+) (.*)$", answer.out, re.M))
    return Probed(
        answer=answer,
        host=words.get("host", ""),
        could_read=words.get("read") == "yes",
        could_write=words.get("wrote") == "yes",
        python=words.get("python", "missing"),
        lock=words.get("lock", ""),
        seen=frozenset(re.findall(r"^seen (.*)$", answer.out, re.M)),
    )


def _wait_for(probed: Probed, path: Path, token: str) -> Probed:
    begun = time.monotonic()
    while time.monotonic() - begun < _VISIBLE_SECONDS:
        with contextlib.suppress(OSError):
            list(path.parent.iterdir())  # makes some network file systems refresh
            if path.read_text().strip() == token:
                return replace(probed, visible_seconds=time.monotonic() - begun)
        time.sleep(0.1)
    return probed


def did_not_run(check: str, answer: Answer) -> Finding:
    """Return the finding on a job that said nothing."""
    why = answer.why if answer.status is not None else f"it did not end in {SECONDS} s"
    todo = "try again when nodes are free, or read the reason in `squeue --me`"
    return Finding("FAIL" if answer.status else "warn", check, f"the job did not run: {why}", todo)


def seen_by_node(probed: Probed, places: Mapping[str, Path], profile: Profile) -> list[Finding]:
    """Judge the job's answer."""
    answer = probed.answer
    if not probed.host:
        return [did_not_run("probe", answer)]
    at = f"node {probed.host}"
    said: list[tuple[Level, str, str]] = [("ok", f"ran on {at}, {answer.seconds:.1f} s in all", "")]
    unseen = [f"{label} ({path})" for label, path in places.items() if str(path) not in probed.seen]
    if not probed.could_read or unseen:
        what = ", ".join(unseen) or "a file that was just written"
        todo = "move the project, its results and .venv to storage that compute nodes share"
        said.append(("FAIL", f"{at} does not see {what}", todo))
    elif (seconds := probed.visible_seconds) is None:
        todo = "use shared storage where compute nodes may write"
        said.append(("FAIL", f"a file from {at} is not seen here", todo))
    else:
        wait = float(profile.get("latency-wait") or 5)  # Snakemake's default
        text = f"a file from {at} was seen here after {seconds:.1f} s (latency-wait: {wait:.0f} s)"
        is_late = seconds >= wait / 2
        todo = f"raise {profile.where('latency-wait')}" if is_late else ""
        said.append(("warn" if is_late else "ok", text, todo))
    if "snakemake" in probed.python and "without" not in probed.python:
        said.append(("ok", f"{at} has Python {probed.python}", ""))
    else:
        text = f"{at}: the interpreter of this environment is {probed.python}"
        todo = (
            "create .venv on shared storage, with a Python that nodes have (`make setup PYTHON=`)"
        )
        said.append(("FAIL", text, todo))
    if probed.lock == "free":
        todo = "never start the study on two nodes at once"
        said.append(("warn", f"{at} does not see a lock (flock) held here", todo))
    elif probed.lock == "held":
        said.append(("ok", f"{at} sees a lock (flock) held here", ""))
    elif probed.lock:
        text = f"flock fails on {at}: {probed.lock}"
        said.append(("FAIL", text, "use a file system with flock"))
    return [Finding(level, "probe", text, todo) for level, text, todo in said]
