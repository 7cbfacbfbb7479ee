"""Answers of a server with the OpenAI chat protocol, whole or in pieces, and how to handle them.

A request is tried again (`Retry`), fails alone (`Refused`), or ends the job at once (ValueError),
because every other request would end the same way.
"""

import json
import math
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN
from nt_pkg.engines._base import Completion

# A retry may succeed: too early, too many requests, conflict; and everything from 500 on.
_TRY_AGAIN = (408, 409, 425, 429)
_STOP = {
    401: "the key is refused: check the environment variable that `runtime.server.key_env` names",
    402: "the account needs payment",
    403: "the key may not use this model",
    404: "there is no such model or address: correct `params.model` or `runtime.server.base_url`",
    405: "this address does not accept requests: correct `runtime.server.base_url`",
}
_NO_LISTING = (404, 405, 501)  # of servers that answer but do not list their models
_TEXTS = ("content", "reasoning_content", "reasoning")  # parts of a message that we read
_SHOWN = 300  # characters of what a server says


class Retry(Exception):
    """The same request may be answered later; `seconds` is how long the server asks to wait."""

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Refused(Exception):
    """This request will never be answered; others may be."""


def check_status(response: httpx2.Response, key: str) -> None:
    """Return if the server has answered.

    Args:
        response: what came.
        key: secret that must not be in any error; "" if there is none.

    Raises:
        Retry: another try may do.
        Refused: this request is at fault, such as one that is too long.
        ValueError: every request would be refused.
    """
    status = response.status_code
    if status < 300:
        return
    reason = f"status {status}: {_hidden(response.text, key)}"
    if status in _TRY_AGAIN or status >= 500:
        raise Retry(reason, _retry_after(response.headers.get("retry-after", "")))
    if status in _STOP or status < 400:
        todo = _STOP.get(status, "the server redirects: correct `runtime.server.base_url`")
        raise ValueError(f"{response.url}: {todo} ({reason})")
    raise Refused(reason)


def served_models(response: httpx2.Response) -> set[str]:
    """Return the names of a server's models; nothing if it does not list them."""
    if response.status_code in _NO_LISTING:
        return set()
    check_status(response, _key_of(response))
    try:
        return {str(model["id"]) for model in response.json()["data"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{response.url} is not a server with the OpenAI protocol: correct "
            "`runtime.server.base_url`, which ends with the version, such as /v1"
        ) from error


def is_streamed(response: httpx2.Response) -> bool:
    """Return whether an answer comes in pieces, as it was asked for; some servers cannot."""
    kind = response.headers.get("content-type", "")
    return response.status_code < 300 and kind.startswith("text/event-stream")


async def events(response: httpx2.Response) -> AsyncIterator[str]:
    """Yield the data of server-sent events, each a line of its own in this protocol.

    Only a newline ends a line: JSON may hold other characters that end lines of a text.
    """
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").decode(errors="replace").strip()


class Pieces:
    """The pieces of one answer.

    Attributes:
        has_begun: whether the first token is there.
    """

    def __init__(self, key: str) -> None:
        """Start without any; `key` must not be in any error."""
        self.has_begun = False
        self._key = key
        self._texts: defaultdict[str, list[Any]] = defaultdict(list)
        self._finish: str | None = None
        self._rest: dict[str, Any] = {"usage": None}

    def add(self, data: str) -> None:
        """Take the data of one event.

        Raises:
            Retry: it is broken, or says that the server has failed.
        """
        if data == "[DONE]":
            return
        try:
            event = json.loads(data)
            if event.get("error"):
                raise Retry(f"error in the answer: {_hidden(data, self._key)}")
            for choice in event["choices"]:
                for name, text in (choice.get("delta") or {}).items():
                    if name in _TEXTS and text not in (None, ""):
                        self._texts[name].append(text)
                self._finish = choice.get("finish_reason") or self._finish
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Retry(f"incomplete answer: {_hidden(data, self._key)!r}") from error
        self.has_begun = self.has_begun or bool(self._texts or self._finish)
        self._rest.update((k, event[k]) for k in ("model", "usage") if event.get(k) is not None)

    def whole(self) -> dict[str, Any]:
        """Return the answer as it would have come in one piece.

        Raises:
            Retry: its end is missing.
        """
        message = {name: _joined(pieces) for name, pieces in self._texts.items()}
        if self._finish is None:
            raise Retry(f"incomplete answer: {_hidden(str(message), self._key)!r}")
        return {**self._rest, "choices": [{"message": message, "finish_reason": self._finish}]}


def _joined(pieces: list[Any]) -> Any:
    """Return the pieces of a text as one; what is no text stays, for `read_answer` to judge."""
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(pieces)
    if all(isinstance(piece, list) for piece in pieces):
        return [part for piece in pieces for part in piece]
    return pieces[0] if len(pieces) == 1 else pieces


def whole_answer(response: httpx2.Response, key: str) -> Any:
    """Return the JSON of a response that came in one piece.

    Raises:
        Retry, Refused, ValueError: see `check_status`.
    """
    check_status(response, key)
    try:
        return response.json()
    except ValueError as error:
        raise Retry(f"incomplete answer: {_hidden(response.text, key)!r}") from error


def read_answer(
    request_id: str, answer: Any, url: str, names: tuple[str | None, ...], key: str
) -> Completion:
    """Return the completion in an answer.

    Reasoning that the server has cut out of the text (vLLM's and others' reasoning parsers) is put
    back between its tags, and left open if the answer never began.

    Args:
        request_id: id of the request.
        answer: JSON of a chat completion.
        url: where it came from, for messages.
        names: names under which the model may answer.
        key: secret that must not be in any error.

    Raises:
        Retry: the answer is broken.
        Refused: its content is not text.
        ValueError: another model answered.
    """
    try:
        [choice] = answer["choices"]
        message, finish = choice["message"], choice["finish_reason"]
        usage = answer["usage"]
        tokens = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        text = _text(message.get("content"))
        reasoning = _text(message.get("reasoning_content") or message.get("reasoning"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Retry(f"incomplete answer: {_hidden(json.dumps(answer), key)!r}") from error
    by = answer.get("model")
    if by is not None and by not in names:
        raise ValueError(
            f"{url}: {names[0]!r} was asked and {str(by)!r} answered; if this is the same "
            "model, say so with `params.served_as`"
        )
    if reasoning:
        closed = f" {THINK_CLOSE} {text}" if text or finish == "stop" else ""
        text = f"{THINK_OPEN} {reasoning}{closed}"
    if finish not in ("stop", "length"):
        return Completion(request_id, text, *tokens, "error", f"the server ended with {finish!r}")
    return Completion(request_id, text, *tokens, finish)


def _text(content: object) -> str:
    """Return the text of a message: a string, nothing, or the protocol's list of text parts."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(map(_is_text_part, content)):
        return "".join(part["text"] for part in content)
    raise Refused(f"the content of the answer is not text: {json.dumps(content)[:_SHOWN]}")


def _is_text_part(part: object) -> bool:
    if not isinstance(part, dict) or part.get("type") not in ("text", "output_text"):
        return False
    return isinstance(part.get("text"), str)


def _retry_after(value: str) -> float:
    """Return the seconds of a Retry-After header, which holds seconds or a date (RFC 9110)."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def _hidden(text: str, key: str) -> str:
    """Return the beginning of a server's words, without the key, which some repeat."""
    text = " ".join(text.split())
    return (text.replace(key, "***") if key else text)[:_SHOWN]


def _key_of(response: httpx2.Response) -> str:
    return str(response.request.headers.get("authorization", "")).removeprefix("Bearer ")
