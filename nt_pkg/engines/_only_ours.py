"""Part of vLLM's server: everything but its health wants the key of this run.

vLLM itself guards the paths of the OpenAI protocol alone; /invocations answers everybody. The
server binds its port many seconds after its command line has told it, so somebody else may answer
there. Its health therefore proves that it has the key, before it is sent to it.
"""

import hmac
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

_Call = Callable[..., Awaitable[Any]]
_NONCE, _PROOF = "x-nonce", "x-proof"


def challenge(key: str) -> tuple[dict[str, str], Callable[[Mapping[str, str]], bool]]:
    """Return headers of a request for health, and what checks the headers of its answer."""
    nonce = secrets.token_hex(16)

    def is_proven(headers: Mapping[str, str]) -> bool:
        return hmac.compare_digest(headers.get(_PROOF, "").encode(), proof(key, nonce).encode())

    return {_NONCE: nonce}, is_proven


def proof(key: str, nonce: str) -> str:
    """Return what only a holder of the key can answer to a nonce."""
    return hmac.digest(key.encode(), f"health {nonce}".encode(), "sha256").hex()


class OnlyOurs:
    """An ASGI middleware that refuses requests without the key in `VLLM_API_KEY`."""

    def __init__(self, app: _Call) -> None:
        """Guard an application."""
        self._app = app
        self._key = os.environ["VLLM_API_KEY"]
        self._wanted = f"Bearer {self._key}".encode()

    async def __call__(self, scope: dict[str, Any], receive: _Call, send: _Call) -> None:
        """Hand a request on, or answer 401."""
        headers = dict(scope.get("headers") or [])
        if scope["type"] == "http" and scope["path"] == "/health":
            nonce = headers.get(_NONCE.encode(), b"").decode("latin-1")
            await self._app(scope, receive, _adding(send, _PROOF, proof(self._key, nonce)))
        elif scope["type"] == "lifespan" or hmac.compare_digest(
            headers.get(b"authorization", b""), self._wanted
        ):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"the key is missing or wrong"})
        else:
            await send({"type": "websocket.close", "code": 1008})


def _adding(send: _Call, name: str, value: str) -> _Call:
    """Return `send` that adds a header to an answer."""

    async def adding(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            added = (name.encode(), value.encode())
            message = {**message, "headers": [*message.get("headers", []), added]}
        await send(message)

    return adding
