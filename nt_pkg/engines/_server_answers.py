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
from nt_pkg.files.foreign_text import one_line
from nt_pkg.files.json_rows import MAX_LINE_BYTES

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
_ADDRESS = "correct `runtime.server.base_url`, which ends with the version, such as /v1"
# Of an answer in one piece, of an event, and of the text of all events: an answer of 131,072 tokens
# has less, and memory has room for as many as are in flight.
_MOST_BYTES = MAX_LINE_BYTES
_TOO_LARGE = f"the answer is larger than {_MOST_BYTES >> 20} MiB"
_MOST_TOKENS = 2**31 - 1  # sums of a whole pool still fit into 64 bits
# What values of JSON that is not as the protocol has it can raise, nested too deeply among them.
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


class Retry(Exception):
    """The same request may be answered later; `seconds` is how long the server asks to wait."""

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Refused(Exception):
    """This request will never be answered; others may be."""


def check_status(response: httpx2.Response, said: str) -> None:
    """Return if the server has answered.

    Args:
        response: what came.
        said: the text of its body.

    Raises:
        Retry: another try may do.
        Refused: this request is at fault, such as one that is too long.
        ValueError: every request would be refused.
    """
    status = response.status_code
    if status < 300:
        return
    reason = f"status {status}: {one_line(said)}"
    if status in _TRY_AGAIN or status >= 500:
        raise Retry(reason, _retry_after(response.headers.get("retry-after", "")))
    if status in _STOP or status < 400:
        todo = _STOP.get(status, "the server redirects: correct `runtime.server.base_url`")
        raise ValueError(f"{response.url}: {todo} ({reason})")
    raise Refused(reason)


async def served_models(response: httpx2.Response) -> set[str]:
    """Return the names of a server's models; nothing if it does not list them."""
    if response.status_code in _NO_LISTING:
        return set()
    try:
        body = await _body(response)
        check_status(response, body.decode(errors="replace"))
    except Refused as error:
        raise ValueError(
            f"{response.url} does not list its models ({error}): {_ADDRESS}"
        ) from error
    try:
        return {str(model["id"]) for model in json.loads(body)["data"]}
    except _BROKEN as error:
        raise ValueError(
            f"{response.url} is not a server with the OpenAI protocol: {_ADDRESS}"
        ) from error


async def _body(response: httpx2.Response) -> bytes:
    """Return the body of a response.

    Raises:
        Refused: it is too large, or packed, so that a few bytes may be gigabytes.
    """
    pieces, size = [], 0
    async for piece in _sent(response):
        size += len(piece)
        if size > _MOST_BYTES:
            raise Refused(_TOO_LARGE)
        pieces.append(piece)
    return b"".join(pieces)


async def _sent(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yield what a server sends as it is: `AskedServer` asks for text that is not packed."""
    packing = response.headers.get("content-encoding", "identity")
    if packing != "identity":
        raise Refused(f"the answer is packed ({one_line(packing, 20)}), which was not asked for")
    async for piece in response.aiter_raw():
        yield piece


def is_streamed(response: httpx2.Response) -> bool:
    """Return whether an answer comes in pieces, as it was asked for; some servers cannot."""
    kind = response.headers.get("content-type", "")
    return response.status_code < 300 and kind.startswith("text/event-stream")


async def events(response: httpx2.Response) -> AsyncIterator[str]:
    """Yield the data of server-sent events, each a line of its own in this protocol.

    Only a newline ends a line: JSON may hold other characters that end lines of a text.
    """
    rest = b""
    async for piece in _sent(response):
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _MOST_BYTES:
            raise Refused(_TOO_LARGE)
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").decode(errors="replace").strip()


class Pieces:
    """The pieces of one answer.

    Attributes:
        has_begun: whether the first token is there.
    """

    def __init__(self) -> None:
        """Start without any."""
        self.has_begun = False
        self._size = 0
        self._texts: defaultdict[str, list[Any]] = defaultdict(list)
        self._finish: str | None = None
        self._rest: dict[str, Any] = {"usage": None}

    def add(self, data: str) -> None:
        """Take the data of one event.

        Raises:
            Retry: it is broken, or says that the server has failed.
            Refused: the answer is too large.
        """
        if data == "[DONE]":
            return
        try:
            event = json.loads(data)
            if event.get("error"):
                raise Retry(f"error in the answer: {one_line(data)}")
            for choice in event["choices"]:
                for name, text in (choice.get("delta") or {}).items():
                    if name in _TEXTS and text not in (None, ""):
                        self._texts[name].append(text)
                        self._size += len(text) if isinstance(text, str) else len(data)
                self._finish = choice.get("finish_reason") or self._finish
        except _BROKEN as error:
            raise _incomplete(data) from error
        if self._size > _MOST_BYTES:
            raise Refused(_TOO_LARGE)
        self.has_begun = self.has_begun or bool(self._texts or self._finish)
        self._rest.update((k, event[k]) for k in ("model", "usage") if event.get(k) is not None)

    def whole(self) -> dict[str, Any]:
        """Return the answer as it would have come in one piece.

        Raises:
            Retry: its end is missing.
        """
        message = {name: _joined(pieces) for name, pieces in self._texts.items()}
        if self._finish is None:
            raise _incomplete(str(message))
        return {**self._rest, "choices": [{"message": message, "finish_reason": self._finish}]}


def _joined(pieces: list[Any]) -> Any:
    """Return the pieces of a text as one; what is no text stays, for `read_answer` to judge."""
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(pieces)
    if all(isinstance(piece, list) for piece in pieces):
        return [part for piece in pieces for part in piece]
    return pieces[0] if len(pieces) == 1 else pieces


async def whole_answer(response: httpx2.Response) -> Any:
    """Return the JSON of a response that came in one piece, in whatever charset it says.

    Raises:
        Retry, Refused, ValueError: see `check_status`.
    """
    body = await _body(response)
    said = body.decode(errors="replace")
    check_status(response, said)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _incomplete(said) from error


def _incomplete(said: str) -> Retry:
    return Retry(f"incomplete answer: {one_line(said)!r}")


def read_answer(
    request_id: str, answer: Any, url: str, names: tuple[str | None, ...]
) -> Completion:
    """Return the completion in an answer.

    Reasoning that the server has cut out of the text (vLLM's and others' reasoning parsers) is put
    back between its tags, and left open if the answer never began.

    Args:
        request_id: id of the request.
        answer: JSON of a chat completion.
        url: where it came from, for messages.
        names: names under which the model may answer.

    Raises:
        Retry: the answer is broken.
        Refused: its content is not text, or its tokens are no count.
        ValueError: another model answered.
    """
    try:
        [choice] = answer["choices"]
        message, finish = choice["message"], choice["finish_reason"]
        usage = answer["usage"]
        tokens = _count(usage["prompt_tokens"]), _count(usage["completion_tokens"])
        text = _text(message.get("content"))
        reasoning = _text(message.get("reasoning_content") or message.get("reasoning"))
    except _BROKEN as error:
        raise _incomplete(_said(answer)) from error
    by = answer.get("model")
    if by is not None and by not in names:
        raise ValueError(
            f"{url}: {names[0]!r} was asked and {_said(by)} answered; if this is the same "
            "model, say so with `params.served_as`"
        )
    if reasoning:
        closed = f" {THINK_CLOSE} {text}" if text or finish == "stop" else ""
        text = f"{THINK_OPEN} {reasoning}{closed}"
    if finish not in ("stop", "length"):
        return Completion(
            request_id, text, *tokens, "error", f"the server ended with {_said(finish)}"
        )
    return Completion(request_id, text, *tokens, finish)


def _text(content: object) -> str:
    """Return the text of a message: a string, nothing, or the protocol's list of text parts."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(map(_is_text_part, content)):
        return "".join(part["text"] for part in content)
    raise Refused(f"the content of the answer is not text: {_said(content)}")


def _count(value: Any) -> int:
    """Return a number of tokens, which some servers write as a text or a float.

    Raises:
        ValueError, TypeError, OverflowError: it is no number.
        Refused: no answer has so many, or fewer than none.
    """
    number = int(value)
    if not 0 <= number <= _MOST_TOKENS:
        raise Refused(f"the answer says that it has {_said(value)} tokens")
    return number


def _said(value: object) -> str:
    """Return the beginning of a value as people read it."""
    return one_line(repr(value))


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
