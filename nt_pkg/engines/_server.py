"""Asking a server of the OpenAI chat protocol, many requests at a time."""

import asyncio
import json
import logging
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import httpx2

from nt_pkg.config.engines import Sampling, Server
from nt_pkg.dialogue.chat_template import spelled_control
from nt_pkg.engines._base import Completion, Request
from nt_pkg.engines._server_answers import (
    Pieces,
    Refused,
    Retry,
    events,
    is_streamed,
    read_answer,
    served_models,
    whole_answer,
)
from nt_pkg.files.foreign_text import keep_secret, one_line
from nt_pkg.identity.seeds import rng

logger = logging.getLogger(__name__)
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would write a line per request

_MOST_BACKOFF_SECONDS = 60.0
_MOST_RETRY_AFTER_SECONDS = 3600.0  # do not wait longer than this for a server
_CONNECT_SECONDS = 30.0
_START_POLL_SECONDS = 2.0
# So many consecutive failures are not chance: at a failure rate of 30 %, 1 in 10^10.
_FAILURES_IN_A_ROW = 20
_SAY_SECONDS = 60.0  # without an answer, until the log says what is waited for
# A request may wait for hours in a queue. A server whose machine is gone is noticed after these
# seconds of silence, and then so many unanswered probes.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 8}
_SPELLED = "the prompt spells {!r}, which the server may read as a control token and not as text"

Limit = asyncio.Timeout


class AskedServer:
    """Sends every request to a server separately, so none waits for the slowest.

    The key is read from the environment and sent. Every text that is written has *** in its place.
    """

    batch_size = None
    path = "chat/completions"
    uses_proxies = True  # those that the environment names

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
        self._begun: set[str] = set()  # requests whose first token is there
        self._key = ""
        if server.key_env is not None:
            self._key = os.environ.get(server.key_env, "").strip()
            if not self._key:
                raise ValueError(
                    f"the environment variable {server.key_env} is not set: it must hold the key "
                    f"of {server.base_url}"
                )
            if not re.fullmatch(r"[!-~]+", self._key):
                raise ValueError(
                    f"the environment variable {server.key_env} does not hold a key: it has "
                    "blanks, line breaks or letters that no header can carry"
                )
            keep_secret(self._key)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield completions as they come; a request that fails too often is a failed one.

        Raises:
            ValueError: the server does not answer, refuses the key, has another model, or answers
                only with errors.
        """
        self.check_requests(requests)
        spelled = {each.id: self.unaskable(each) for each in requests}
        yield from (_failed(name, error) for name, error in spelled.items() if error)
        waiting, failures = (each for each in requests if not spelled[each.id]), 0
        last = time.monotonic()
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
                    if done:
                        last = time.monotonic()
                    else:
                        self.say_waiting(len(flying), time.monotonic() - last)
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

    def check_requests(self, requests: Sequence[Request]) -> None:
        """Raise ValueError if the protocol has no way to ask one of them."""
        for request in requests:
            if request.forced_prefix:
                raise ValueError(
                    "the openai engine cannot force the beginning of an answer: use engine vllm or "
                    "transformers"
                )

    def unaskable(self, request: Request) -> str:
        """Return why a request fails alone before it is sent, or ""."""
        found = spelled_control(request.user)
        return _SPELLED.format(found) if found else ""

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self._server.base_url,
            # Not packed: a few bytes that unpack to gigabytes would fill the memory.
            headers={
                "Accept-Encoding": "identity",
                **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            },
            timeout=httpx2.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=self._concurrency),
            trust_env=self.uses_proxies,
        )

    async def _check_server(self, client: httpx2.AsyncClient) -> None:
        """Wait for the server, and check that it has the model."""
        url, wanted = self._server.base_url, self._model
        silent = f"no answer within {_CONNECT_SECONDS:g} s"
        loop = asyncio.get_running_loop()
        until = loop.time() + self._server.start_seconds
        while True:
            try:
                async with (
                    self._asked(_CONNECT_SECONDS, silent),
                    client.stream("GET", "models") as response,
                ):
                    known = await served_models(response)
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
                f"{url} does not serve {wanted!r} but {one_line(', '.join(sorted(known)[:10]))}: "
                "correct `params.model`"
            )

    async def _complete(
        self, client: httpx2.AsyncClient, request: Request, sampling: Sampling
    ) -> Completion:
        body, tries, reason = self.body(request, sampling), self._server.retries + 1, ""
        late = f"an answer had begun and had no end after {self._server.timeout_seconds:g} s"
        for attempt in range(tries):
            try:
                async with self._asked(None, late) as limit:
                    return await self._answer(client, request.id, body, limit)
            except Retry as error:
                reason = str(error)
                if attempt + 1 < tries:
                    wait = min(error.seconds, _MOST_RETRY_AFTER_SECONDS)
                    await asyncio.sleep(max(wait, self._backoff(request.id, attempt)))
            except Refused as error:
                return _failed(request.id, str(error))
            finally:
                self._begun.discard(request.id)
        return _failed(request.id, f"given up after {tries} tries: {reason}")

    async def _answer(
        self, client: httpx2.AsyncClient, request_id: str, body: dict[str, Any], limit: Limit
    ) -> Completion:
        """Return an answer; its time counts from its first token, and not from the queue."""
        told = {"trace": _keep_alive}
        async with client.stream("POST", self.path, json=body, extensions=told) as response:
            if is_streamed(response):
                pieces = Pieces()
                async for event in events(response):
                    pieces.add(event)
                    if pieces.has_begun and request_id not in self._begun:
                        self._begin(request_id, limit)
                answer = pieces.whole()
            else:
                self._begin(request_id, limit)
                answer = await whole_answer(response)
        return self.read(request_id, answer, str(response.url))

    def read(self, request_id: str, answer: Any, url: str) -> Completion:
        """Return the completion in an answer from an address; see `read_answer`."""
        return read_answer(request_id, answer, url, self._names)

    def _begin(self, request_id: str, limit: Limit) -> None:
        self._begun.add(request_id)
        limit.reschedule(asyncio.get_running_loop().time() + self._server.timeout_seconds)

    def say_waiting(self, num_flying: int, seconds: float) -> None:
        """Tell that nothing has come for a while; a full queue is no failure."""
        logger.info(
            "%s: %d requests wait in its queue, %d are being answered; no answer for %.0f s",
            self._server.base_url,
            num_flying - len(self._begun),
            len(self._begun),
            seconds,
        )

    @asynccontextmanager
    async def _asked(self, seconds: float | None, late: str) -> AsyncIterator[Limit]:
        """Turn everything that can happen to a connection into `Retry`; `late` is too much time."""
        try:
            async with asyncio.timeout(seconds) as limit:
                yield limit
        except TimeoutError as error:
            raise Retry(late) from error
        except httpx2.HTTPError as error:
            raise Retry(one_line(f"{type(error).__name__} {error}")) from error

    def _backoff(self, request_id: str, attempt: int) -> float:
        """Return seconds to wait: twice as long each time, and not the same for all."""
        most = min(self._server.backoff_seconds * 2**attempt, _MOST_BACKOFF_SECONDS)
        return float(most * rng("backoff", request_id, attempt).uniform(0.5, 1.0))

    def body(self, request: Request, sampling: Sampling) -> dict[str, Any]:
        """Return the body of a request."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": request.user}],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": request.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.json_schema is not None:
            schema = {"name": "answer", "strict": True, "schema": json.loads(request.json_schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return {**body, **self._extra_body}


async def _first_of(
    tasks: set[asyncio.Task[Completion]],
) -> tuple[set[asyncio.Task[Completion]], set[asyncio.Task[Completion]]]:
    wait = asyncio.wait(tasks, timeout=_SAY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    return await wait


async def _keep_alive(event: str, facts: Mapping[str, Any]) -> None:
    """Let the system look now and then whether the other side of a new connection is there."""
    if event == "connection.connect_tcp.complete":
        its_socket = facts["return_value"].get_extra_info("socket")
        its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE.items():
            if hasattr(socket, name):
                its_socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _end(tasks: set[asyncio.Task[Completion]], client: httpx2.AsyncClient) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()


def _failed(request_id: str, error: str) -> Completion:
    return Completion(request_id, "", 0, 0, "error", error)
