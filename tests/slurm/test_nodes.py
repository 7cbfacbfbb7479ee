"""One training over several nodes."""

import contextlib
import time
from pathlib import Path

import psutil
import pytest

from nt_pkg.files.json_files import read_json
from nt_pkg.sft.train import STOPPED
from tests.slurm import cluster
from tests.slurm.conftest import Note
from tests.slurm.site import (
    LOG,
    RUN,
    Clone,
    Start,
    accounted,
    newest_checkpoint,
    resumed_at,
    wait_for_checkpoint,
    wait_for_job,
)

TWO_NODES = (RUN, "--configfile", "tests/slurm/two_nodes.yaml")
ONE_NODE = (RUN, "--configfile", "tests/slurm/one_node.yaml")


def _losses(clone: Clone) -> list[float]:
    return [loss for _, loss in read_json(clone.folder / RUN)["loss_curve"]]


def test_two_nodes_train_as_one(clone: Clone, prepared: Clone, tmp_path: Path) -> None:
    """Two nodes of two ranks, ZeRO-3, give the losses of four ranks on one node."""
    since = time.time()
    with Start(clone, TWO_NODES) as start:
        job = wait_for_job("train")
        where = cluster.ask("squeue", "-h", "-j", job, "-o", "%D %N").split()
        wait_for_checkpoint(clone)
        listening = _listening(job)
        start.finish()
    assert listening == {"127.0.0.1"}  # the address of the nodes; never all interfaces
    (done,) = accounted(since)
    assert done.gpus == 4
    assert where[0] == "2"
    placed = (clone.folder / LOG).read_text()
    assert "srun --nodes=2 --ntasks=4 --ntasks-per-node=2" in placed
    run = read_json(clone.folder / RUN)
    assert (run["world_size"], run["zero_stage"]) == (4, 3)

    alone = Clone.copy(prepared, tmp_path / "one_node")
    alone.local(*ONE_NODE)
    assert _losses(clone) == pytest.approx(_losses(alone), abs=1e-5)


def _listening(job: str) -> set[str]:
    """Return the addresses on which the ranks of a job accept connections.

    Their srun is left out: it serves its tasks' output on all interfaces, by Slurm's own rules.
    """
    found = set()
    for process in psutil.process_iter(["name", "cmdline"]):
        with contextlib.suppress(psutil.Error):
            is_rank = process.info["name"] != "srun" and "nt_pkg.sft.rank" in (
                process.info["cmdline"] or []
            )
            if is_rank and process.environ().get("SLURM_JOB_ID") == job:
                sockets = process.net_connections("inet")
                found |= {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN}
    return found


def test_two_nodes_are_stopped_and_go_on(clone: Clone, note: Note) -> None:
    """Slurm signals ranks on both nodes; they write one checkpoint together."""
    since = time.time()
    more = clone.folder / "longer.yaml"
    more.write_text("students: {faults-llama: {training: {epochs: {0: 20}}}}\n")
    arguments = (*TWO_NODES, str(more))
    with Start(clone, arguments) as start:
        job = wait_for_job("train")
        wait_for_checkpoint(clone)
        hit = time.time()
        cluster.ask("scancel", job)
        work = clone.folder / "work"
        cluster.wait_until("the ranks to stop", 60, lambda: any(work.rglob(STOPPED)))
        before = newest_checkpoint(clone)
        cluster.wait_until("the training to go on", 180, lambda: resumed_at(clone))
        seconds = time.time() - hit
        assert resumed_at(clone) == before
        start.finish()
    states = [job.state for job in accounted(since)]
    assert states == ["CANCELLED", "COMPLETED"]
    assert len(_losses(clone)) == read_json(clone.folder / RUN)["num_steps"]
    seen = ", then ".join(states)
    note("scancel of two nodes", seen, "nothing", "not needed (retries: 1)", seconds)
