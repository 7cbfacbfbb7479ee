"""Make an environment beside the one in use, and exchange them once it is complete.

    envs/install.sh KIND FOLDER

FOLDER is a link to a folder in FOLDER.d, because an environment works only where it was made. Its
`.ready` says what it was made from: the pins, the build of torch and the version of Python. An
environment made from the same is left alone, whatever the times of the lists. So is one that runs,
and whatever this did not make. The environment before the last one stays, because jobs on other
machines may still run in it.

Runs with any Python from 3.11 on, so it imports nothing of ours.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_UV = "uv==0.13.9"
# Of these run the jobs of a study, so a study that runs may need them in a minute.
_OF_STUDIES = ("local", "workflow", "training", "inference", "inference-cpu")
_DAY_SECONDS = 86_400


def main(kind: str, place: str) -> int:
    """Make or leave an environment and return the exit status."""
    folder = Path(place).absolute()  # not resolved: it may be a link of ours
    made, wanted = plan(kind, folder)
    if is_made(made, wanted):
        return 0
    if made and is_left_alone(made, kind, folder):
        return 0
    builds = Path(f"{folder}.d")
    builds.mkdir(parents=True, exist_ok=True)
    with locked(builds, folder):
        made, wanted = plan(kind, folder)  # another process may have made it meanwhile
        if is_made(made, wanted):
            return 0
        earlier = (each for each in builds.iterdir() if is_made(each, wanted))
        new = next(earlier, None) or build(kind, folder, builds, wanted)
        if made and is_left_alone(made, kind, folder):
            return 0
        exchange(folder, new)
        clean(builds, {new, made})
        if made and made.parent == builds:
            say(
                f"the one before stays in {made}, for jobs on other machines, until the next change"
            )
    return 0


def plan(kind: str, folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """Return the folder of the environment as it is, and what it should be made from.

    Raises:
        ValueError: something else is there, or the build of torch has to be named again.
    """
    made = current(kind, folder)
    before = (read(made) if made else None) or {}
    if before and before["kind"] != kind:
        raise ValueError(
            f"{folder} is an environment of '{before['kind']}', not of '{kind}': name another "
            "folder (make: VENV=...), or move it elsewhere first"
        )
    wants_torch = asks_for_torch(HERE / f"{kind}.in")
    names = [f"{kind}.txt", f"{kind}.override", *(["torch.txt"] if wants_torch else [])]
    files = {name: digest(HERE / name) for name in names if (HERE / name).exists()}
    named = os.environ.get("TORCH", "") if wants_torch else ""
    torch = named or before.get("torch", "")  # named once, it stays
    if torch and not named and before["files"]["torch.txt"] != files["torch.txt"]:
        raise ValueError(
            f"{folder} was made with TORCH={torch}, and envs/torch.txt has changed since: name "
            "the build of torch again with TORCH=..."
        )
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return made, {"kind": kind, "python": python, "torch": torch, "files": files}


def current(kind: str, folder: Path) -> Path | None:
    """Return where the environment lies now, if there is one.

    Raises:
        ValueError: something is there that this did not make.
    """
    builds = Path(f"{folder}.d")
    if folder.is_symlink():
        target = folder.parent / folder.readlink()
        if target.parent == builds:
            return target if read(target) else None
    elif not folder.exists():
        return None
    elif (folder / "pyvenv.cfg").exists() and (folder / ".ready").exists():
        # Earlier versions made a plain folder that does not say what it is, in these places.
        names = {"local": ".venv", "workflow": ".venv"}
        if folder.name in (names.get(kind), f".venv-{kind.removesuffix('-cpu')}"):
            return folder
    raise ValueError(
        f"{folder} is there, and is no environment that this made for '{kind}'; it is left as it "
        "is: move it away, or name another folder (make: VENV=...)"
    )


def read(folder: Path) -> dict[str, Any] | None:
    """Return what an environment was made from, or nothing if it is incomplete or not ours."""
    try:
        found = json.loads((folder / ".ready").read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "kind" in found else None


def is_made(folder: Path | None, wanted: dict[str, Any]) -> bool:
    """Return whether an environment is complete, made from this, and has its interpreter."""
    return bool(folder and read(folder) == wanted and (folder / "bin" / "python").exists())


def digest(path: Path) -> str:
    """Return the digest of what a list says; comments do not count."""
    lines = [line.partition(" #")[0].strip() for line in path.read_text().splitlines()]
    said = "\n".join(line for line in lines if line and not line.startswith("#"))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def asks_for_torch(path: Path) -> bool:
    """Return whether a list asks for torch, by itself or by one that it includes."""
    included = re.findall(r"^-r (\S+)", path.read_text(), re.M)
    return "torch.txt" in included or any(asks_for_torch(path.parent / each) for each in included)


def is_left_alone(made: Path, kind: str, folder: Path) -> bool:
    """Say who uses an environment, and return whether anybody does."""
    who = users(made)
    if kind in _OF_STUDIES and is_held(HERE.parent / "results" / ".lock"):
        who.append(f"a study that runs in {HERE.parent}")
    if who:
        say(
            f"{folder} is not what the list '{kind}' says now, and is left as it is because it is "
            f"in use: {'; '.join(who[:3])}{' and others' if who[3:] else ''}. Once nobody uses it, "
            "the same command updates it."
        )
    return bool(who)


def is_held(lock: Path) -> bool:
    """Return whether a running study holds its results (any machine, if the storage has locks)."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def users(folder: Path) -> list[str]:
    """Return the processes of this machine that run from a folder."""
    real, found = folder.resolve(), []
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda each: int(each.name)):
        # A process may end meanwhile, and much of another user's cannot be read.
        with contextlib.suppress(OSError):
            arguments = os.fsdecode((process / "cmdline").read_bytes()).rstrip("\0").split("\0")
            if int(process.name) != os.getpid() and runs_from(process, arguments[0], real):
                found.append(f"process {process.name} ({' '.join(arguments)[:60]})")
    return found


def runs_from(process: Path, program: str, real: Path) -> bool:
    """Return whether a process was started as a program of a folder, or has loaded files of it.

    The executable itself says nothing: that of an environment is a link to the system's Python.
    """
    with contextlib.suppress(OSError):
        if f" {real}/" in (process / "maps").read_text(errors="replace"):
            return True
    if program and "/" not in program:
        variables = os.fsdecode((process / "environ").read_bytes()).split("\0")
        path = next((each[5:] for each in variables if each.startswith("PATH=")), "")
        program = shutil.which(program, path=path) or ""
    if program and not program.startswith("/"):
        program = f"{(process / 'cwd').readlink()}/{program}"
    return Path(program).parent.resolve() == real / "bin"


@contextlib.contextmanager
def locked(builds: Path, folder: Path) -> Iterator[None]:
    """Let one process at a time make an environment, where the storage has locks."""
    with (builds / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that makes {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass  # every build has a folder of its own, so two of them only do the work twice
        yield


def build(kind: str, folder: Path, builds: Path, wanted: dict[str, Any]) -> Path:
    """Make an environment in a folder of its own and return it; nothing stays of a failure."""
    version = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:8]
    new = builds / f"{version}-{secrets.token_hex(2)}"
    with_torch = f", TORCH={wanted['torch']}" if wanted["torch"] else ""
    say(
        f"making the environment '{kind}' in {folder} (Python {wanted['python']}{with_torch}); "
        "at most a few minutes and 3 GB"
    )
    try:
        new.mkdir()
        (new / ".making").write_text(json.dumps(wanted, indent=2, sort_keys=True) + "\n")
        install(kind, new, wanted, prompt=folder.name)
        (new / ".making").replace(new / ".ready")
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if not isinstance(error, subprocess.CalledProcessError | OSError):
            raise
        what = f"the environment '{kind}' could not be made"
        why = error if isinstance(error, OSError) else "what stopped it is above"
        left = f"{folder} was not touched and works as before"
        if kind == "local":
            left += "; `make -o setup TARGET` runs with it"
        raise ValueError(f"{what}: {why}. {left if folder.exists() else ''}".strip()) from None
    return new


def install(kind: str, new: Path, wanted: dict[str, Any], prompt: str) -> None:
    """Fill a folder with an environment."""
    if not importlib.util.find_spec("ensurepip"):
        say(f"{sys.executable} has no venv module (Debian and Ubuntu ship it apart)")
        if os.getuid() or not shutil.which("apt-get"):
            raise OSError("install it: sudo apt-get install python3-venv")
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "python3-venv"], check=True)
    python, override = str(new / "bin" / "python"), HERE / f"{kind}.override"
    subprocess.run([sys.executable, "-m", "venv", "--prompt", prompt, str(new)], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, _UV], check=True)
    if wanted["torch"]:
        subprocess.run([*pip, wanted["torch"]], check=True)
    elif "torch.txt" in wanted["files"]:
        # By pip, because it is pip's configuration that knows of CPU builds.
        subprocess.run([*pip, "-r", str(HERE / "torch.txt")], check=True)
    # Byte code is compiled now, so that no job has to.
    uv = [str(new / "bin" / "uv"), "pip", "install", "--quiet", "--compile-bytecode"]
    uv += ["--verify-hashes"]  # of what has one: torch's build is the site's own
    options = ["--override", str(override)] if override.exists() else []
    lists = ["-r", str(HERE / f"{kind}.txt")]
    subprocess.run([*uv, "--python", python, *options, *lists], check=True)
    compiling = [python, "-m", "compileall", "-q", "-j", "0", str(new)]
    subprocess.run(compiling, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def exchange(folder: Path, new: Path) -> None:
    """Let the link name another environment, in one step."""
    link = new.parent / f".link-{new.name}"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(new.parent.name, new.name))
    if folder.is_symlink() or not folder.exists():
        link.replace(folder)
        return
    # The plain folder of an earlier version, which nobody uses.
    aside = new.parent / f"{new.name}-before"
    folder.rename(aside)
    try:
        link.replace(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def clean(builds: Path, keep: set[Path | None]) -> None:
    """Remove environments that nobody needs, and what kills left of others."""
    for each in sorted(builds.iterdir()):
        making = each / ".making"
        with contextlib.suppress(FileNotFoundError):  # another process finished or removed it
            left = making.exists() and time.time() - making.stat().st_mtime > _DAY_SECONDS
            if each not in keep and (left or read(each)) and not users(each):
                shutil.rmtree(each, ignore_errors=True)


def say(text: str) -> None:
    """Print a line for the user; stdout is for what `make` was asked for."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):  # they end it as Ctrl-C does, with nothing left
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    try:
        sys.exit(main(*sys.argv[1:]))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
