"""A teacher over several nodes: the command lines, as text."""

import dataclasses
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nt_pkg.config.engines import EngineRuntime
from nt_pkg.engines._base import Model
from nt_pkg.engines._chat import Chat
from nt_pkg.engines._serve import NO_COMPILER, ServedModel, ServingNode, serve_commands
from nt_pkg.engines.vllm import VllmEngine, VllmParams
from tests.unit.conftest import ROOT

SAMPLER = "VLLM_USE_FLASHINFER_SAMPLER"
IMAGE = ROOT / "envs/image.def"

SERVER = ServedModel(
    model="/models/r1",
    nodes=(ServingNode("n1", "10.0.0.1"), ServingNode("n2", "10.0.0.2")),
    gpus=16,
    pipeline_parallel=2,
    api_key="secret",
    port=8000,
    master_port=29501,
    more=("--max-model-len=32768",),
)
STEP = (
    "srun --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=64 --gpus-per-node=8 "
    "--kill-on-bad-exit=1 --nodelist={} "
)
SERVE = f"{sys.executable} -m vllm.entrypoints.cli.main serve /models/r1 "

_STAND_IN = """
import os
from types import SimpleNamespace

__version__, SEEN = "0", dict(os.environ)


class LLM:
    def __init__(self, **_):
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=8))
"""


def test_large_teacher_on_two_nodes() -> None:
    head, worker = serve_commands(SERVER, cpus_per_node=64)

    both = (
        f"{STEP}{SERVE}--tensor-parallel-size=8 --pipeline-parallel-size=2 --max-model-len=32768 "
        "--distributed-executor-backend=mp --nnodes=2 --node-rank={} --master-addr=10.0.0.1 "
        "--master-port=29501 {}"
    )
    assert " ".join(head.argv) == both.format("n1", 0, "--host=10.0.0.1 --port=8000")
    assert " ".join(worker.argv) == both.format("n2", 1, "--headless")
    assert SERVER.url == "http://10.0.0.1:8000"


def test_mixture_of_experts_on_two_nodes() -> None:
    """As vLLM documents it: each node has its own engines behind the front end of the first."""
    moe = dataclasses.replace(SERVER, pipeline_parallel=1, data_parallel=16, expert_parallel=True)

    head, worker = serve_commands(moe, cpus_per_node=64)

    both = (
        f"{STEP}{SERVE}--tensor-parallel-size=1 --pipeline-parallel-size=1 --data-parallel-size=16 "
        "--enable-expert-parallel --max-model-len=32768 --data-parallel-size-local=8 "
        "{}--data-parallel-address=10.0.0.1 --data-parallel-rpc-port=29501 {}"
    )
    assert " ".join(head.argv) == both.format("n1", "", "--host=10.0.0.1 --port=8000")
    assert " ".join(worker.argv) == both.format("n2", "--data-parallel-start-rank=8 ", "--headless")


def test_key_is_never_in_a_command_line() -> None:
    head, worker = serve_commands(SERVER, cpus_per_node=64)

    common = {**NO_COMPILER, "VLLM_NO_USAGE_STATS": "1"}
    assert head.env == {**common, "VLLM_HOST_IP": "10.0.0.1", "VLLM_API_KEY": "secret"}
    assert worker.env == {**common, "VLLM_HOST_IP": "10.0.0.2"}
    assert not any("secret" in each for each in (*head.argv, *worker.argv))
    assert "secret" not in repr(SERVER)


@pytest.mark.parametrize(("given", "wanted"), [(None, "0"), ("1", "1"), ("0", "0")])
@pytest.mark.parametrize("gpu", [0, 1])
def test_vllm_compiles_no_sampler_unless_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: int, given: str | None, wanted: str
) -> None:
    """It is set when vLLM is imported, on the nodes of a server, and in an image."""
    (tmp_path / "vllm.py").write_text(_STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("torch", "transformers"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(__version__="0"))
    monkeypatch.delitem(sys.modules, "vllm", raising=False)
    monkeypatch.setattr(Chat, "load", lambda *_: None)
    environment = {} if given is None else {SAMPLER: given}
    monkeypatch.setattr(os, "environ", dict(environment))

    for command in serve_commands(SERVER, cpus_per_node=64):
        assert {**environment, **command.env}[SAMPLER] == wanted
    VllmEngine(VllmParams(), EngineRuntime(gpu=gpu), Model(tmp_path, ""))
    assert importlib.import_module("vllm").SEEN[SAMPLER] == wanted
    (line,) = re.findall(rf"^ *export {SAMPLER}=.*", IMAGE.read_text(), re.M)
    said = subprocess.run(
        ["sh", "-c", f"{line}\necho ${SAMPLER}"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == wanted


def test_teacher_on_one_node_is_a_child_of_its_job() -> None:
    """Experts on 8 H200, a copy of the attention layers on each; without GPUs, the other module."""
    one = dataclasses.replace(
        SERVER, nodes=SERVER.nodes[:1], gpus=8, pipeline_parallel=1, data_parallel=8,
        expert_parallel=True,
    )  # fmt: skip
    (command,) = serve_commands(one, cpus_per_node=64)
    assert " ".join(command.argv) == (
        f"{SERVE}--tensor-parallel-size=1 --pipeline-parallel-size=1 --data-parallel-size=8 "
        "--enable-expert-parallel --max-model-len=32768 --host=10.0.0.1 --port=8000"
    )

    on_cpus = dataclasses.replace(
        one, gpus=0, data_parallel=1, expert_parallel=False, nodes=one.nodes
    )
    (command,) = serve_commands(on_cpus, cpus_per_node=64)
    module = "vllm.entrypoints.openai.api_server"
    assert command.argv[:5] == (sys.executable, "-m", module, "--model", "/models/r1")


@pytest.mark.parametrize("groups", [{"pipeline_parallel": 3}, {"data_parallel": 5}])
def test_uneven_gpus_are_refused(groups: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="16 GPUs cannot be spread evenly over 2 nodes"):
        serve_commands(dataclasses.replace(SERVER, **groups), cpus_per_node=64)
