"""Asking a server of the OpenAI chat protocol, many requests at a time."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import httpx2

from nt_pkg.config.engines import Sampling, Server
from nt_pkg.dialogue.chat_template import spelled_control
from nt_pkg.engines._base import Completion, Request
from nt_pkg.engines._server_answers import Refused, Retry, check_status, read_answer, served_models
from nt_pkg.identity.seeds import rng

logger = logging.getLogger(__name__)
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would write a line per request

_MOST_BACKOFF_SECONDS = 60.0
_MOST_RETRY_AFTER_SECONDS = 3600.0  # do not wait longer than this for a server
_CONNECT_SECONDS = 30.0
_START_POLL_SECONDS = 2.0
# So many consecutive failures are not chance: at a failure rate of 30 %, 1 in 10^10.
_FAILURES_IN_A_ROW = 20

_SPELLED = "the prompt spells {!r}, which the server may read as a control token and not as text"


class AskedServer:
    """Sends every request to a server separately, so none waits for the slowest.

    The key is read from the environment, sent, and removed from every error of the server.
    """

    batch_size = None

    def __init__(
        self,
        server: Server,
        concurrency: int,
        model: str,
        served_as: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        """Read the key.

        Args:
            server: its address, and how it is asked.
            concurrency: requests at a time.
            model: name by which the server knows the model.
            served_as: name under which it may answer as well.
            extra_body: further fields of every request.

        Raises:
            ValueError: the variable that should hold the key is not set.
        """
        self._server, self._concurrency = server, concurrency
        self._model, self._names = model, (model, served_as)
        self._extra_body = extra_body or {}
        self._key = ""
        if server.key_env is not None:
            self._key = os.environ.get(server.key_env, "").strip()
            if not self._key:
                raise ValueError(
                    f"the environment variable {server.key_env} is not set: it must hold the key "
                    f"of {server.base_url}"
                )

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield completions as they come; a request that fails too often is a failed one.

        Raises:
            ValueError: the server does not answer, refuses the key, has another model, or answers
                only with errors.
        """
        for request in requests:
            if request.forced_prefix:
                raise ValueError(
                    "the openai engine cannot force the beginning of an answer: use engine vllm or "
                    "transformers"
                )
        spelled = {each.id: spelled_control(each.user) for each in requests}
        yield from (
            _failed(name, _SPELLED.format(found)) for name, found in spelled.items() if found
        )
        waiting, failures = (each for each in requests if not spelled[each.id]), 0
        with asyncio.Runner() as runner:
            client = self._client()
            flying: set[asyncio.Task[Completion]] = set()
            try:
                runner.run(self._check_server(client))
                while True:
                    for request in islice(waiting, self._concurrency - len(flying)):
                        work = self._complete(client, request, sampling)
                        flying.add(runner.get_loop().create_task(work))
                    if not flying:
                        return
                    done, flying = runner.run(_first_of(flying))
                    # Yield finished answers before an error ends the job.
                    for task in sorted(done, key=lambda task: task.exception() is not None):
                        completion = task.result()
                        failures = failures + 1 if completion.error else 0
                        yield completion
                        if failures >= _FAILURES_IN_A_ROW:
                            raise ValueError(
                                f"{self._server.base_url}: {failures} consecutive requests "
                                f"failed; the last one: {completion.error}"
                            )
            finally:
                runner.run(_end(flying, client))

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self._server.base_url,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx2.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=self._concurrency),
        )

    async def _check_server(self, client: httpx2.AsyncClient) -> None:
        """Wait for the server, and check that it has the model."""
        url, wanted = self._server.base_url, self._model
        loop = asyncio.get_running_loop()
        until = loop.time() + self._server.start_seconds
        while True:
            try:
                async with self._asked(_CONNECT_SECONDS):
                    known = served_models(await client.get("models"))
                break
            except Retry as error:
                if loop.time() >= until:
                    raise ValueError(
                        f"{url} does not answer ({error}): correct `runtime.server.base_url` or "
                        "start the server; `start_seconds` waits for one that is starting"
                    ) from error
                logger.info("%s: waiting for the server (%s)", url, error)
                await asyncio.sleep(min(_START_POLL_SECONDS, max(0.1, until - loop.time())))
        if known and wanted not in known:
            raise ValueError(
                f"{url} does not serve {wanted!r} but {', '.join(sorted(known)[:10])}: correct "
                "`params.model`"
            )

    async def _complete(
        self, client: httpx2.AsyncClient, request: Request, sampling: Sampling
    ) -> Completion:
        body, tries, reason = self._body(request, sampling), self._server.retries + 1, ""
        for attempt in range(tries):
            try:
                async with self._asked(self._server.timeout_seconds):
                    response = await client.post("chat/completions", json=body)
                    check_status(response, self._key)
                    return read_answer(request.id, response, self._names, self._key)
            except Retry as error:
                reason = str(error)
                if attempt + 1 < tries:
                    wait = min(error.seconds, _MOST_RETRY_AFTER_SECONDS)
                    await asyncio.sleep(max(wait, self._backoff(request.id, attempt)))
            except Refused as error:
                return _failed(request.id, str(error))
        return _failed(request.id, f"given up after {tries} tries: {reason}")

    @asynccontextmanager
    async def _asked(self, seconds: float) -> AsyncIterator[None]:
        """Turn everything that can happen to a connection into `Retry`."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise Retry(f"no answer within {seconds:g} s") from error
        except httpx2.HTTPError as error:
            raise Retry(f"{type(error).__name__} {error}".strip()) from error

    def _backoff(self, request_id: str, attempt: int) -> float:
        """Return seconds to wait: twice as long each time, and not the same for all."""
        most = min(self._server.backoff_seconds * 2**attempt, _MOST_BACKOFF_SECONDS)
        return float(most * rng("backoff", request_id, attempt).uniform(0.5, 1.0))

    def _body(self, request: Request, sampling: Sampling) -> dict[str, Any]:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": request.user}],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": request.seed,
        }
        if request.json_schema is not None:
            schema = {"name": "answer", "strict": True, "schema": json.loads(request.json_schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return {**body, **self._extra_body}


async def _first_of(
    tasks: set[asyncio.Task[Completion]],
) -> tuple[set[asyncio.Task[Completion]], set[asyncio.Task[Completion]]]:
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def _end(tasks: set[asyncio.Task[Completion]], client: httpx2.AsyncClient) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()


def _failed(request_id: str, error: str) -> Completion:
    return Completion(request_id, "", 0, 0, "error", error)
