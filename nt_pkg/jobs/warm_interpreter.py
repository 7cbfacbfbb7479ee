"""A warm interpreter: jobs on one machine start in milliseconds instead of importing torch again.

A server imports the heavy libraries once and forks a child for every job. It is an option of the
local launcher and is not used unless NT_WARM is in the environment.

    NT_WARM=/tmp/x.sock python -m nt_pkg.jobs.warm_interpreter serve  # imports, then waits for jobs
    NT_WARM=/tmp/x.sock python -m nt_pkg.jobs.warm_interpreter run scripts.select --size 10 ...

The server only imports libraries, never this project's modules, so an edit takes effect from the
next job on. When its client ends, a job is asked to stop with SIGTERM, and killed ten seconds
later; the same happens to all jobs when the server gets SIGTERM. A killed server takes its jobs
with it. The socket is in a folder that only its owner can enter.
"""

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "numpy",
    "pydantic",
    "pyarrow.parquet",
    "pyarrow.dataset",
    "pandas",  # pyarrow imports it when it converts rows
    "yaml",
    "torch",
    "torch.distributed",
    "transformers",
    "transformers.generation.utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.tokenization_utils_tokenizers",
    "deepspeed",
    "deepspeed.utils.zero_to_fp32",
    "tensorboardX",
    "deepspeed.runtime.zero.muon.muon_optimizer",  # imports torch.compile when training starts
    "scipy.stats",
    "math_verify",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
)
STOP_SECONDS = 10.0  # from asking a job to stop to killing it


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask Linux to send this process a signal when its parent ends; do nothing elsewhere."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, number)


def serve(address: str) -> None:
    """Import the libraries, print `ready`, and fork a child per job until killed."""
    die_with_parent()
    # Listen before the imports, so that jobs wait in this queue and fail once the server dies.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    Path(f"{address}.new").rename(address)
    # Otherwise looking for GPUs initialises CUDA here, and forked jobs could no longer use it.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # otherwise the collector would touch the shared pages and so copy them
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    children: dict[int, tuple[int, socket.socket]] = {}  # pidfd -> pid, client
    asked: dict[int, float] = {}  # pid -> when it is killed
    told_of: dict[int, Path] = {}  # pid -> where `job_of` finds it
    told, telling = socket.socketpair()  # a signal's number is written into it
    telling.setblocking(False)
    selector.register(told, selectors.EVENT_READ)
    signal.set_wakeup_fd(telling.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the jobs through their clients
    is_over = False
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while children or not is_over:
        patience = min(asked.values()) - time.monotonic() if asked else None
        for key, _ in selector.select(None if patience is None else max(0, patience)):
            if key.fileobj is told:
                is_over = bool(told.recv(64))
                for pid, _ in children.values():
                    _ask_to_stop(pid, asked)
            elif key.fileobj is listener:
                client, _ = listener.accept()
                others = [listener, told, telling, client, *(each for _, each in children.values())]
                try:
                    job, fds = _receive(client)
                except ConnectionError:  # the client was killed before it sent its job
                    client.close()
                    continue
                pid = _start(job, fds, others)
                told_of[pid] = _place_of(address, job["client"])
                with contextlib.suppress(OSError):
                    told_of[pid].symlink_to(str(pid))
                pidfd = os.pidfd_open(pid)
                children[pidfd] = pid, client
                selector.register(pidfd, selectors.EVENT_READ)
                selector.register(client, selectors.EVENT_READ, data=pid)
            elif isinstance(key.fileobj, socket.socket):  # all that clients do now is hang up
                selector.unregister(key.fileobj)
                _ask_to_stop(key.data, asked)
            else:
                assert isinstance(key.fileobj, int)
                pid, client = children.pop(key.fileobj)
                selector.unregister(key.fileobj)
                os.close(key.fileobj)
                _, status = os.waitpid(pid, 0)
                with contextlib.suppress(OSError):
                    told_of.pop(pid).unlink()
                if asked.pop(pid, None):
                    _tell_group(pid, signal.SIGKILL)  # what it has started
                with contextlib.suppress(KeyError):
                    selector.unregister(client)
                with contextlib.suppress(OSError):
                    client.send(bytes([os.waitstatus_to_exitcode(status) & 255]))
                client.close()
        for pid in [pid for pid, when in asked.items() if when <= time.monotonic()]:
            _tell_group(pid, signal.SIGKILL)
            asked[pid] = time.monotonic() + STOP_SECONDS


def _ask_to_stop(pid: int, asked: dict[int, float]) -> None:
    if pid not in asked:
        asked[pid] = time.monotonic() + STOP_SECONDS
        _tell_group(pid, signal.SIGTERM)


def _tell_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the job that a client sends, and its stdout and stderr.

    Raises:
        ConnectionError: the client hung up.
    """
    fds = array.array("i")
    head, ancillary, _, _ = client.recvmsg(8, socket.CMSG_LEN(2 * fds.itemsize))
    for _, _, data in ancillary:
        fds.frombytes(data)
    size, body = int.from_bytes(head, "big"), b""
    while head and len(body) < size and (piece := client.recv(size - len(body))):
        body += piece
    if not head or len(body) < size:
        for fd in fds:
            os.close(fd)
        raise ConnectionError("the client hung up")
    return json.loads(body), list(fds)


def _start(job: dict[str, Any], fds: list[int], inherited: list[socket.socket]) -> int:
    """Fork one job and return its process id; the child never returns."""
    pid = os.fork()
    if pid:
        for fd in fds:
            os.close(fd)
        return pid
    code = 1
    try:
        die_with_parent()
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for each in inherited:
            each.close()
        os.dup2(fds[0], 1)
        os.dup2(fds[1], 2)
        for fd in fds:
            os.close(fd)
        os.chdir(job["cwd"])
        os.environ.clear()
        os.environ.update(job["env"])
        sys.path[:1] = [job["cwd"], job["env"]["PYTHONPATH"]]
        sys.argv = [job["module"], *job["args"]]
        runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(end.code + "\n")
    except BaseException:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def run(address: str, module: str, args: list[str]) -> int:
    """Run a module in a child of the server and return its exit status."""
    job = {"module": module, "args": args, "cwd": str(Path.cwd()), "env": dict(os.environ)}
    body = json.dumps({**job, "client": os.getpid()}).encode()
    with socket.socket(socket.AF_UNIX) as server, contextlib.suppress(ConnectionError):
        _connect(server, address)
        fds = array.array("i", [1, 2])
        server.sendmsg(
            [len(body).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
        )
        server.sendall(body)
        if status := server.recv(1):
            return status[0]
    sys.stderr.write("the warm interpreter is gone (logs/warm.log); run the same command again\n")
    return 1


def job_of(address: str, client: int) -> int | None:
    """Return the process of the job whose client is a process, None if it is no client."""
    try:
        return int(_place_of(address, client).readlink().name)
    except OSError:
        return None


def _place_of(address: str, client: int) -> Path:
    """Return the link whose target is the process id of a client's job."""
    return Path(f"{address}.{client}")


def _connect(server: socket.socket, address: str, patience_seconds: float = 20.0) -> None:
    """Connect, and wait for a server that is still starting."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return server.connect(address)
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(os.environ["NT_WARM"])
    sys.exit(run(os.environ["NT_WARM"], sys.argv[2], sys.argv[3:]))
