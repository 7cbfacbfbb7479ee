"""The engine vllm as a server on the nodes of its job, for models that one node cannot hold."""

import asyncio
import contextlib
import json
import logging
import math
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx2

from nt_pkg.config.engines import EngineRuntime, Sampling, Server
from nt_pkg.engines._base import Completion, Model, Request
from nt_pkg.engines._chat import Chat, no_room
from nt_pkg.engines._serve import LOOPBACK, ServedModel, ServingNode, serve_commands
from nt_pkg.engines._server import AskedServer, Limit
from nt_pkg.engines._server_answers import Retry
from nt_pkg.engines._server_process import ServerDied, ServerProcess
from nt_pkg.slurm.jobs import show_job
from nt_pkg.slurm.nodes import job_nodes, own_address

logger = logging.getLogger(__name__)
_NAME = "model"  # by which the server knows the model
_MOST_STARTS = 3  # of the server in one job
_LOOK_SECONDS = 1.0
_ASK_SECONDS = 30.0
# vLLM gives up a step of its model after 300 s (VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS). A server that
# hangs in another way makes no token for longer than that.
_HANGS_SECONDS = 900.0
# Counters of vLLM, one for each engine.
_MADE = re.compile(r"^vllm:(?:prompt|generation)_tokens_total(?:\{.*\})? (\S+)", re.MULTILINE)


class ServedVllm:
    """Starts a server when it is first asked, asks it, and starts it again if it dies.

    The server gets the tokens of a prompt and returns tokens, with the settings that the engine
    has within the job. So the texts are the same, and so is the identity.
    """

    batch_size = None

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        runtime: EngineRuntime,
        model: Model,
        template: str | None,
    ) -> None:
        """Load the tokenizer.

        Args:
            arguments: arguments of `vllm serve` that say how the model is run.
            environment: variables of the server.
            runtime: what the job runs on.
            model: the files of the model.
            template: chat template in place of the model's own.
        """
        self._arguments, self._environment = tuple(arguments), environment
        self._runtime, self._model = runtime, model
        self._chat = Chat.load(model.folder, template)
        self._process: ServerProcess | None = None
        self._num_starts = 0

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield completions as they finish; those of a server that dies are asked for again.

        Raises:
            ValueError: the server does not start in time, or has died too often.
        """
        missing = {request.id: request for request in requests}
        while missing:
            try:
                for completion in self._asked(list(missing.values()), sampling):
                    del missing[completion.id]
                    yield completion
            except ServerDied as error:
                self.close()
                if not missing:
                    return
                facts = show_job()
                if facts is not None and facts.state != "RUNNING":
                    raise ValueError(f"Slurm is ending the job ({facts.state}): {error}") from error
                if self._num_starts >= _MOST_STARTS:
                    raise ValueError(
                        f"the server has died {self._num_starts} times in this job: {error}"
                    ) from error
                logger.warning(
                    "%s\nstart %d of %d; %d requests are missing",
                    error, self._num_starts + 1, _MOST_STARTS, len(missing),
                )  # fmt: skip

    def _asked(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield completions; what fails because the server has died raises `ServerDied`."""
        process = self._process or self._started()
        try:
            server = _AskedVllm(self._url, self._key, self._runtime.batch, self._chat, process)
            for completion in server.generate(requests, sampling):
                # A part of it may be gone while the rest still answers; and once it has ended,
                # somebody else may answer at its port.
                process.check()
                yield completion
        except ValueError:
            process.check()
            raise
        except httpx2.HTTPError as error:
            process.check()
            raise ServerDied(f"the server runs, but does not answer: {error}") from error

    def close(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _started(self) -> ServerProcess:
        """Start the server, and return it when it is ready."""
        self._num_starts += 1
        self._key = secrets.token_hex(32)
        server = self._server()
        self._url = server.url
        logger.info("starting a server on %s", ", ".join(node.name for node in server.nodes))
        commands = serve_commands(server, self._runtime.threads)
        self._process = process = ServerProcess(commands, self._environment, self._key)
        process.wait_until_healthy(self._url, self._runtime.start_minutes)
        return process

    def _server(self) -> ServedModel:
        runtime = self._runtime
        nodes: tuple[ServingNode, ...] = (ServingNode("this node", LOOPBACK),)
        if runtime.nodes > 1:
            names = job_nodes()
            own = own_address(names[0], names[-1])
            others = (ServingNode(name, socket.gethostbyname(name)) for name in names[1:])
            nodes = (ServingNode(names[0], own), *others)
        port, master_port = _free_ports(nodes[0].address)
        return ServedModel(
            model=str(self._model.folder.resolve()),
            nodes=nodes,
            gpus=runtime.gpu,
            pipeline_parallel=runtime.pipeline_parallel,
            data_parallel=runtime.data_parallel,
            expert_parallel=runtime.expert_parallel,
            api_key=self._key,
            port=port,
            master_port=master_port,
            more=(
                *self._arguments,
                f"--served-model-name={_NAME}",
                "--seed=0",
                f"--gpu-memory-utilization={runtime.gpu_memory_percent / 100}",
                f"--max-num-seqs={math.ceil(runtime.batch / runtime.data_parallel)}",
                "--generation-config=vllm",  # no defaults that no request names
                "--disable-uvicorn-access-log",
                "--middleware=nt_pkg.engines._only_ours.OnlyOurs",
                *([] if runtime.gpu else ["--enforce-eager"]),
            ),
        )


class _AskedVllm(AskedServer):
    """Asks vLLM's completions with tokens; ends as soon as the server has died."""

    path = "completions"
    uses_proxies = False

    def __init__(
        self, url: str, key: str, concurrency: int, chat: Chat, process: ServerProcess
    ) -> None:
        """Ask a server at an address with the key of this start."""
        super().__init__(Server(base_url=f"{url}/v1"), concurrency, _NAME)
        self._key, self._chat, self._process = key, chat, process
        self._requests: dict[str, Request] = {}
        self._url = url
        self._context = int(self._ask("v1/models").json()["data"][0]["max_model_len"])
        self._made, self._grew = -1.0, time.monotonic()

    def check_requests(self, requests: Sequence[Request]) -> None:
        """Accept all: prompts of tokens can begin an answer."""
        self._requests = {request.id: request for request in requests}

    def unaskable(self, request: Request) -> str:
        """Return "": in tokens, text that spells a control token stays text."""
        return ""

    async def _complete(
        self, client: httpx2.AsyncClient, request: Request, sampling: Sampling
    ) -> Completion:
        prompt = self._chat.prompt_ids(request)
        if len(prompt) >= self._context:
            return no_room(request, len(prompt))
        asked = asyncio.ensure_future(super()._complete(client, request, sampling))
        try:
            while not (await asyncio.wait({asked}, timeout=_LOOK_SECONDS))[0]:
                self._process.check()
            return asked.result()
        finally:
            asked.cancel()

    async def _answer(
        self, client: httpx2.AsyncClient, request_id: str, body: dict[str, Any], limit: Limit
    ) -> Completion:
        self._process.check()  # before the key is sent again
        return await super()._answer(client, request_id, body, limit)

    def body(self, request: Request, sampling: Sampling) -> dict[str, Any]:
        """Return a request with the settings that the engine has within the job."""
        prompt = self._chat.prompt_ids(request)
        body: dict[str, Any] = {
            "model": _NAME,
            "prompt": prompt,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": min(sampling.max_tokens, self._context - len(prompt)),
            "seed": request.seed,
            "stop_token_ids": sorted(self._chat.ends),
            "return_token_ids": True,
        }
        if request.json_schema is not None:
            body["structured_outputs"] = {"json": json.loads(request.json_schema)}
        return body

    def read(self, request_id: str, answer: Any, url: str) -> Completion:
        """Return the completion of an answer's tokens."""
        try:
            [choice] = answer["choices"]
            tokens = [int(token) for token in choice["token_ids"]]
            num_prompt = int(answer["usage"]["prompt_tokens"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise Retry("incomplete answer of the server: no tokens") from error
        if choice["finish_reason"] not in ("stop", "length"):
            raise Retry(f"the server ended with {choice['finish_reason']!r}")
        return self._chat.completion(self._requests[request_id], num_prompt, tokens)

    def say_waiting(self, num_flying: int, seconds: float) -> None:
        """Tell that nothing has come for a while; long answers take minutes, but tokens come.

        Raises:
            ServerDied: it makes no tokens any more, or does not even say so.
        """
        now = time.monotonic()
        with contextlib.suppress(httpx2.HTTPError):
            counts = [float(each) for each in _MADE.findall(self._ask("metrics").text)]
            if not counts or sum(counts) != self._made:  # without counters nothing is known
                self._made, self._grew = sum(counts), now
        still = min(seconds, now - self._grew)
        if still >= _HANGS_SECONDS:
            raise ServerDied(
                f"the server hangs: {num_flying} requests are under way, and for {still:.0f} s it "
                "has made no token"
            )
        logger.info(
            "%d requests are under way; no answer for %.0f s, no token for at most %.0f s",
            num_flying, seconds, still,
        )  # fmt: skip

    def _ask(self, path: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._key}"}
        response = httpx2.get(
            f"{self._url}/{path}", headers=headers, timeout=_ASK_SECONDS, trust_env=False
        )
        response.raise_for_status()
        return response


def _free_ports(address: str) -> tuple[int, int]:
    """Return two ports of this node that nobody uses now."""
    with socket.create_server((address, 0)) as first, socket.create_server((address, 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]
