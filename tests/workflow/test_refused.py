"""A start on a cluster refuses what its GPUs cannot hold, before anything is submitted."""

import fcntl
import os
import sys
from pathlib import Path

import pytest
import yaml

from scripts import study
from tests.workflow.sandbox import ROOT, TINY, command, run

# Of Llama-3.1-8B: with ZeRO-2 it does not fit on the two GPUs that the tiny study asks for, with at
# most 767 tokens in a forward pass.
LARGE = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}


def _start(tmp_path: Path, *options: str, gpu_type: str = "h100") -> str:
    """Start the tiny study with a large student on a cluster that takes no jobs."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
    profile["default-resources"] |= {"gpu_type": gpu_type}
    (tmp_path / "slurm").mkdir(parents=True)
    (tmp_path / "slurm" / "profile.yaml").write_text(yaml.safe_dump(profile))
    overlay = tmp_path / "large.yaml"
    overlay.write_text(yaml.safe_dump({"students": {"tiny-llama": {"architecture": LARGE}}}))
    for name in ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/asked\nexit 1\n")
        path.chmod(0o755)
    places = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    arguments = ["-s", "Snakefile", "--profile", str(tmp_path / "slurm"), *options]
    arguments += ["--directory", str(tmp_path), "--configfile", str(TINY), str(overlay)]
    return run(ROOT, command("snakemake", *arguments, "--", "all"), PATH=os.pathsep.join(places))


@pytest.mark.timeout(120)
def test_a_student_that_does_not_fit_is_refused_before_submission(tmp_path: Path) -> None:
    says = "students.tiny-llama does not fit: 125.8 GiB of 79.6 on each of 2 h100, ZeRO-2"

    with pytest.raises(RuntimeError) as refused:
        _start(tmp_path / "start")
    assert f'WorkflowError in file "{ROOT}/rules/common.smk"' in str(refused.value)
    assert f"\n{says}" in str(refused.value)
    assert "the smallest that fits, in students.tiny-llama.runtime: num_ranks and gpu 4" in str(
        refused.value
    )
    asked = (tmp_path / "start" / "asked").read_text().split()
    assert set(asked) <= {"scontrol"}  # the plugin reads the limit on arrays
    assert not (tmp_path / "start" / "assets").exists()

    assert f"note: cannot run yet: {says}" in _start(tmp_path / "dry", "-n", "-q")
    # Of a type whose memory is not known, nothing is said.
    assert "does not fit" not in _start(tmp_path / "other", "-n", "-q", gpu_type="gtx")


def test_a_second_start_leaves_the_first_ones_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "study.log").write_text("of the first\n")
    with (logs / ".lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)

        with pytest.raises(SystemExit) as refused:
            study.main(["--configfile", str(ROOT / TINY), "--directory", str(tmp_path), "-n"])

    assert f"another start works in {tmp_path}: wait for it" in str(refused.value)
    assert (logs / "study.log").read_text() == "of the first\n"
