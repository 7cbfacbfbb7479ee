"""Checks of the login node, its file systems, the assets, and what a probe means."""

from dataclasses import replace
from pathlib import Path

import pytest

from nt_pkg.config.load import read_study
from nt_pkg.cost.disk import Size
from nt_pkg.plan.validate import load_study
from nt_pkg.preflight import disk, gpus, machine, probe, storage, study
from nt_pkg.preflight.facts import Answer, SlurmRequest
from tests.unit.preflight_world import PROFILE, only, profile, request
from tests.unit.preflight_world import elsewhere as elsewhere
from tests.workflow.sandbox import STUDY


def this(**changes: object) -> machine.Machine:
    versions = {
        "snakemake": "9.27.1",
        "snakemake-executor-plugin-slurm": "2.8.0",
        "snakemake-executor-plugin-slurm-jobstep": "0.6.1",
    }
    good = machine.Machine(
        python=(3, 11, 7),
        prefix=Path("/p/.venv"),
        venv=Path("/p/.venv"),
        has_venv=True,
        snakemake=Path("/p/.venv/bin/snakemake"),
        versions=versions,
    )
    if isinstance(other := changes.pop("versions", None), dict):
        good = replace(good, versions={**versions, **other})
    return replace(good, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "level", "says"),
    [
        ({}, "ok", "Python 3.11.7, snakemake 9.27.1"),
        ({"python": (3, 10, 1)}, "FAIL", "use 3.11"),
        ({"versions": {"snakemake": "9.20.0"}}, "FAIL", "pip install 'snakemake>=9.27,<10'"),
        ({"versions": {"snakemake": "10.0"}}, "FAIL", "snakemake 10.0 is not tested"),
        (
            {"versions": {"snakemake-executor-plugin-slurm": None}},
            "FAIL",
            "pip install 'snakemake-executor-plugin-slurm>=2.8,<2.9'",
        ),
        ({"prefix": Path("/usr")}, "warn", "/p/.venv/bin/python -m scripts.preflight"),
        ({"snakemake": Path("/opt/bin/snakemake")}, "warn", 'export PATH="/p/.venv/bin:$PATH"'),
    ],
)
def test_environment(changes: dict[str, object], level: str, says: str) -> None:
    assert says in only(machine.environment(this(**changes)), level)


def test_slurm_that_only_a_variable_finds() -> None:
    """The plugin strips it, and every job's srun fails."""
    nothing = Answer(1, "", "sinfo: fatal: Could not establish a configuration source")
    moved = this(environment={"SLURM_CONF": "/opt/slurm/etc/slurm.conf"})

    assert machine.moved_configuration(this(), nothing) == []
    assert machine.moved_configuration(moved, Answer(0, "cpu*", "")) == []
    found = only(machine.moved_configuration(moved, nothing), "FAIL")
    assert "Could not establish a configuration source" in found
    assert "/opt/slurm/etc/slurm.conf" in found


def test_inside_a_job() -> None:
    assert machine.inside_job(this()) == []
    found = only(machine.inside_job(this(environment={"SLURM_JOB_ID": "7"})), "warn")
    assert "start from a login node" in found and "unset" in found


def test_limits_of_the_shell() -> None:
    assert only(machine.limits(this(limits={"NOFILE": None, "AS": None}), "ALL"), "warn") == ""
    found = only(machine.limits(this(limits={"NOFILE": 256, "AS": 4 * 2**30}), "ALL"), "warn")
    assert "256 open files" in found and "`ulimit -n`" in found
    assert "4 GiB of virtual memory; Slurm passes it on to jobs" in found


MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /home rw - nfs4 server:/home rw,vers=4.2,local_lock=none
31 22 0:41 / /scratch rw - lustre 10.0.0.1@o2ib:/scratch rw,localflock
32 22 0:42 / /dev/shm rw - tmpfs tmpfs rw
33 22 0:43 / /a\040b rw - gpfs fs0 rw
"""


@pytest.mark.parametrize(
    ("path", "level", "says"),
    [
        ("/home/me/nt", "ok", "/home (nfs4), a shared file system"),
        ("/a b/nt", "ok", "/a b (gpfs)"),
        ("/homestead", "warn", "/ (ext4): probably a disk of this node"),
        ("/tmp/nt", "warn", "a temporary folder of this node"),
        ("/dev/shm/nt", "warn", "compute nodes do not see it"),
        ("/scratch/nt", "warn", "locks hold on this node only"),
    ],
)
def test_where_folders_lie(path: str, level: str, says: str) -> None:
    found = storage.locality({"results": Path(path)}, storage.mounts(MOUNTS))

    assert says in only(found, level)


def test_what_a_node_has_seen_is_shared() -> None:
    places = {"results": Path("/tmp/nt"), "environment": Path("/opt")}
    found = storage.locality(places, storage.mounts(MOUNTS), frozenset(places))

    assert only(found, "warn") == "" and "seen by a compute node" in only(found, "ok")


@pytest.mark.parametrize(
    ("measured", "level", "says"),
    [
        (disk.Measured(1.0, 0.1), "ok", "1.0 ms per synced file"),
        (disk.Measured(fsync_ms=90), "warn", "90.0 ms per synced file, 0.0 ms per call is slow"),
        (disk.Measured(metadata_ms=30), "warn", "Snakemake makes 50 to 100 calls per job"),
        (disk.Measured(flock="Function not implemented"), "warn", "-o flock"),
        (disk.Measured(clock_seconds=-60), "warn", "-60 s off this node's clock"),
        (disk.Measured(error="Permission denied"), "FAIL", "cannot be written: Permission denied"),
        (None, "FAIL", "did not finish"),
    ],
)
def test_what_a_file_system_does(measured: disk.Measured | None, level: str, says: str) -> None:
    assert says in only(disk.speed({Path("/results"): measured}), level)


@pytest.mark.parametrize(
    ("gb", "files", "level", "says"),
    [
        (0, 0, "ok", "has 50 GB free and room for 1,000 files (quotas"),
        (30, 500, "ok", "the study still writes some 30 GB in 500 files there"),
        (45, 500, "warn", "45 GB in 500 files there, and nothing is exact -> free some space"),
        (30, 900, "warn", "30 GB in 900 files there, and nothing is exact"),
        (51, 500, "FAIL", "51 GB in 500 files there -> free some space"),
        (30, 1001, "FAIL", "30 GB in 1,001 files there"),
    ],
)
def test_what_the_study_needs_has_room(gb: int, files: int, level: str, says: str) -> None:
    here, elsewhere = Path("/results"), Path("/scratch")
    measured = {here: disk.Measured(free_gb=50, free_files=1000), elsewhere: None}
    found = disk.space(measured, {here: Size(gb * 1e9, files)})

    assert [each.level for each in found] == [level] and says in only(found, level)


def test_a_file_system_that_is_full_is_so_without_a_plan() -> None:
    found = disk.space({Path("/results"): disk.Measured(free_gb=0.5)}, {})
    assert "0 GB free" in only(found, "FAIL")


def test_measuring_leaves_nothing_behind(tmp_path: Path) -> None:
    measured = disk.measure(tmp_path)

    assert measured.error == "" and measured.flock == "works" and measured.fsync_ms > 0
    assert list(tmp_path.iterdir()) == []
    assert "No such file" in disk.measure(tmp_path / "missing").error


# Assets.


def test_assets_that_were_not_fetched(tmp_path: Path) -> None:
    config = read_study([STUDY])
    hub = {"hub": "org/model", "hub_type": "model", "revision": "1" * 40}
    config["students"]["micro-llama"]["source"] = hub
    checked = load_study(config)
    overlay = Path("config/mine.yaml")

    found = only(study.assets(checked, tmp_path, [overlay], {}), "warn")
    assert "students.micro-llama (org/model)" in found and "HF_TOKEN" in found
    assert "snakemake --profile profiles/local --configfile config/mine.yaml assets" in found
    assert "export HF_HUB_OFFLINE=1" in found

    manifest = tmp_path / "assets" / "students" / "micro-llama" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"spec": {"hub": "org/model", "revision": "1"}}')
    found = only(study.assets(checked, tmp_path, [], {"HF_HUB_OFFLINE": "1"}), "warn")
    assert "another revision was fetched" in found and "HF_HUB_OFFLINE" not in found


def test_keys_of_servers() -> None:
    """Their names are said, and never what they hold."""
    config = read_study([STUDY])
    server = {"base_url": "http://a/v1", "key_env": "MY_KEY"}
    config["teachers"]["micro-teacher"] = {
        "engine": "openai",
        "params": {"model": "r1"},
        "runtime": {"server": server},
    }
    checked = load_study(config)

    assert "export MY_KEY" in only(study.keys(checked, {"MY_KEY": " "}), "warn")
    [found] = study.keys(checked, {"MY_KEY": "sk-1"})
    assert (found.level, "sk-1" in found.found) == ("ok", False)


def test_configuration_with_defects() -> None:
    Path("mine.yaml").write_text("students: {micro-llama: {colour: red}}")
    checked, found = study.configuration([STUDY, Path("mine.yaml")])

    assert checked is None
    assert (
        "students.micro-llama.colour" in only(found, "FAIL") and "edit mine.yaml" in found[0].todo
    )


# The probe.


def test_what_the_probe_means() -> None:
    said = "host n1\nread yes\nwrote yes\nseen /p\npython 3.11.7 snakemake 9.27.1\nlock held\n"
    good = replace(probe.parse(Answer(0, said, "", 2.0)), visible_seconds=0.5)
    places = {"project": Path("/p")}

    def judged(probed: probe.Probed, level: str, text: str = PROFILE) -> str:
        return only(probe.seen_by_node(probed, places, profile(text)), level)

    assert judged(good, "FAIL") == judged(good, "warn") == ""
    assert "ran on node n1, 2.0 s in all" in judged(good, "ok")
    assert "does not see project (/p)" in judged(replace(good, seen=frozenset()), "FAIL")
    assert "is not seen here" in judged(replace(good, visible_seconds=None), "FAIL")
    assert "the interpreter of this environment is missing" in judged(
        replace(good, python="missing"), "FAIL"
    )
    assert "does not see a lock" in judged(replace(good, lock="free"), "warn")
    assert "flock fails on node n1" in judged(replace(good, lock="Not supported"), "FAIL")
    assert "latency-wait" in judged(replace(good, visible_seconds=50.0), "warn")
    refused = probe.Probed(Answer(1, "", "srun: error: Unable to allocate resources\n"))
    assert "Unable to allocate" in judged(refused, "FAIL")
    assert "did not end" in judged(probe.Probed(Answer(None, "", "")), "warn")


def test_what_a_node_with_gpus_means() -> None:
    asked = request("train", gpus=8, slurm_partition="gpu")
    said = "host g1\ngpu 580.95.05, NVIDIA H100\ngpu 580.95.05, NVIDIA H100\ncompiler cc\n"

    def judged(level: str, text: str) -> str:
        return only(gpus.judge(gpus.parse(Answer(0, text, "")), asked), level)

    assert "enough for CUDA 12.8" in judged("ok", f"{said}torch 12.8\n")
    assert "enough for CUDA 13.0" in judged("ok", said)  # jobs may have torch elsewhere
    assert "built without CUDA" in judged("warn", f"{said}torch None\n")
    assert "needs 580" in judged("FAIL", f"{said.replace('580.95', '575.51')}torch 13.0\n")
    assert "needs 525" in judged("FAIL", f"{said.replace('580.95', '470.82')}torch 12.4\n")
    assert "no C compiler" in judged("warn", said.replace("compiler cc\n", ""))
    assert "sees none" in judged("FAIL", "host g1\n")
    assert "did not end" in only(gpus.judge(gpus.parse(Answer(None, "", "")), asked), "warn")


def test_each_kind_of_gpu_is_asked_for_once(tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(
        f"include: [{STUDY}]\nstudents:\n"
        "  llama: {source: {builtin: micro-base}, runtime: {gpu: 1}}\n"
        "  small: {source: {builtin: micro-base}, runtime: {gpu: 1, or_cpu: true}}\n"
    )
    checked = load_study(read_study([config]))

    def asked(student: str, **resources: object) -> SlurmRequest:
        found = request("train", slurm_partition="gpu", **resources)
        return replace(found, gpus=8, owners=frozenset({f"students.{student}"}))

    asking = [
        asked("llama", gpu_model="h100"),
        replace(asked("llama", gpu_model="h100"), rule="sample_answers", gpus=1),
        asked("llama", gpu_model="a100"),
        replace(asked("llama", gpu_model="b200"), gpus=0),
        replace(asked("llama"), resources=(("slurm_partition", "CHANGE_ME"),)),
        asked("small", gpu_model="l4"),
    ]
    assert [each.gpu_model for each in gpus.kinds(asking, checked)] == ["h100", "a100"]
