"""Stands in for srun: starts the tasks on this machine, as if on several nodes.

    python fake_srun.py --nodes=2 --ntasks=4 ... python -m nt_pkg.sft.rank job.json

A signal USR2 goes to all tasks, and when one fails the others are killed, as with the true one. The
tasks are forked, so that PRELOAD, names of modules, are imported once for all. SIGNAL_RANK alone
gets a USR2 as soon as it is ready for it.
"""

import importlib
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType


def main() -> int:
    count = next(at for at, each in enumerate(sys.argv[1:], 1) if not each.startswith("--"))
    options = dict(each.lstrip("-").partition("=")[::2] for each in sys.argv[1:count])
    for name in os.environ.get("PRELOAD", "").split():
        importlib.import_module(name)
    num_tasks, num_nodes = int(options["ntasks"]), int(options["nodes"])
    per_node = int(options["ntasks-per-node"])
    writing = threading.Lock()

    def copy(rank: int, pipe: int) -> None:
        with os.fdopen(pipe) as lines:
            for line in lines:
                say(f"{rank}: {line}")

    def say(text: str) -> None:
        with writing:
            sys.stdout.write(text)
            sys.stdout.flush()

    tasks: dict[int, int] = {}  # process -> rank
    pipes = []
    for rank in range(num_tasks):
        place = {
            "SLURM_PROCID": rank,
            "SLURM_LOCALID": rank % per_node,
            "SLURM_NODEID": rank // per_node,
            "SLURM_NTASKS": num_tasks,
            "SLURM_JOB_NODELIST": ",".join(["localhost"] * num_nodes),
        }
        pid, pipe = start(sys.argv[count:], {name: str(value) for name, value in place.items()})
        tasks[pid] = rank
        pipes.append(pipe)

    def forward(number: int, _: FrameType | None) -> None:
        for pid in tasks:
            os.kill(pid, number)

    signal.signal(signal.SIGUSR2, forward)
    readers = [threading.Thread(target=copy, args=each) for each in enumerate(pipes)]
    for reader in readers:
        reader.start()
    if told := os.environ.get("SIGNAL_RANK"):
        pid = next(pid for pid, rank in tasks.items() if rank == int(told))
        wait_until_caught(pid)
        os.kill(pid, signal.SIGUSR2)
    worst = 0
    while tasks:
        pid, state = os.wait()
        rank, status = tasks.pop(pid), os.waitstatus_to_exitcode(state)
        if status:
            how = f"Exited with exit code {status}" if status > 0 else "Terminated"
            say(f"srun: error: n{rank // per_node + 1}: task {rank}: {how}\n")
            worst = max(worst, status)
            for other in tasks:
                os.kill(other, signal.SIGKILL)
    for reader in readers:
        reader.join()
    return worst


def start(command: list[str], place: dict[str, str]) -> tuple[int, int]:
    """Fork a task that runs `python -m module arguments`; return its process and its output."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    code = 1
    try:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.environ.update(place)
        _, _, module, *arguments = command
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def wait_until_caught(pid: int) -> None:
    """Wait until a process has a handler for USR2."""
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        if int(mask, 16) >> (signal.SIGUSR2 - 1) & 1:
            return
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
