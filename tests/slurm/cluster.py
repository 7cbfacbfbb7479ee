"""A real Slurm on one Debian machine, for tests: virtual nodes, stand-in GPUs, accounting.

    python -m tests.slurm.cluster up       # installs Debian's packages if they are missing
    python -m tests.slurm.cluster status
    python -m tests.slurm.cluster down

Everything of it lies in one folder, with its own configuration, keys, data base and ports. Outside
there are only a line in /etc/hosts, which names the nodes, and the link /etc/slurm/slurm.conf;
`down` takes both away. A machine that has a Slurm already is left alone. Daemons are stopped by the
process ids that were noted when they started.
Needs root. Every daemon listens on this machine for this machine: the nodes are 127.0.0.1.

A GPU is a character device that behaves like /dev/null: Slurm counts it, hands it out and sets
CUDA_VISIBLE_DEVICES as for a real one.
"""

import argparse
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

HOME = Path(os.environ.get("NT_SLURM_HOME", "/var/lib/nt-slurm-test"))
# More than there is: Slurm counts what jobs ask for, and ends those that take more memory.
NODES, NODE_CPUS, NODE_MB, NODE_GPUS, GPU = 4, 16, 64_000, 4, "h100"
ACCOUNT, PARTITION, GPU_PARTITION, URGENT = "lab", "cpu", "gpu", "urgent"
PACKAGES = ("slurm-wlm", "munge", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server")
_PORT = 17_500  # controller; then accounting, data base, nodes
_HOSTS_MARK = "# nt-slurm-test"
# The executor plugin takes SLURM_CONF away from its jobs, so commands must find this one.
_LINK = Path("/etc/slurm/slurm.conf")
LOCK = Path("/var/lib/nt-slurm-test.lock")  # of the machine, wherever HOME is


def why_not() -> str | None:
    """Return why no cluster can be started here, or nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a Slurm of its own needs root on Debian"
    if _LINK.exists() and _LINK.resolve() != HOME / "etc/slurm.conf":
        return f"this machine has a Slurm already ({_LINK})"
    if not shutil.which("slurmctld") and not shutil.which("apt-get"):
        return "a Slurm of its own needs Debian's packages: " + " ".join(PACKAGES)
    return None


def environment() -> dict[str, str]:
    """Return the environment of commands on this cluster: its nodes share the loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return {**kept, "GLOO_SOCKET_IFNAME": "lo"}


def ask(*command: str, seconds: float = 60.0) -> str:
    """Run one of Slurm's commands and return what it printed.

    Raises:
        RuntimeError: it failed; the text says why.
    """
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=seconds
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_until(what: str, seconds: float, is_true: Callable[[], object]) -> None:
    """Return once a condition holds.

    Raises:
        TimeoutError: it did not within `seconds`.
    """
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            if is_true():
                return
        except (RuntimeError, OSError, subprocess.SubprocessError):
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other run of tests has this machine's cluster, and keep others waiting."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another run has the test cluster ({LOCK}): waiting for its end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up() -> None:
    """Start the cluster, unless it runs, and wait until all its nodes are idle."""
    if reason := why_not():
        sys.exit(f"skipped: {reason}")
    _install()
    if not pid("slurmctld"):
        down()  # what a killed start has left
        _configure()
    _join()
    start("munged")
    wait_until("munge", 10, lambda: ask("munge", "-n", "-S", str(HOME / "munge/socket")))
    start("mariadbd")
    start("slurmdbd")
    wait_until("accounting", 60, lambda: ask("sacctmgr", "list", "cluster"))
    _account()
    start("slurmctld")
    wait_until("controller", 60, lambda: "UP" in ask("scontrol", "ping"))
    for number in range(1, NODES + 1):
        start(f"slurmd.n{number}")
    wait_until("nodes", 60, _all_idle)


def down() -> None:
    """Stop what `up` started, and remove all of it."""
    for job in _jobs():
        ask("scancel", "--signal=KILL", job)
    for number in range(1, NODES + 1):
        stop(f"slurmd.n{number}")
    for name in ("slurmctld", "slurmdbd", "mariadbd", "munged"):
        stop(name)
    hosts = Path("/etc/hosts")
    lines = hosts.read_text().splitlines(keepends=True)
    if any(_HOSTS_MARK in line for line in lines):
        hosts.write_text("".join(line for line in lines if _HOSTS_MARK not in line))
    if _LINK.is_symlink() and _LINK.readlink() == HOME / "etc/slurm.conf":
        _LINK.unlink()
    if (HOME / "etc/slurm.conf").exists():
        shutil.rmtree(HOME)


def start(name: str) -> None:
    """Start one daemon, unless it runs."""
    if pid(name):
        return
    etc, node = HOME / "etc", name.partition(".")[2]
    commands: dict[str, list[str]] = {
        "munged": [
            "setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", _sbin("munged"),
            "--foreground", "--force", f"--key-file={HOME}/munge/key",
            f"--socket={HOME}/munge/socket", f"--pid-file={HOME}/munge/munged.pid",
            f"--log-file={HOME}/munge/log", f"--seed-file={HOME}/munge/seed",
        ],
        "mariadbd": [
            _sbin("mariadbd"), "--no-defaults", "--user=root", f"--datadir={HOME}/mariadb",
            f"--socket={HOME}/mariadb.sock", f"--pid-file={HOME}/mariadb.pid",
            "--bind-address=127.0.0.1", f"--port={_PORT + 2}", "--skip-log-bin",
            "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900",
            "--innodb-flush-log-at-trx-commit=0",
        ],
        # It looks for its configuration beside the one that SLURM_CONF names.
        "slurmdbd": ["env", f"SLURM_CONF={etc}/slurm.conf", _sbin("slurmdbd"), "-D"],
        "slurmctld": [_sbin("slurmctld"), "-D", "-f", str(etc / "slurm.conf")],
        "slurmd": [_sbin("slurmd"), "-D", "-N", node, "-f", str(etc / "slurm.conf")],
    }  # fmt: skip
    with (HOME / f"log/{name}.out").open("a") as log:
        process = subprocess.Popen(
            commands[name.partition(".")[0]],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (HOME / f"pids/{name}").write_text(f"{process.pid} {_started_at(process.pid)}")
    if name == "mariadbd":
        wait_until("data base", 60, lambda: _sql("SELECT 1"))


def stop(name: str, how: signal.Signals = signal.SIGTERM) -> None:
    """Stop one daemon and wait until it is gone."""
    number = pid(name)
    if number:
        os.kill(number, how)
        try:
            wait_until(f"{name} to end", 20, lambda: not pid(name))
        except TimeoutError:
            os.kill(number, signal.SIGKILL)
    (HOME / f"pids/{name}").unlink(missing_ok=True)


def kill_node(node: str) -> None:
    """Kill a node's daemon and all jobs on it, as a power cut would; the jobs use no other node."""
    jobs = ask("squeue", "-h", "-w", node, "-o", "%i").split()
    titles = tuple(f"slurmstepd: [{job}.".encode() for job in jobs)
    daemons, others = [], []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if (path / "cmdline").read_bytes().startswith(titles):
                daemons.append(int(path.name))
            elif f"SLURMD_NODENAME={node}\0".encode() in (path / "environ").read_bytes():
                others.append(int(path.name))
    # First those that would tell the controller.
    stop(f"slurmd.{node}", signal.SIGKILL)
    for number in daemons + others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def pid(name: str) -> int | None:
    """Return the process id of a running daemon that was started here."""
    noted = HOME / f"pids/{name}"
    if not noted.exists():
        return None
    number, _, started = noted.read_text().partition(" ")
    with contextlib.suppress(ChildProcessError):  # an ended child stays until it is waited for
        os.waitpid(int(number), os.WNOHANG)
    return int(number) if _started_at(int(number)) == started else None


def _started_at(number: int) -> str:
    """Return when a process started, in ticks since boot: an id may be taken again."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "gone"
    return "gone" if fields[0] == "Z" else fields[19]


def _sbin(name: str) -> str:
    found = shutil.which(name, path=f"/usr/sbin:/usr/bin:{os.environ.get('PATH', '')}")
    assert found, name
    return found


def _install() -> None:
    daemons = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd")
    if all(shutil.which(name, path="/usr/sbin:/usr/bin") for name in daemons):
        return
    print("installing", *PACKAGES, flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Asked before a package starts its service: none of them is to run but ours.
    policy = Path("/usr/sbin/policy-rc.d")
    is_ours = not policy.exists()
    if is_ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(
                ["apt-get", "-qq", *arguments], env=quiet, capture_output=True, text=True
            )
            if done.returncode:
                said = (done.stdout + done.stderr)[-2000:]
                sys.exit(f"error: apt-get {arguments[0]} failed:\n{said}")
    finally:
        if is_ours:
            policy.unlink()


def _configure() -> None:
    for name in ("etc", "log", "pids", "gpus", "munge", "state", "spool", "mariadb"):
        (HOME / name).mkdir(parents=True, exist_ok=True)
    HOME.chmod(0o755)
    (HOME / "munge/key").write_bytes(secrets.token_bytes(128))
    (HOME / "munge/key").chmod(0o400)
    for path in [HOME / "munge", *(HOME / "munge").iterdir()]:
        shutil.chown(path, "munge", "munge")
    for number in range(NODE_GPUS):
        os.mknod(HOME / f"gpus/gpu{number}", 0o20666, os.makedev(1, 3))
    password = secrets.token_hex(16)
    (HOME / "etc/slurm.conf").write_text(_slurm_conf())
    (HOME / "etc/gres.conf").write_text(
        f"NodeName=n[1-{NODES}] Name=gpu Type={GPU} File={HOME}/gpus/gpu[0-{NODE_GPUS - 1}] "
        "Flags=nvidia_gpu_env\n"
    )
    # Only to find and end a job's processes; no controller is limited.
    (HOME / "etc/cgroup.conf").write_text(
        "CgroupAutomount=no\nCgroupMountpoint=/sys/fs/cgroup\nConstrainCores=no\n"
        "ConstrainRAMSpace=no\nConstrainSwapSpace=no\nConstrainDevices=no\n"
    )
    secret = HOME / "etc/slurmdbd.conf"
    secret.touch(0o600)
    secret.write_text(
        f"AuthType=auth/munge\nAuthInfo=socket={HOME}/munge/socket\nDbdHost=localhost\n"
        f"DbdPort={_PORT + 1}\nSlurmUser=root\nPidFile={HOME}/slurmdbd.pid\n"
        f"LogFile={HOME}/log/slurmdbd.log\nStorageType=accounting_storage/mysql\n"
        f"StorageHost=127.0.0.1\nStoragePort={_PORT + 2}\nStorageUser=slurm\n"
        f"StoragePass={password}\nStorageLoc=slurm_acct_db\n"
    )
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={HOME}/mariadb"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    start("mariadbd")
    _sql(f"CREATE USER 'slurm'@'localhost' IDENTIFIED BY '{password}'")
    _sql(f"CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY '{password}'")
    for host in ("localhost", "127.0.0.1"):
        _sql(f"GRANT ALL ON slurm_acct_db.* TO 'slurm'@'{host}'")


def _slurm_conf() -> str:
    proctrack = "cgroup" if os.access("/sys/fs/cgroup/freezer", os.W_OK) else "linuxproc"
    return f"""\
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={_PORT}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={HOME}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={HOME}/state
SlurmdSpoolDir={HOME}/spool/%n
SlurmctldPidFile={HOME}/slurmctld.pid
SlurmdPidFile={HOME}/slurmd.%n.pid
SlurmctldLogFile={HOME}/log/slurmctld.log
SlurmdLogFile={HOME}/log/slurmd.%n.log
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=30
MessageTimeout=30
KillWait=15
MinJobAge=600
JobRequeue=1
JobFileAppend=1
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={_PORT + 1}
AccountingStoragePass={HOME}/munge/socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations
AccountingStoreFlags=job_comment
GresTypes=gpu
NodeName=n[1-{NODES}] NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Feature=standin \
Port=[{_PORT + 11}-{_PORT + 10 + NODES}] CPUs={NODE_CPUS} RealMemory={NODE_MB} \
Gres=gpu:{GPU}:{NODE_GPUS} State=UNKNOWN
PartitionName={PARTITION} Nodes=ALL Default=YES MaxTime=1440 DefaultTime=10 DefMemPerCPU=200 \
PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName={GPU_PARTITION} Nodes=ALL MaxTime=2880 DefaultTime=10 DefMemPerCPU=200 \
PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName={URGENT} Nodes=ALL MaxTime=1440 DefaultTime=10 DefMemPerCPU=200 \
PriorityTier=10 PreemptMode=OFF State=UP
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
"""


def _sql(statement: str) -> str:
    return ask(
        "mariadb", "--no-defaults", "--user=root", f"--socket={HOME}/mariadb.sock", "-N", "-e",
        statement,
    )  # fmt: skip


def _account() -> None:
    if ACCOUNT in ask("sacctmgr", "-nP", "list", "account", "format=account").split():
        return
    ask("sacctmgr", "-i", "-Q", "add", "cluster", "test")
    ask("sacctmgr", "-i", "-Q", "add", "account", ACCOUNT, "cluster=test")
    ask("sacctmgr", "-i", "-Q", "add", "user", "root", f"account={ACCOUNT}")
    ask("sacctmgr", "-i", "-Q", "modify", "user", "root", "set", f"defaultaccount={ACCOUNT}")


def _join() -> None:
    """Let this machine find the cluster and its nodes."""
    _LINK.parent.mkdir(exist_ok=True)
    if not _LINK.is_symlink():
        _LINK.symlink_to(HOME / "etc/slurm.conf")
    hosts = Path("/etc/hosts")
    if _HOSTS_MARK not in hosts.read_text():
        names = " ".join(f"n{number}" for number in range(1, NODES + 1))
        with hosts.open("a") as file:
            file.write(f"127.0.0.1 {names} {_HOSTS_MARK}\n")


def _all_idle() -> bool:
    states = ask("sinfo", "-h", "-N", "-o", "%T").split()
    return bool(states) and set(states) <= {"idle", "mixed", "allocated", "completing"}


def _jobs() -> list[str]:
    if not pid("slurmctld"):
        return []
    try:
        return ask("squeue", "-h", "-o", "%i").split()
    except RuntimeError:
        return []


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("up", "down", "status"))
    args = parser.parse_args(argv)
    if args.what == "up":
        begun = time.monotonic()
        up()
        print(f"up after {time.monotonic() - begun:.1f} s")
    elif args.what == "down":
        down()
    else:
        print(ask("sinfo", "-N", "-o", "%N %T %c %m %G"), ask("squeue"), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
