"""The whole command, with stand-ins for Slurm's commands, one defect at a time."""

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from nt_pkg.preflight import ask, requests, run, table
from nt_pkg.preflight.facts import Answer, Finding
from nt_pkg.snakemake_io.dry_run import planned_jobs
from nt_pkg.snakemake_io.events import events_in
from scripts import preflight
from tests.unit.preflight_world import (
    ASSOCIATIONS,
    CONFIG,
    GRADE,
    NODES,
    PARTITIONS,
    PROFILE,
    QOS,
    ROOT,
    TRAIN,
    planned,
    with_sbatch,
)
from tests.unit.preflight_world import elsewhere as elsewhere
from tests.workflow.sandbox import STUDY

Fake = Callable[..., str]
_ANSWERS = {
    "scontrol show config": CONFIG,
    "scontrol show partition": PARTITIONS,
    "sinfo": NODES,
    "squeue": "",
    "scancel": "",
    "sacct": "12\n",
    "sacctmgr show assoc": ASSOCIATIONS,
    "sacctmgr show qos": QOS,
    "sshare": "lab\n",
    "srun": "",
}
_LOCAL_SRUN = '#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n'


@pytest.fixture
def preflight_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Fake:
    """Return a function that runs the command on a stand-in cluster and returns what it prints."""

    def check(
        status: int,
        *arguments: str,
        answers: dict[str, str | None] | None = None,
        text: str = PROFILE,
        train: dict[str, object] | None = None,
        enforce: str = "associations",
        age: int = 600,
        errors: dict[str, str] | None = None,
        plan: Answer | None = None,
        path: str = "",
    ) -> str:
        folder = tmp_path / "bin"
        with_sbatch(folder, enforce)
        _stand_ins(folder, {**_ANSWERS, **(answers or {})}, errors or {}, enforce, age)
        (tmp_path / "slurm").mkdir()
        study = tmp_path / "slurm" / "study.yaml"
        student = "{source: {builtin: micro-base}}"
        study.write_text(f"include: [{STUDY}]\nstudents: {{llama: {student}, qwen: {student}}}\n")
        (tmp_path / "slurm" / "profile.yaml").write_text(f"{text}configfile: {study}\n")
        monkeypatch.setenv("PATH", f"{folder}{path}")
        answer = plan or Answer(0, planned(train or TRAIN, GRADE), "", 1.0)
        monkeypatch.setattr(run, "dry_run", lambda options, profile: answer)
        found = preflight.main(arguments)
        printed = capsys.readouterr().out
        assert found == status, printed
        return printed

    return check


def _stand_ins(
    folder: Path, answers: dict[str, str | None], errors: dict[str, str], enforce: str, age: int
) -> None:
    scripts: dict[str, list[str]] = {}
    now = datetime.now().isoformat(timespec="seconds")
    for question, answer in answers.items():
        command, _, words = question.partition(" ")
        if answer is None:  # no such command
            (folder / command).unlink(missing_ok=True)
            continue
        if answer.startswith("#!"):
            scripts[command] = [answer.removeprefix("#!/bin/sh\n")]
            continue
        stored = folder / f"{question.replace(' ', '-')}.out"
        stored.write_text(answer.format(now=now, enforce=enforce, age=age))
        do = f"/bin/cat {stored}"
        if question in errors:
            do = f"echo '{errors[question]}' >&2; exit 1"
        scripts.setdefault(command, []).append(f'case "$*" in *"{words}"*) {do};; esac')
    for command, lines in scripts.items():
        (folder / command).write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
        (folder / command).chmod(0o755)


def test_good_cluster(preflight_with: Fake) -> None:
    shown = preflight_with(0)

    assert "FAIL  " not in shown
    for line in (
        "all 8 Slurm commands are available",
        "sacct works; status by squeue",
        "slurm/profile.yaml has no CHANGE_ME",
        "2 different requests of 3 jobs are accepted",
        "; the study still writes some ",
    ):
        assert line in shown
    assert shown.splitlines()[-1].endswith("ready to start")
    starts = {line[: len("ok    ")] for line in shown.splitlines()[:-2]}
    assert starts <= {"ok    ", "warn  ", "FAIL  "}


@pytest.mark.parametrize(
    ("changes", "says", "edit"),
    [
        (
            {"text": PROFILE.replace("lab", "CHANGE_ME")},
            "CHANGE_ME is not filled in",
            "edit slurm/profile.yaml:2 default-resources.slurm_account (here: lab)",
        ),
        (
            {"text": PROFILE.replace(": cpu", ": CHANGE_ME")},
            "CHANGE_ME is not filled in",
            "slurm/profile.yaml:3 default-resources.slurm_partition (here: closed, cpu, gpu",
        ),
        (
            {"train": {**TRAIN, "slurm_partition": "gpux"}},
            "train (2 jobs of llama, qwen): invalid partition specified: gpux",
            "slurm/profile.yaml:7 set-resources.train.slurm_partition (here: closed, cpu, gpu",
        ),
        (
            {"train": {**TRAIN, "slurm_partition": "off", "gpu": 0}},
            "partition off is DOWN: jobs would wait",
            "set-resources.train.slurm_partition (up: closed, cpu, gpu, short)",
        ),
        (
            {"train": {**TRAIN, "slurm_partition": "closed", "gpu": 0}},
            "partition closed accepts only accounts physics, not lab",
            "set-resources.train.slurm_partition",
        ),
        (
            {"train": {**TRAIN, "slurm_account": "nolab"}},
            "nolab is not yours",
            "set-resources.train.slurm_account (to be added) (yours: lab)",
        ),
        (
            {"train": {**TRAIN, "qos": "night"}, "enforce": "associations,limits,qos"},
            "train (2 jobs of llama, qwen): Invalid qos specification",
            "set-resources.train.qos (to be added) (here: long, normal)",
        ),
        (
            {"train": {**TRAIN, "constraint": "fast"}},
            "train (2 jobs of llama, qwen): Invalid feature specification",
            "set-resources.train.constraint (to be added) (here: ib, nvlink)",
        ),
        (
            {"train": {**TRAIN, "gpu": 8}},
            "not available; it would be accepted without gpu 8; partition gpu has 1 idle with 64 "
            "CPUs, 512000 MB, gpu:h100:4(S:0-1), nvlink,ib; 1 drained",
            "lower students.llama.runtime.gpu of the configuration",
        ),
        (
            {"train": {**TRAIN, "gpu_model": "a100"}},
            "it would be accepted without gpu_model a100; partition gpu has 1 idle",
            "set-resources.train.gpu_model",
        ),
        (
            {"train": {**TRAIN, "mem_mb": 999_000}},
            "it would be accepted without mem_mb 999000",
            "students.llama.runtime.mem_mb of the configuration, or slurm/profile.yaml "
            "set-resources.train.mem_mb",
        ),
        (
            {"train": {**TRAIN, "slurm_partition": "short", "gpu": 0}},
            "runtime 1440 min is above MaxTime 30 min",
            "runtime.minutes of the configuration",
        ),
        ({"age": 60}, "60 s: squeue forgets ended jobs", "MinJobAge=600"),
        (
            {
                "errors": {"sacct": "Slurm accounting storage is disabled"},
                "text": PROFILE.replace("slurm-status-command: squeue\n", ""),
            },
            "sacct does not work (Slurm accounting storage is disabled)",
            "slurm-status-command: squeue",
        ),
        (
            {"errors": {"sacctmgr show assoc": "no slurmdbd", "sshare": "no slurmdbd"}},
            "lab cannot be looked up (no slurmdbd), and the plugin then refuses it",
            "delete slurm/profile.yaml:2 default-resources.slurm_account",
        ),
        (
            {"errors": {"sinfo": "sinfo: error: slurm_load_node: Unable to contact slurm"}},
            "`sinfo` gave no answer: sinfo: error: slurm_load_node: Unable to contact slurm",
            "try it by hand",
        ),
        ({"answers": {"sbatch": None}}, "not on PATH: sbatch", "module load slurm"),
        (
            {
                "errors": {"sbatch": "allocation failure: Job violates accounting/QOS policy"},
                "answers": {"sbatch": ""},
            },
            "train (2 jobs of llama, qwen): Job violates accounting/QOS policy",
            "edit set-resources.train in slurm/profile.yaml; try: sbatch --test-only --wrap=true "
            "-A lab -p gpu -t 1440 --mem 100000 --nodes=1 --cpus-per-task=8 --gpus=4",
        ),
        (
            {"plan": Answer(1, "", "Building DAG\nerror: the configuration has defects:\n  x: y")},
            "dry run failed, so no job was checked: error: the configuration has defects: x: y",
            "snakemake --profile slurm -n",
        ),
        ({"text": "jobs: ["}, "slurm/profile.yaml is not valid YAML", "line 1"),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value)[:24],
)
def test_defects(preflight_with: Fake, changes: dict[str, object], says: str, edit: str) -> None:
    shown = preflight_with(1, **changes)

    line = next(line for line in shown.splitlines() if says in line)
    assert line.startswith("FAIL  ") and edit in line
    assert "fix every FAIL before you start" in shown


def test_no_accounting_is_a_warning(preflight_with: Fake) -> None:
    errors = dict.fromkeys(("sacct", "sacctmgr show assoc", "sacctmgr show qos"), "no slurmdbd")
    shown = preflight_with(0, errors=errors)

    assert (
        "no GPU or memory accounting, and no fallback when the controller does not answer" in shown
    )
    assert "lab cannot be checked: the cluster lists no accounts of yours" in shown


def test_hanging_controller_is_not_waited_for(
    preflight_with: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "SECONDS", 0.3)
    hang = "#!/bin/sh\nexec /bin/sleep 60\n"
    begun = datetime.now()
    shown = preflight_with(1, answers={"scontrol show config": hang, "sinfo": hang})

    assert "`scontrol show config`, `scontrol show partition`, `sinfo` gave no answer: no" in shown
    assert (datetime.now() - begun).total_seconds() < 30


def test_inside_a_job_slurm_is_asked_as_from_outside(
    preflight_with: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    leaked = '#!/bin/sh\n[ -z "$SLURM_JOB_ID$SLURM_TIME_FORMAT" ]\n'

    assert "SLURM_JOB_ID is set" in preflight_with(0, answers={"squeue": leaked})


def test_probe_on_this_machine(preflight_with: Fake, tmp_path: Path) -> None:
    shown = preflight_with(
        0,
        "--probe",
        answers={"srun": _LOCAL_SRUN},
        path=":/usr/bin:/bin",
        train={**TRAIN, "gpu": 0},
    )

    assert "sees a lock (flock) held here" in shown
    assert f"has Python {'.'.join(map(str, sys.version_info[:3]))} snakemake" in shown
    assert "environment" in shown and "seen by a compute node" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "slurm"]


@pytest.mark.parametrize(
    "driver, status, says",
    [
        ("580.95.05", 0, "has NVIDIA H100 80GB HBM3, driver 580.95.05, enough for CUDA"),
        ("570.86.15", 1, "has driver 570.86.15; torch for CUDA"),
        ("", 1, "a job with a GPU of train (2 jobs of llama, qwen) sees none"),
    ],
)
def test_probe_of_a_node_with_gpus(
    preflight_with: Fake, tmp_path: Path, driver: str, status: int, says: str
) -> None:
    # A torch with CUDA, whatever this machine's is.
    build = tmp_path / "torch"
    build.mkdir()
    (build / "__init__.py").write_text("raise RuntimeError('it takes seconds to import')\n")
    (build / "version.py").write_text("cuda: Optional[str] = '13.0'\n")
    smi = f"echo '{driver}, NVIDIA H100 80GB HBM3'" if driver else "exit 9"
    srun = _LOCAL_SRUN.replace("exec", f"PYTHONPATH={tmp_path} exec")
    shown = preflight_with(
        status, "--probe", answers={"srun": srun, "nvidia-smi": f"#!/bin/sh\n{smi}\n"},
        path=":/usr/bin:/bin",
    )  # fmt: skip

    assert says in shown
    assert "no C compiler" not in shown


def test_probe_that_is_refused(preflight_with: Fake) -> None:
    refused = (
        "#!/bin/sh\necho 'srun: error: Unable to allocate resources: Invalid account' >&2\nexit 1\n"
    )
    shown = preflight_with(1, "--probe", answers={"srun": refused})

    assert "the job did not run: srun: error: Unable to allocate resources" in shown


def test_profile_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert preflight.main(["--profile", "nowhere"]) == 1
    assert "there is no profile 'nowhere'" in capsys.readouterr().out


def test_dry_run_of_the_demo() -> None:
    """Snakemake's events are understood: every rule but local ones is there with resources."""
    options = run.Options(root=ROOT, folder=Path.cwd(), profile="local")
    answer = run.dry_run(options, ROOT / "profiles" / "local" / "profile.yaml")
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    local = requests.local_rules(file.read_text() for file in files)
    assert answer.is_good, answer.why
    found = requests.from_jobs(planned_jobs(list(events_in(answer.out))), local, {})

    assert {"train", "grade", "sample_answers", "build_report"} <= {each.rule for each in found}
    assert not {"all", "fetch_asset"} & {each.rule for each in found}
    assert all(each.number("mem_mb") and each.number("runtime") for each in found)


def test_table_wraps_for_terminals_only() -> None:
    findings = [
        Finding("ok", "flock", "works"),
        Finding("FAIL", "resources", "much " * 30, "edit profile.yaml:7 set-resources.train.gpu"),
    ]

    assert table.findings_table(findings).splitlines()[0] == "ok    flock      works"
    assert len(table.findings_table(findings).splitlines()) == 4
    wrapped = table.findings_table(findings, 80).splitlines()
    assert all(len(line) <= 80 for line in wrapped)
    assert "                 -> edit profile.yaml:7 set-resources.train.gpu" in wrapped
