"""A server of the OpenAI chat protocol that misbehaves on demand."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "teacher"
_PIECES = {"Content-Type": "text/event-stream; charset=utf-8"}


@dataclass
class Fake:
    """What the server knows: how to treat each question, and what it was asked.

    Attributes:
        plan: question -> how to treat it, time after time; the last stays. Others: an answer.
        models: what it lists; None: it lists nothing (404).
        key: what it wants as a key; None: nothing.
        is_page: it shows a page where its models should be.
        reply: (body of a request) -> body of the answer; None: it repeats the question.
        most: most requests that were in flight at the same time; flying: those now.
        asked: bodies of the chat requests, in order, with their headers, and when they came.
        release: requests that are treated as "wait" wait for it, `patience` seconds at most.
        streams: it can answer in pieces; otherwise it answers whole whatever was asked.
        queue: an answer begins when it gets a place here.
        seconds: how long it then takes.
    """

    plan: dict[str, list[Any]] = field(default_factory=dict)
    models: list[str] | None = field(default_factory=lambda: [MODEL])
    key: str | None = None
    is_page: bool = False
    reply: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    streams: bool = True
    queue: threading.Semaphore | None = None
    seconds: float = 0.0
    url: str = ""
    patience: float = 20.0
    most: int = 0
    flying: int = 0

    def questions(self) -> list[str]:
        """Return the questions in the order in which they were asked."""
        return [body["messages"][0]["content"] for body in self.asked]


def answer(question: str, **changes: Any) -> dict[str, Any]:
    """Return the body of a good response; changes of `message` and `finish_reason` go inside."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": f"<think> hm </think> {question}!"},
        "finish_reason": changes.pop("finish_reason", "stop"),
    }
    choice["message"].update(changes.pop("message", {}))
    usage = {"prompt_tokens": 3, "completion_tokens": 5}
    return {"model": MODEL, "choices": [choice], "usage": usage, **changes}


def streamed(body: dict[str, Any]) -> list[bytes]:
    """Return the events in which a good answer comes when it is asked for in pieces."""
    [choice] = body["choices"]
    message = {key: text for key, text in choice["message"].items() if key != "role"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for key, text in message.items():
        if isinstance(text, str):
            deltas += [{key: text[at : at + 7]} for at in range(0, len(text), 7)]
        else:
            deltas.append({key: text})
    ends = [None] * len(deltas) + [choice["finish_reason"]]
    found: list[Any] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
        for delta, end in zip([*deltas, {}], ends, strict=True)
    ]
    found.append({"choices": [], "usage": body["usage"]})
    texts = [json.dumps({"model": body["model"], **each}, ensure_ascii=False) for each in found]
    # Half an emoji is sent as JSON escapes it.
    return [f"data: {text}\n\n".encode(errors="backslashreplace") for text in [*texts, "[DONE]"]]


@contextmanager
def serving(port: int = 0, **settings: Any) -> Iterator[Fake]:
    """Run such a server on the loopback; port 0 takes a free one."""
    fake, lock = Fake(**settings), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # a head and a body in two packets would wait 40 ms for each other

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self._is_stranger():
                return
            if fake.is_page:
                return self._send(200, b"<html>")
            if fake.models is None:
                return self._send(404, {"error": "nothing here"})
            self._send(200, {"data": [{"id": name} for name in fake.models]})

        def do_POST(self) -> None:
            with lock:
                fake.flying += 1
                fake.most = max(fake.most, fake.flying)
            try:
                self._post()
                self.wfile.flush()
            finally:
                with lock:
                    fake.flying -= 1

        def _post(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = body["messages"][0]["content"]
            with lock:
                fake.asked.append(body)
                fake.headers.append(dict(self.headers))
                fake.times.append(time.monotonic())
                steps = fake.plan.get(question, ["answer"])
                step = steps.pop(0) if len(steps) > 1 else steps[0]
            if self._is_stranger():
                return
            self._is_asked_for_pieces = fake.streams and body.get("stream", False)
            if step == "answer" and fake.queue is not None:
                return self._queue(answer(question))
            if step == "answer" and fake.reply is not None:
                return self._give(fake.reply(body))
            self._do(step, question)

        def _give(self, body: dict[str, Any]) -> None:
            """Send a good answer."""
            if not self._is_asked_for_pieces:
                return self._send(200, body)
            self._send(200, b"".join(streamed(body)), _PIECES)

        def _queue(self, body: dict[str, Any]) -> None:
            """Let an answer wait for its turn."""
            events = streamed(body) if self._is_asked_for_pieces else [json.dumps(body).encode()]
            self._head(200, sum(map(len, events)), _PIECES if self._is_asked_for_pieces else None)
            self.wfile.flush()
            assert fake.queue is not None
            with fake.queue:
                for event in events[:2]:  # of which the second has the first token
                    self.wfile.write(event)
                self.wfile.flush()
                time.sleep(fake.seconds)
            for event in events[2:]:
                self.wfile.write(event)

        def _is_stranger(self) -> bool:
            given = self.headers.get("Authorization", "")
            if fake.key is None or given == f"Bearer {fake.key}":
                return False
            self._send(401, {"error": f"Incorrect API key provided: {given}"})
            return True

        def _do(self, step: Any, question: str) -> None:
            good = json.dumps(answer(question)).encode()
            kind: dict[str, str] = {}
            if self._is_asked_for_pieces:
                good, kind = b"".join(streamed(answer(question))), _PIECES
            if isinstance(step, bytes):
                self._send(200, step, _PIECES)
            elif isinstance(step, dict):
                self._give(answer(question, **step))
            elif isinstance(step, tuple):
                status, headers, *body = step
                self._send(status, *(body or [{"error": f"no, says {question}"}]), headers)
            elif step == "answer":
                self._give(answer(question))
            elif step == "wait":
                fake.release.wait(fake.patience)
                self._give(answer(question))
            elif step == "half JSON":
                self._send(200, good[: len(good) // 2], kind)
            elif step == "cut":
                self._head(200, len(good), kind)
                self.wfile.write(good[: len(good) // 2])
                self.close_connection = True
            elif step == "reset":
                self.close_connection = True
            else:
                assert step == "drip", step
                self._head(200, len(good), kind)
                # The first token comes at once, if there are pieces.
                begin = max(0, good.find(b"\n\n", good.find(b"think>")))
                self.wfile.write(good[:begin])
                for byte in good[begin:]:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.05)

        def _head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(length), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()

        def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self._head(status, len(data), headers)
            self.wfile.write(data)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is what is tested."""

    server = Quiet(("127.0.0.1", port), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.release.set()
        server.shutdown()
        server.server_close()
