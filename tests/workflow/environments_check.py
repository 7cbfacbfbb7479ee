"""Check that every kind of environment is enough for the rules that use it.

    python -m tests.workflow.environments_check

Makes the environments `workflow`, `training` and `inference-cpu` with envs/install.sh, runs a small
study with jobs of every rule in them, looks up in its results which versions it ran with, and
checks the engines and an exported student against a real vLLM (tests/workflow/vllm_check.py).
Prints what all of it took.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nt_pkg.files.json_files import read_json
from tests.workflow.sandbox import ROOT, copy_repository, run, table

STUDY = Path("tests/workflow/environments.yaml")
KINDS = ("workflow", "training", "inference-cpu")

_VLLM = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCHDYNAMO_DISABLE": "1",
}


def main() -> int:
    """Run the command line."""
    with tempfile.TemporaryDirectory(prefix="nt-environments-") as temporary:
        folder = Path(temporary)
        rows = [_install(kind, folder / kind) for kind in KINDS]
        sys.stdout.write(table(("environment", "seconds", "MB", "packages"), rows))
        sys.stdout.flush()

        begun = time.monotonic()
        copy = folder / "copy"
        copy_repository(copy)
        snakemake = [_python(folder / "workflow"), "-m", "snakemake", "--profile", "profiles/local"]
        run(
            copy,
            [*snakemake, "--configfile", str(STUDY)],
            NT_ENV_TRAINING=str(folder / "training"),
            NT_ENV_INFERENCE=str(folder / "inference-cpu"),
        )
        _check_versions(copy)
        sys.stdout.write(f"each rule in its environment: {time.monotonic() - begun:.0f} s\n")

        check = [_python(folder / "inference-cpu"), "-m", "tests.workflow.vllm_check"]
        student = str(folder / "student")
        run(copy, [_python(folder / "training"), "-m", "tests.workflow.exported_student", student])
        said = run(copy, [*check, str(folder / "vllm"), student], **_VLLM)
        sys.stdout.write(_last_lines(said, 5))
    return 0


def _install(kind: str, folder: Path) -> tuple[str, str, str, str]:
    """Make an environment and return what it took."""
    begun = time.monotonic()
    subprocess.run([ROOT / "envs" / "install.sh", kind, folder], check=True)
    seconds = time.monotonic() - begun
    size = subprocess.run(["du", "-smD", folder], check=True, capture_output=True, text=True).stdout
    packages = len(list(folder.glob("lib/python*/site-packages/*.dist-info")))
    return kind, f"{seconds:.0f}", size.split()[0], str(packages)


def _last_lines(text: str, number: int) -> str:
    """Return the last lines that are the check's own; vLLM writes many in between."""
    own = [line for line in text.splitlines(keepends=True) if re.fullmatch(r".*: \d+ s\n", line)]
    return "".join(own[-number:])


def _python(environment_folder: Path) -> str:
    return str(environment_folder / "bin" / "python")


def _check_versions(copy: Path) -> None:
    """Compare what the results say of their making with the pins of the kinds."""
    evals = copy / "results/evals/tiny-llama/tiny-random/system2/seed0/tiny_free"
    for kind, path in (
        ("training", copy / "results/sft/tiny-llama/tiny-random/system2/seed0/run.json"),
        ("inference-cpu", evals / "think.samples.json"),
    ):
        pins = (ROOT / "envs" / f"{kind}.txt").read_text().split()
        version = read_json(path)["versions"]["transformers"]
        assert f"transformers=={version}" in pins, f"{path} was made with transformers {version}"


if __name__ == "__main__":
    sys.exit(main())
