"""What Slurm prints and a profile says, read as facts; and what jobs ask for."""

from pathlib import Path

import pytest

from nt_pkg.preflight import parse, requests
from nt_pkg.preflight.facts import Association, Limits, Nodes
from nt_pkg.preflight.profile import find_profile
from nt_pkg.slurm.submit import submit_arguments
from tests.unit.preflight_world import (
    ASSOCIATIONS,
    NODES,
    PARTITIONS,
    PROFILE,
    TRAIN,
    asked,
    enforcing,
    facts,
    profile,
    request,
)
from tests.unit.preflight_world import elsewhere as elsewhere


def test_nodes_that_are_alike() -> None:
    cpu, *_, gpu, away = parse.nodes(NODES)

    assert (cpu.partition, cpu.text) == ("cpu", "1 idle with 64 CPUs, 256000 MB")
    assert gpu.shape == ("64", "512000", "gpu:h100:4(S:0-1)", "nvlink,ib")
    assert gpu.is_usable and not away.is_usable


@pytest.mark.parametrize(
    ("state", "is_usable"),
    [
        *(("idle", True), ("mixed-", True), ("allocated", True), ("idle~", True)),
        *(("powered_down", True), ("planned", True), ("completing", True)),
        *(("down*", False), ("idle*", False), ("drained$", False), ("draining", False)),
        *(("unknown", False), ("inval", False), ("maint", False), ("fail", False)),
    ],
)
def test_states_of_nodes(state: str, is_usable: bool) -> None:
    node = Nodes("gpu", 1, state, ())

    assert node.is_usable == is_usable


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        *(("2-00:00:00", 2880), ("1-12", 2160), ("12:00:00", 720), ("30:00", 30), ("90", 90)),
        *(("UNLIMITED", None), ("INFINITE", None), ("", None), ("00:00:30", 0.5)),
    ],
)
def test_time_limits(text: str, minutes: float | None) -> None:
    assert parse.minutes(text) == minutes


def test_partitions_and_their_limits() -> None:
    text = PARTITIONS.replace("MaxMemPerNode=UNLIMITED", "MaxMemPerNode=4000", 1)
    found = parse.partitions(text.replace("AllowGroups=ALL", "AllowGroups=domain users,x", 1))

    assert found["cpu"]["Default"] == "YES" and found["gpu"]["Default"] == "NO"
    assert found["cpu"]["MaxTime"] == "2-00:00:00" and "MaxTime" not in found["gpu"]
    assert found["cpu"]["MaxMemPerNode"] == "4000"
    assert found["cpu"]["AllowGroups"] == "domain users,x"
    assert found["closed"]["AllowAccounts"] == "physics" and found["off"]["State"] == "DOWN"


def test_associations_and_qos() -> None:
    text = "toy|lab|gpu|a|1-00:00:00|50|cpu=64,gres/gpu=8|mem=1T\n"

    assert parse.associations(text + ASSOCIATIONS, "toy")[0] == Association(
        "lab", "gpu", "a", Limits(1440, 50, {"cpu": 64, "gres/gpu": 8, "mem": 1024**2})
    )
    assert [each.account for each in parse.associations(ASSOCIATIONS, "toy")] == ["lab"]
    assert parse.qos("q||200|cpu=9|cpu=5,node=2|\n") == {
        "q": Limits(None, 200, {"cpu": 5, "node": 2})
    }


def test_words_of_enforcement() -> None:
    assert facts(config=enforcing("limits,qos")).enforces("associations")
    assert facts(config=enforcing("safe")).enforces("limits")
    assert not facts(config=enforcing("associations")).enforces("limits")
    assert not facts().enforces("associations")


def test_profile_names_lines_of_anchors_and_merged_maps() -> None:
    read = profile(
        "x-site: &site\n  slurm_partition: CHANGE_ME # yes\n  qos: &q night\n"
        "default-resources:\n  slurm_account: CHANGE_ME_TOO\n"
        "set-resources:\n  train: {<<: *site, nodes: 2}\n  grade: *site\n  annotate:\n    qos: *q\n"
    )

    assert read.get("set-resources", "train", "slurm_partition") == "CHANGE_ME"
    assert read.where("set-resources", "train", "slurm_partition") == (
        "profile.yaml:2 set-resources.train.slurm_partition"
    )
    assert read.where("set-resources", "annotate", "qos").startswith("profile.yaml:3 ")
    assert read.placeholders() == [
        ("profile.yaml:2 x-site.slurm_partition", "CHANGE_ME"),
        ("profile.yaml:5 default-resources.slurm_account", "CHANGE_ME_TOO"),
    ]


def test_profile_as_lists() -> None:
    read = profile(
        "default-resources: [mem_mb=8000, slurm_partition=cpu]\nset-resources: ['train:gpu=4']\n"
    )

    assert read.get("set-resources", "train", "gpu") == 4
    assert read.get("default-resources", "mem_mb") == 8000


def test_where_to_edit() -> None:
    read = profile(PROFILE.replace("runtime: 60", "runtime: 60\n  gpu_partition: gpu"))

    def where(name: str, gpus: int = 0, **resources: object) -> str:
        return read.where_resource(request("export", gpus, **resources), name)

    assert where("mem_mb", mem_mb=8000) == "profile.yaml:4 default-resources.mem_mb"
    added = "profile.yaml set-resources.export.mem_mb (to be added)"
    assert where("mem_mb", mem_mb=16000) == added
    partition = "slurm_partition"
    assert "default-resources.gpu_partition" in where(partition, 1, slurm_partition="gpu")
    assert "default-resources.slurm_partition" in where(partition, 1, slurm_partition="cpu")
    assert "default-resources.gpu_type (to be added)" in where("gpu_model", 1)


def test_profile_is_found_where_snakemake_looks(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "profiles" / "slurm").mkdir(parents=True)
    (project / "profiles" / "slurm" / "profile.yaml").write_text("jobs: 1")

    assert find_profile("slurm", project, tmp_path) == (
        project / "profiles/slurm/profile.yaml",
        False,
    )
    (tmp_path / "slurm").mkdir()
    for name in ("config.yaml", "profile.v8+.yaml", "profile.v10+.yaml"):
        (tmp_path / "slurm" / name).write_text("jobs: 1")
    assert find_profile("slurm", project, tmp_path) == (tmp_path / "slurm/profile.v8+.yaml", True)
    with pytest.raises(ValueError, match="there is no profile 'other'"):
        find_profile("other", project, tmp_path)


def test_profile_that_is_no_yaml() -> None:
    with pytest.raises(ValueError, match="is not valid YAML"):
        profile("a: [")


def test_requests_of_a_dry_run() -> None:
    train, grade = asked()

    assert (train.num_jobs, grade.num_jobs, train.gpus, train.threads) == (2, 1, 4, 8)
    assert train.owners == {"students.llama", "students.qwen"}
    assert train.number("mem_mb") == 100_000 and train.get("slurm_partition") == "gpu"
    assert "knobs" not in dict(train.resources)
    assert train.title == "train (2 jobs of llama, qwen)"


def test_local_rules() -> None:
    text = "localrules:\n    all,\n    assets,\n\n\nrule all:\n    input: 1\n"

    assert requests.local_rules([text, "localrules:\n    fetch\n"]) == {"all", "assets", "fetch"}


def test_what_rules_say_themselves_is_not_edited_in_the_defaults() -> None:
    train, grade = asked()
    read = profile()

    assert grade.own == {"mem_mb": "8_000", "gpu": "lambda wc: runtime(wc).generation_gpu or None"}
    assert "set-resources.grade.mem_mb (to be added)" in read.where_resource(grade, "mem_mb")
    assert read.where_resource(train, "mem_mb") == (
        "students.llama.runtime.mem_mb of the configuration, or profile.yaml "
        "set-resources.train.mem_mb (to be added)"
    )
    assert read.where_resource(grade, "gpu") == (
        "students.llama.runtime.generation_gpu of the configuration"
    )


def _arguments(train: dict[str, object], **settings: str) -> list[str]:
    [first, _] = asked(train)
    return submit_arguments(dict(first.resources), first.threads, settings)


def test_arguments_are_the_plugins() -> None:
    assert " ".join(_arguments(TRAIN, qos="long")) == (
        "-A lab -p gpu -t 1440 --mem 100000 --nodes=1 --qos=long --cpus-per-task=8 --gpus=4"
    )
    many = {**TRAIN, "gpu": 16, "nodes": 4, "mpi": "srun", "tasks": 4, "tasks_per_gpu": 0}
    assert {"--nodes=4", "--gpus=16", "--ntasks=4", "--cpus-per-task=8"} <= {*_arguments(many)}
    spread = {"gres": "gpu:h100:4", "mpi": "srun", "tasks_per_node": 4, "gpu": "None", "nodes": 2}
    assert "--gres=gpu:h100:4" in _arguments({**TRAIN, **spread, "tasks_per_gpu": 0})
    assert asked({**TRAIN, **spread})[0].gpus == 8
    extra = {**TRAIN, "slurm_extra": "'--gpus-per-node=h100:4 --exclusive'"}
    assert {"--gpus-per-node=h100:4", "--exclusive"} <= {*_arguments(extra)}
