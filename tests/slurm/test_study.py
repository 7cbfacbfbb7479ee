"""Whole studies through `snakemake --profile slurm all`, compared with the same without Slurm."""

import contextlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from nt_pkg.config.load import read_study
from tests.slurm import cluster
from tests.slurm.site import Clone, Start, accounted
from tests.workflow.kill_check import digests
from tests.workflow.sandbox import ROOT, TINY, command, environment, run

GPUS = {"train": 2, "sample_answers": 1}  # of the demo's and the tiny study's student
KEY = "-".join(["nt", "planted", "key", "4711"])  # not in one piece in this file


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Start, float]:
    """Return the tiny study's clone, its finished start with a planted key, and when it began."""
    clone = Clone.make(tmp_path_factory.mktemp("tiny"))
    since = time.time()
    secrets = {"OPENAI_API_KEY": KEY, "HF_TOKEN": KEY}
    with Start(clone, ("all", "--configfile", str(TINY)), secrets) as start:
        cluster.wait_until("the key in a job's environment", 120, _a_job_has_the_key)
        start.finish(900)
    return clone, start, since


def _a_job_has_the_key() -> bool:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            variables = process.environ()
            if "SLURM_JOB_ID" in variables and variables.get("HF_TOKEN") == KEY:
                return True
    return False


def test_tiny_study_equals_the_local_one(tiny: tuple[Clone, Start, float], tmp_path: Path) -> None:
    local = Clone.make(tmp_path)
    local.local("--configfile", str(TINY))
    assert tiny[0].digests() == local.digests()


def test_gpu_jobs_asked_for_gpus(tiny: tuple[Clone, Start, float]) -> None:
    """Read from Slurm's accounting."""
    _check_gpus(tiny[2])


def _check_gpus(since: float) -> None:
    jobs = accounted(since)
    asked = {(job.rule, job.gpus) for job in jobs}
    assert {pair for pair in asked if pair[1]} == set(GPUS.items())
    assert {job.rule for job in jobs if not job.gpus}.isdisjoint(GPUS)
    assert {job.state for job in jobs} == {"COMPLETED"}


def test_nothing_is_left_to_do(tiny: tuple[Clone, Start, float]) -> None:
    arguments = ("--profile", "slurm", "-n", "all", "--configfile", str(TINY))
    assert "Nothing to be done" in run(tiny[0].folder, command("snakemake", *arguments))


def test_planted_key_is_nowhere(tiny: tuple[Clone, Start, float]) -> None:
    """Not in a job script, a log, metadata or a result; Slurm's own accounting neither."""
    clone = tiny[0]
    found = subprocess.run(
        ["grep", "-rlaF", KEY, str(clone.folder), str(cluster.HOME / "log")],
        capture_output=True,
        text=True,
    ).stdout
    assert found == ""
    fields = "comment,jobname,submitline,workdir"
    assert KEY not in cluster.ask("sacct", "-a", "-n", "-P", "-S", "now-1day", "-o", fields)
    assert (clone.folder / "logs").is_dir()


def test_files_follow_the_umask(tmp_path: Path) -> None:
    """A group that asks for private results gets them, from jobs on every node."""
    clone = Clone.make(tmp_path)
    target = "results/prompts/tiny/shard-0-of-2.parquet"
    shell = " ".join(command("snakemake", "--profile", "slurm", target, "--configfile", str(TINY)))
    subprocess.run(
        ["bash", "-c", f"umask 077; exec {shell}"],
        cwd=clone.folder,
        env=environment(clone.folder, GLOO_SOCKET_IFNAME="lo"),
        check=True,
        capture_output=True,
    )
    made = [path for top in ("results", "logs") for path in (clone.folder / top).rglob("*")]
    assert len(made) > 5
    assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_preflight_finds_this_cluster_well(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path)
    shown = run(clone.folder, command("scripts.preflight", "--probe"))
    assert not [line for line in shown.splitlines() if line.startswith("FAIL")], shown
    assert "probe" in shown


def test_preflight_names_what_to_edit(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path)
    profile = clone.folder / "profiles/slurm/profile.yaml"
    text = profile.read_text().replace("gpu_partition: gpu", "gpu_partition: gpus")
    profile.write_text(text.replace("slurm_account: lab", "slurm_account: nobody"))
    done = subprocess.run(
        command("scripts.preflight"),
        cwd=clone.folder,
        env=environment(clone.folder),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    for defect, key in (("nobody", "slurm_account"), ("gpus", "gpu_partition")):
        assert any(defect in line and key in line for line in failed), done.stdout


@pytest.mark.demo
@pytest.mark.timeout(5400)
def test_demo_equals_the_local_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole demo, or its first NT_SLURM_SEEDS seeds.

    `make demo` has made the local results, or they are made here.
    """
    num_seeds = int(os.environ.get("NT_SLURM_SEEDS", "1000"))
    local = ROOT
    planned = ("--profile", "profiles/local", "-n", "all", "--configfile", "config/demo.yaml")
    done = subprocess.run(
        command("snakemake", *planned),
        cwd=ROOT,
        env=environment(ROOT),
        capture_output=True,
        text=True,
    )
    if "Nothing to be done" not in done.stdout + done.stderr:
        local = tmp_path / "local"
        Clone.make(local).local("--configfile", "config/demo.yaml")
    clone = Clone.make(tmp_path / "slurm")
    runs = read_study([clone.folder / "config/demo.yaml"])["runs"]
    cut = [{**block, "seeds": block["seeds"][:num_seeds]} for block in runs]
    study = {"include": ["config/demo.yaml"], "runs": cut}
    (clone.folder / "cut.yaml").write_text(json.dumps(study))
    since = time.time()
    with Start(clone, ("all", "--configfile", "cut.yaml")) as start, capsys.disabled():
        seconds = start.finish(5000, say=print)
    jobs = accounted(since)
    _check_gpus(since)
    expected = _of_demo(digests(local / "results"), num_seeds)
    assert len(expected) > 100
    assert _of_demo(clone.digests(), num_seeds) == expected
    with capsys.disabled():
        print(f"the demo: {seconds:.0f} s, {len(jobs)} Slurm jobs, {len(expected)} equal files")


def _of_demo(found: dict[str, str], num_seeds: int) -> dict[str, str]:
    """Leave out what other studies have made in the same folder, and further seeds."""
    ours = ("micro", "micro-llama")
    return {
        name: value
        for name, value in found.items()
        if name.split("/")[1] in ours
        and all(int(seed) < num_seeds for seed in re.findall(r"/seed(\d+)", name))
    }
