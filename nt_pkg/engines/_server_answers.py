"""Answers of a server with the OpenAI chat protocol, and how to handle them.

A request is tried again (`Retry`), fails alone (`Refused`), or ends the job at once (ValueError),
because every other request would end the same way.
"""

import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

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


def read_answer(
    request_id: str, response: httpx2.Response, names: tuple[str | None, ...], key: str
) -> Completion:
    """Return the completion in a response.

    Reasoning that the server has cut out of the text (vLLM's and others' reasoning parsers) is put
    back between its tags, and left open if the answer never began.

    Args:
        request_id: id of the request.
        response: a response with a good status.
        names: names under which the model may answer.
        key: secret that must not be in any error.

    Raises:
        Retry: the answer is broken.
        Refused: its content is not text.
        ValueError: another model answered.
    """
    try:
        answer = response.json()
        [choice] = answer["choices"]
        message, finish = choice["message"], choice["finish_reason"]
        usage = answer["usage"]
        tokens = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        text = _text(message.get("content"))
        reasoning = _text(message.get("reasoning_content") or message.get("reasoning"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Retry(f"incomplete answer: {_hidden(response.text, key)!r}") from error
    by = answer.get("model")
    if by is not None and by not in names:
        raise ValueError(
            f"{response.url}: {names[0]!r} was asked and {str(by)!r} answered; if this is the same "
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
