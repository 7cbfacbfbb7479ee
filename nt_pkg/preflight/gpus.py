"""One tiny job on a node with GPUs: does it see one, and has it a driver and a compiler?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nt_pkg.config.study import Study
from nt_pkg.jobs.gpus import oldest_driver
from nt_pkg.preflight.ask import execute
from nt_pkg.preflight.facts import Answer, Finding, Level, SlurmRequest
from nt_pkg.preflight.probe import SECONDS, command, did_not_run
from nt_pkg.preflight.profile import Profile

_CHECK = "GPU node"
_CUDA = "13.0"  # of the wheels that our lists install, where the node's environment has no torch
# Reads the build of torch without the seconds of importing it.
_ON_NODE = r"""
python=$1
echo "host $(hostname)"
nvidia-smi --query-gpu=driver_version,name --format=csv,noheader 2>/dev/null | sed 's/^/gpu /'
for each in cc gcc; do command -v $each >/dev/null 2>&1 && echo "compiler $each"; done
"$python" - 2>/dev/null <<'P'
import re
from importlib.util import find_spec
from pathlib import Path
found = find_spec("torch")
if found and found.origin:
    text = Path(found.origin).with_name("version.py").read_text()
    built = re.search(r"^cuda\b[^=]*= *['\"]?([\w.]+)", text, re.M)
    print("torch", built[1] if built else "None")
P
exit 0
"""


@dataclass(frozen=True)
class GpuNode:
    """The job's answer: driver and name of each GPU, and the CUDA that torch is built for.

    `cuda` is "" without torch, and "None" for a build without CUDA.
    """

    answer: Answer
    host: str = ""
    gpus: tuple[tuple[str, str], ...] = ()
    has_compiler: bool = False
    cuda: str = ""


def kinds(asking: Sequence[SlurmRequest], study: Study) -> list[SlurmRequest]:
    """Return one request for each kind of GPU that jobs of the study cannot do without."""
    found: dict[tuple[str | None, ...], SlurmRequest] = {}
    for each in asking:
        if each.gpus and each.is_ready and not all(_or_cpu(study, own) for own in each.owners):
            place = ("slurm_account", "slurm_partition", "constraint", "qos")
            found.setdefault((*map(each.get, place), each.gpu_model), each)
    return list(found.values())


def _or_cpu(study: Study, owner: str) -> bool:
    """Return whether CPUs will do for an entry, such as `students.llama`."""
    section, _, name = owner.partition(".")
    return bool(getattr(study, section)[name].runtime.or_cpu)


def ask_node(request: SlurmRequest, profile: Profile, python: str, name: str) -> GpuNode:
    """Run the job with one GPU of the request's kind, and leave no job."""
    model = f"{request.gpu_model}:" if request.gpu_model else ""
    srun = [*command(request, profile, name), f"--gres=gpu:{model}1"]
    answer = execute([*srun, "sh", "-c", _ON_NODE, "sh", python], seconds=SECONDS)
    if answer.status is None:
        execute(["scancel", f"--name={name}"])
    return parse(answer)


def parse(answer: Answer) -> GpuNode:
    """Return what a job's output says."""
    words = dict(re.findall(r"^(\w+) (.*)$", answer.out, re.M))
    gpus = re.findall(r"^gpu ([\d.]+), (.*)$", answer.out, re.M)
    return GpuNode(
        answer=answer,
        host=words.get("host", ""),
        gpus=tuple((driver, name) for driver, name in gpus),
        has_compiler="compiler" in words,
        cuda=words.get("torch", ""),
    )


def judge(node: GpuNode, request: SlurmRequest) -> list[Finding]:
    """Judge what a node with GPUs said."""
    if not node.host:
        return [did_not_run(_CHECK, node.answer)]
    at = f"node {node.host}"
    if not node.gpus:
        text = f"{at}: a job with a GPU of {request.title} sees none"
        todo = (
            "run `srun --gres=gpu:1 nvidia-smi` by hand: the driver is not loaded, or the node's "
            "gres names no device"
        )
        return [Finding("FAIL", _CHECK, text, todo)]
    driver, name = node.gpus[0]
    said: list[tuple[Level, str, str]] = []
    cuda = node.cuda or _CUDA
    if cuda == "None":
        text = f"{at} has {name}, and torch of this environment is built without CUDA"
        todo = "install a build with CUDA, unless jobs run elsewhere (docs/environments.md)"
        said.append(("warn", text, todo))
    elif (oldest := oldest_driver(cuda)) and int(driver.split(".")[0]) < oldest:
        text = f"{at} has driver {driver}; torch for CUDA {cuda} needs {oldest} or newer"
        todo = "ask for a newer driver, or install torch for an older CUDA (docs/environments.md)"
        said.append(("FAIL", text, todo))
    else:
        said.append(("ok", f"{at} has {name}, driver {driver}, enough for CUDA {cuda}", ""))
    if not node.has_compiler:
        text = f"{at} has no C compiler (cc), which Triton calls for vLLM and compiled kernels"
        todo = "install gcc on nodes with GPUs, or use the images (docs/environments.md)"
        said.append(("warn", text, todo))
    return [Finding(level, _CHECK, text, todo) for level, text, todo in said]
