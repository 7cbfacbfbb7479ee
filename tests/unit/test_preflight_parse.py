"""What Slurm prints and a profile says, read as facts; and what jobs ask for."""

from dataclasses import replace
from pathlib import Path

import pytest

from nt_pkg.preflight import fit, limits, parse, requests
from nt_pkg.preflight.facts import Association, Gpus, Limits, Node, Request
from nt_pkg.preflight.profile import evaluate, find_profile
from tests.unit.preflight_world import (
    ASSOCIATIONS,
    NODES,
    PARTITIONS,
    PROFILE,
    TRAIN,
    asked,
    enforcing,
    facts,
    only,
    profile,
)
from tests.unit.preflight_world import elsewhere as elsewhere


def test_nodes_are_merged_over_their_partitions() -> None:
    found = {node.name: node for node in parse.nodes(NODES)}

    assert found["n1"].partitions == {"cpu", "short", "closed", "off"}
    assert found["n1"].gpus == () and found["n1"].features == frozenset()
    assert found["g1"].gpus == (Gpus("h100", 4),)
    assert found["g1"].features == {"nvlink", "ib"}
    assert found["n2"].is_usable and not found["g2"].is_usable


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
    node = Node("n", frozenset(), 1, 1, (), frozenset(), state)

    assert node.is_usable == is_usable


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("(null)", ()),
        ("gpu:8", (Gpus(None, 8),)),
        ("gpu:a100:8(S:0-1)", (Gpus("a100", 8),)),
        ("gpu:a100:4(S:0,1),gpu:h100:2(S:2),shard:16", (Gpus("a100", 4), Gpus("h100", 2))),
        ("gpu:a100_1g.5gb:7,lustre:1", (Gpus("a100_1g.5gb", 7),)),
        ("gpu:a100:no_consume:4", (Gpus("a100", 4),)),
        ("gpu", (Gpus(None, 1),)),
    ],
)
def test_gpus_of_gres(text: str, gpus: tuple[Gpus, ...]) -> None:
    assert parse.gpus(text) == gpus


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

    assert found["cpu"].is_default and not found["gpu"].is_default
    assert (found["cpu"].max_minutes, found["gpu"].max_minutes) == (2880, None)
    assert found["cpu"].max_mem_per_node == 4000
    assert found["cpu"].allow_groups == ("domain users", "x")
    assert found["closed"].allow_accounts == ("physics",) and found["off"].state == "DOWN"


def test_associations_and_qos() -> None:
    text = "toy|lab|gpu|a,b|a|1-00:00:00|50|cpu=64,gres/gpu=8|mem=1T\n"

    assert parse.associations(text + ASSOCIATIONS, "toy")[0] == Association(
        "lab", "gpu", ("a", "b"), "a", Limits(1440, 50, {"cpu": 64, "gres/gpu": 8, "mem": 1024**2})
    )
    assert [each.account for each in parse.associations(ASSOCIATIONS, "toy")] == ["lab"]
    assert parse.qos("q||200|cpu=9|cpu=5,node=2|\n") == {
        "q": Limits(None, 200, {"cpu": 5, "node": 2})
    }


def test_words_of_enforcement() -> None:
    assert facts(config=enforcing("limits,qos")).enforces("associations")
    assert facts(config=enforcing("safe")).enforces("limits")
    assert not facts(config=enforcing("associations")).enforces("qos")
    assert not facts().enforces("associations")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((8000, 8000), ("attempt * 64000", 128000), ("720 * attempt", 1440), ("4h", 240)),
        *(("min(attempt, 3) * 10 + 2", 22), ("2d", 2880), ("90s", 1.5), ("8 // 3", 2)),
        *(("input.size_mb * 2", None), ("__import__('os')", None), (True, None), ("1/0", None)),
    ],
)
def test_only_simple_expressions_are_evaluated(text: object, value: float | None) -> None:
    assert evaluate(text, attempt=2) == value


def test_profile_names_lines_of_anchors_and_merged_maps() -> None:
    read = profile(
        "x-site: &site\n  slurm_partition: CHANGE_ME # yes\n  qos: &q night\n"
        "default-resources:\n  slurm_account: CHANGE_ME_TOO\n"
        "set-resources:\n  train: {<<: *site, nodes: 2}\n  grade: *site\n  annotate:\n    qos: *q\n"
    )

    assert read.resource("train", "slurm_partition") == "CHANGE_ME"
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

    assert read.resource("train", "gpu") == 4 and read.resource("train", "mem_mb") == 8000


def test_where_to_edit() -> None:
    read = profile(PROFILE.replace("runtime: 60", "runtime: 60\n  gpu_partition: gpu"))
    grade, train = Request("grade"), Request("export", gpus=1)

    assert read.where_resource(grade, "mem_mb", 8000) == "profile.yaml:4 default-resources.mem_mb"
    assert read.where_resource(grade, "mem_mb", 16000) == (
        "profile.yaml set-resources.grade.mem_mb (to be added)"
    )
    assert "default-resources.gpu_partition" in read.where_resource(train, "slurm_partition", "gpu")
    assert "default-resources.slurm_partition" in read.where_resource(
        train, "slurm_partition", "cpu"
    )
    assert "default-resources.gpu_type (to be added)" in read.where_resource(train, "gpu_model")


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
    with pytest.raises(ValueError, match="cannot be read as YAML"):
        profile("a: [")


def test_requests_of_a_dry_run() -> None:
    train, grade = asked()

    assert (train.num_jobs, grade.num_jobs) == (2, 1)
    assert train.owners == {"students.llama", "students.qwen"}
    assert (train.gpus, train.nodes, train.node_gpus, train.node_cpus) == (4, 1, 4, 8)
    assert (train.partition, train.mem_mb, train.runtime) == ("gpu", 100_000, 1440)
    assert train.title == "train (2 jobs of llama, qwen)"


def test_local_rules() -> None:
    text = "localrules:\n    all,\n    assets,\n\n\nrule all:\n    input: 1\n"

    assert requests.local_rules([text, "localrules:\n    fetch\n"]) == {"all", "assets", "fetch"}


def test_what_rules_say_themselves_is_not_edited_in_the_defaults() -> None:
    train, grade = asked()
    read = profile()

    assert grade.own == {"mem_mb": "8_000", "gpu": "lambda wc: runtime(wc).generation_gpu or None"}
    assert "set-resources.grade.mem_mb (to be added)" in read.where_resource(grade, "mem_mb", 8000)
    assert limits.Where(train, read)("mem_mb", 1) == (
        "students.llama.runtime.mem_mb of the configuration, or profile.yaml "
        "set-resources.train.mem_mb (to be added)"
    )
    assert limits.Where(grade, read)("gpu", 1) == (
        "students.llama.runtime.generation_gpu of the configuration"
    )


def test_requests_of_several_nodes() -> None:
    many = {**TRAIN, "gpu": 16, "nodes": 4, "mpi": "srun", "tasks": 4, "tasks_per_gpu": 0}
    request = asked(many)[0]

    assert (request.node_gpus, request.node_cpus, request.is_mpi) == (4, 8, True)
    arguments = requests.sbatch_arguments(request, profile())
    assert {"--nodes=4", "--gpus=16", "--ntasks=4", "--cpus-per-task=8"} <= set(arguments)
    assert not any(each.startswith("--ntasks-per-gpu") for each in arguments)


def test_gpus_in_extra_arguments() -> None:
    extra = {**TRAIN, "gpu": 8, "nodes": 2, "slurm_extra": "'--gpus-per-node=h100:4 --exclusive'"}
    request = asked(extra)[0]

    assert (request.gpu_model, request.node_gpus) == ("h100", 4)
    assert requests.sbatch_arguments(request, profile())[-2:] == [
        "--gpus-per-node=h100:4",
        "--exclusive",
    ]


def test_gpus_as_gres_over_nodes() -> None:
    """As the rules ask for them on several nodes."""
    spread: dict[str, object] = {"gres": "gpu:h100:4", "mpi": "srun", "tasks_per_node": 4}
    request = asked({**TRAIN, **spread, "gpu": "None", "nodes": 2, "tasks_per_gpu": 0})[0]

    assert (request.gpus, request.gpu_model, request.node_gpus) == (0, "h100", 4)
    assert request.not_checked == () and request.node_cpus == 32
    assert only(fit.fit([request], facts(), profile()), "FAIL") == ""
    assert "gpu:h100:4" in " ".join(requests.sbatch_arguments(request, profile()))
    more = replace(request, gpus_per_node=8)
    assert "have at most 4" in only(fit.fit([more], facts(), profile()), "FAIL")


def test_without_a_dry_run_the_profile_is_asked() -> None:
    read = profile(PROFILE.replace("nodes: 1}", "nodes: 1, gpu: 4, runtime: 'input.size'}"))
    train, grade = requests.from_profile(read, ["train", "grade"])

    assert (train.partition, train.gpus, train.not_checked) == ("gpu", 4, ("runtime",))
    assert (grade.partition, grade.mem_mb) == ("cpu", 8000)
    assert "not checked, no number without Snakemake: runtime" in only(
        fit.fit([train], facts(), read), "warn"
    )
