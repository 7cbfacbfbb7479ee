"""The engine that asks a server, against a real one that misbehaves on demand."""

import gzip
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nt_pkg.config.engines import EngineRuntime, Sampling, Server
from nt_pkg.engines._base import Completion, Engine, Request, run_requests
from nt_pkg.engines._server_answers import Retry, check_status
from nt_pkg.engines._start import engine_for
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import TRACES
from nt_pkg.jobs.work_dir import forget_finished
from nt_pkg.traces.generate import request_seed
from scripts import generate_traces
from tests.unit.fake_openai import MODEL, Fake, answer, serving
from tests.unit.shard_job import KEY, arguments, write_prompts

SAMPLING = Sampling(temperature=0.6, top_p=0.95, max_tokens=50)


def requests(*questions: str) -> list[Request]:
    return [Request(f"id-{question}", question, seed=n) for n, question in enumerate(questions)]


def many(number: int) -> list[Request]:
    return requests(*(f"q{n}" for n in range(number)))


def engine(
    fake: Fake, batch: int = 4, params: dict[str, Any] | None = None, **server: Any
) -> Engine:
    settings = {"base_url": fake.url, "backoff_seconds": 0.01, "retries": 2, **server}
    runtime = EngineRuntime(server=Server(**settings), batch=batch)
    return engine_for("openai", {"model": MODEL, **(params or {})}, runtime, None)


def ask(fake: Fake, *questions: str, **server: Any) -> dict[str, Completion]:
    """Return completions by question."""
    found = engine(fake, **server).generate(requests(*questions), SAMPLING)
    return {each.id.removeprefix("id-"): each for each in found}


def test_what_is_asked_and_what_comes_back() -> None:
    with serving() as fake:
        found = ask(fake, "a", "b")

    assert found["b"] == Completion("id-b", "<think> hm </think> b!", 3, 5, "stop")
    assert {body["messages"][0]["content"]: body for body in fake.asked}["b"] == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "b"}],
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 50,
        "seed": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_schema_and_further_fields_are_handed_on() -> None:
    schema = {"type": "object", "properties": {"verdict": {"type": "string"}}}
    request = Request("x", "q", json_schema=json.dumps(schema))
    with serving() as fake:
        params = {"extra_body": {"top_k": 20}}
        list(engine(fake, params=params).generate([request], SAMPLING))

    assert fake.asked[0]["response_format"]["json_schema"]["schema"] == schema
    assert fake.asked[0]["top_k"] == 20


def test_slow_request_holds_up_nobody() -> None:
    with serving(plan={"q0": ["wait"]}) as fake:
        found = []
        for completion in engine(fake, batch=2).generate(many(8), SAMPLING):
            found.append(completion.id)
            if len(found) == 7:
                fake.release.set()

    assert found[-1] == "id-q0"
    assert sorted(found) == [each.id for each in many(8)]


@pytest.mark.parametrize(
    "step",
    [
        (429, {}),
        (500, {}),
        (503, {}),
        "cut",
        "reset",
        "half JSON",
        "drip",
        b'data: {"error": {"message": "out of memory", "code": 500}}\n\ndata: [DONE]\n\n',
        b'data: {"choi\n\n',
        b"data: [DONE]\n\n",
        b"",
    ],
    ids=str,
)
@pytest.mark.parametrize("streams", [True, False], ids=["pieces", "whole"])
def test_misbehaviour_is_tried_again(step: Any, streams: bool) -> None:
    with serving(plan={"bad": [step, "answer"]}, streams=streams) as fake:
        found = ask(fake, "bad", "good", timeout_seconds=1.5 if step == "drip" else 60)

    assert {name: each.text for name, each in found.items()} == {
        "bad": "<think> hm </think> bad!",
        "good": "<think> hm </think> good!",
    }
    assert fake.questions().count("bad") == 2


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ((500, {}), 'status 500: {"error": "no, says bad"}'),
        ("half JSON", "incomplete answer"),
        ("drip", "an answer had begun and had no end after 0.5 s"),
        ("cut", "RemoteProtocolError"),
        ({"usage": None}, "incomplete answer"),
    ],
    ids=str,
)
def test_tries_are_bounded_and_the_row_fails_alone(step: Any, reason: str) -> None:
    with serving(plan={"bad": [step]}) as fake:
        found = ask(fake, "bad", "good", timeout_seconds=0.5)

    assert (found["bad"].finish_reason, found["bad"].text) == ("error", "")
    assert f"given up after 3 tries: {reason}" in str(found["bad"].error)
    assert fake.questions().count("bad") == 3
    assert found["good"].error is None


def test_request_at_fault_is_not_tried_again() -> None:
    with serving(plan={"long": [(400, {})]}) as fake:
        found = ask(fake, "long", "good")

    assert found["long"].error == 'status 400: {"error": "no, says long"}'
    assert sorted(fake.questions()) == ["good", "long"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "a b"),
        ([], ""),
        (None, ""),
        ("[1]", "[1]"),
    ],
)
def test_content_may_be_a_list_of_text_parts(content: Any, text: str) -> None:
    with serving(reply=lambda _: answer("", message={"content": content})) as fake:
        assert ask(fake, "q")["q"] == Completion("id-q", text, 3, 5, "stop")


@pytest.mark.parametrize(
    "content",
    [
        True,
        False,
        0,
        7,
        {},
        {"text": "a"},
        ["a"],
        [["a"]],
        [{"type": "text"}],
        [{"type": "text", "text": 5}],
        [{"type": "image_url", "image_url": {"url": "x"}}],
        [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}],
        [{"text": "a"}],
    ],
    ids=str,
)
@pytest.mark.parametrize("field", ["content", "reasoning_content"])
def test_content_that_is_not_text_fails_its_row(field: str, content: Any) -> None:
    """It is asked once: the same question would get the same kind of answer."""

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        bad = body["messages"][0]["content"] == "bad"
        return answer("good", message={field: content} if bad else {})

    with serving(reply=reply) as fake:
        found = ask(fake, "bad", "good")

    assert found["good"].error is None
    if field == "content" or content:  # a reasoning that is false or empty is none
        assert "the content of the answer is not text" in str(found["bad"].error)
    assert fake.questions().count("bad") == 1


HOSTILE = {
    "negative": answer("", usage={"prompt_tokens": -1, "completion_tokens": 5}),
    "beyond int64": answer("", usage={"prompt_tokens": 3, "completion_tokens": 2**63}),
    "infinite": answer("", usage={"prompt_tokens": 3, "completion_tokens": float("inf")}),
    "no number": answer("", usage={"prompt_tokens": 3, "completion_tokens": float("nan")}),
    "digits": answer("", usage={"prompt_tokens": 3, "completion_tokens": "9" * 5000}),
    "end": answer("", finish_reason={"why": "x" * 5000}),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("streams", [True, False], ids=["pieces", "whole"])
def test_hostile_values_fail_their_row(name: str, streams: bool, tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> dict[str, Any]:
        return HOSTILE.get(body["messages"][0]["content"], answer("good"))

    with serving(reply=reply, streams=streams) as fake:
        bad, good = run_requests(engine(fake), requests(name, "q"), SAMPLING, tmp_path, "x")

    assert good.error is None
    assert bad.finish_reason == "error"
    assert 0 < len(str(bad.error)) < 500


PACKED = {"Content-Encoding": "gzip"}
EVENTS = {"Content-Type": "text/event-stream"}


_LARGE = b" " * (17 << 20)
BODIES: dict[str, tuple[bytes, dict[str, str], str]] = {  # (body, headers, what is said of it)
    "deep": (b"[" * 100_000, {}, "incomplete answer"),
    "deep choice": (b'{"choices": ' + b"[" * 100_000, {}, "incomplete answer"),
    "deep event": (b"data: " + b"[" * 100_000 + b"\n\n", EVENTS, "incomplete"),
    "charset": (
        json.dumps(answer("q")).encode(),
        {"Content-Type": "application/json; charset=x-no"},
        "",
    ),
    "utf-16": (json.dumps(answer("q")).encode("utf-16"), {}, ""),
    "packed": (gzip.compress(bytes(1 << 20)), PACKED, r"is packed \(gzip\)"),
    "body": (_LARGE, {}, "larger than 16 MiB"),
    "event": (b"data: " + _LARGE, EVENTS, "larger than 16 MiB"),
}


@pytest.mark.parametrize(("body", "headers", "reason"), BODIES.values(), ids=BODIES)
def test_hostile_bodies_fail_their_row(body: bytes, headers: dict[str, str], reason: str) -> None:
    """Memory holds no more than the bound, however much a server sends."""
    with serving(plan={"bad": [(200, headers, body)]}) as fake:
        found = ask(fake, "bad", "good")

    assert found["good"].error is None
    if reason:
        assert re.search(reason, str(found["bad"].error))
    else:
        assert found["bad"].text == "<think> hm </think> q!"
    asked = fake.headers[0]
    assert asked["Accept-Encoding"] == "identity"


def test_key_that_is_echoed_is_stored_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In text, in reasoning, in what is not text, and in an error, also where it is cut."""
    monkeypatch.setenv("NT_TEST_KEY", KEY)
    replies = {
        "text": answer("", message={"content": f"it is {KEY}"}),
        "thought": answer("", message={"content": "a", "reasoning": KEY}),
        "no text": answer("", message={"content": {"x" * 280: KEY}}),
        "end": answer("", finish_reason=f"{'x' * 270}{KEY}"),
        "usage": answer("", usage={"prompt_tokens": KEY, "completion_tokens": 5}),
    }
    with serving(key=KEY, reply=lambda body: replies[body["messages"][0]["content"]]) as fake:
        asked = engine(fake, key_env="NT_TEST_KEY")
        found = run_requests(asked, requests(*replies), SAMPLING, tmp_path, "x")

    assert found[0].text == "it is ***"
    stored = "".join(map(str, found)) + (tmp_path / "completions.jsonl").read_text()
    assert not any(KEY[:size] in stored for size in range(4, len(KEY) + 1))


@pytest.mark.parametrize("key", ["sk-one\nX: sk-two", "sk one", "sk-\u00fc", "sk-\x1b"])
def test_key_that_no_header_can_carry_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, nobody: Fake, key: str
) -> None:
    monkeypatch.setenv("NT_TEST_KEY", key)
    with pytest.raises(ValueError, match="NT_TEST_KEY does not hold a key") as refused:
        list(engine(nobody, key_env="NT_TEST_KEY").generate(requests("a"), SAMPLING))
    assert "sk" not in str(refused.value)


def test_half_an_emoji_is_repaired(tmp_path: Path) -> None:
    """In text, reasoning and the words of an error."""
    replies = {
        "text": answer("", message={"content": "a \ud83d b"}),
        "thought": answer("", message={"content": "a", "reasoning": "\ude00 \ud83d\ude00"}),
        "filtered": answer("", finish_reason="bad \ud83d"),
    }
    asked = requests(*replies)
    with serving(reply=lambda body: replies[body["messages"][0]["content"]]) as fake:
        found = run_requests(engine(fake), asked, SAMPLING, tmp_path, "x")

    assert found[0].text == "a \ufffd b"
    assert found[1].text == "<think> \ufffd \U0001f600 </think> a"
    assert found[2].error == "the server ended with 'bad \\ud83d'"


def test_retry_after_is_honoured() -> None:
    with serving(plan={"busy": [(429, {"Retry-After": "1"}), "answer"]}) as fake:
        assert ask(fake, "busy")["busy"].error is None

    assert fake.times[1] - fake.times[0] >= 1


def test_retry_after_may_be_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    for header, least, most in [(soon, 90, 100), ("7", 7, 7), ("inf", 0, 0), ("soon", 0, 0)]:
        with pytest.raises(Retry) as found:
            check_status(httpx2.Response(429, headers={"Retry-After": header}), "")
        assert least <= found.value.seconds <= most


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"models": ["other"]}, "does not serve 'teacher' but other: correct `params.model`"),
        ({"key": "x"}, "the key is refused"),
        ({"models": None, "key": "x"}, "the key is refused"),
        ({"models": None, "plan": {"q0": [(404, {})]}}, "there is no such model or address"),
        ({"plan": {"q0": [(307, {"Location": "/v1"})]}}, "the server redirects"),
        ({"plan": {"q0": [{"model": "cheaper"}]}}, "'teacher' was asked and 'cheaper' answered"),
        ({"is_page": True}, "is not a server with the OpenAI protocol"),
    ],
    ids=str,
)
def test_what_would_fail_every_row_ends_at_once(settings: dict[str, Any], error: str) -> None:
    others = {f"q{n}": ["wait"] for n in range(1, 200)}
    settings = {**settings, "plan": {**others, **settings.get("plan", {})}}
    with serving(**settings) as fake, pytest.raises(ValueError, match=error):
        list(engine(fake).generate(many(200), SAMPLING))

    assert len(fake.asked) <= 4  # those in flight


@pytest.fixture
def nobody() -> Fake:
    """Return an address of this machine where no server is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Fake(url=f"http://127.0.0.1:{free.getsockname()[1]}/v1")


def test_address_without_a_server_ends_at_once(nobody: Fake) -> None:
    with pytest.raises(ValueError, match=r"/v1 does not answer \(ConnectError .*base_url"):
        list(engine(nobody).generate(many(3), SAMPLING))


def test_server_that_is_starting_is_waited_for(nobody: Fake) -> None:
    found: list[Completion] = []
    late = engine(nobody, start_seconds=20)
    asking = threading.Thread(target=lambda: found.extend(late.generate(many(3), SAMPLING)))
    asking.start()
    time.sleep(0.3)
    with serving(port=int(nobody.url.split(":")[2].removesuffix("/v1"))):
        asking.join(30)

    assert [each.error for each in found] == [None] * 3


def test_nothing_but_failures_ends_the_job() -> None:
    plan = {f"q{n}": [(400, {})] for n in range(100)}
    with (
        serving(plan=plan) as fake,
        pytest.raises(ValueError, match=r"20 consecutive requests failed; .*status 400"),
    ):
        list(engine(fake).generate(many(100), SAMPLING))

    assert len(fake.asked) <= 20 + 2 * 4


def test_some_failures_are_rows() -> None:
    plan = {f"q{n}": [(400, {})] for n in range(0, 100, 3)}
    with serving(plan=plan) as fake:
        found = list(engine(fake, batch=1).generate(many(100), SAMPLING))

    assert sum(each.error is not None for each in found) == 34


def test_waiting_in_the_queue_is_no_failure() -> None:
    """The ratio at which every row once failed: the queue is much longer than a time-out."""
    queue = threading.Semaphore(2)
    with serving(queue=queue, seconds=0.02) as fake:
        asked = engine(fake, batch=128, timeout_seconds=0.5, retries=0)
        found = list(asked.generate(many(200), SAMPLING))

    assert [each.error for each in found] == [None] * 200
    assert sorted(fake.questions()) == sorted(each.user for each in many(200))  # once each


def test_log_tells_what_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("nt_pkg.engines._server._SAY_SECONDS", 0.2)
    queue = threading.Semaphore(1)
    with serving(queue=queue, seconds=0.5) as fake:
        list(engine(fake).generate(many(3), SAMPLING))

    assert "2 requests wait in its queue, 1 are being answered; no answer for" in caplog.text


@pytest.mark.parametrize("streams", [True, False], ids=["pieces", "whole"])
def test_pieces_make_the_same_text(streams: bool) -> None:
    """Characters that end lines of a text are no ends of an event."""
    content = "a\u2028b\x85c\r\nd\x0be \ud83d\ude00 data: [DONE]\n\ndata: {}".encode(
        "utf-16", "surrogatepass"
    ).decode("utf-16")
    step = {"message": {"content": content, "reasoning_content": "\n\n" + content}}
    with serving(plan={"q": [step]}, streams=streams) as fake:
        found = ask(fake, "q")["q"]

    expected = f"<think> \n\n{content} </think> {content}"
    assert found == Completion("id-q", expected, 3, 5, "stop")


@pytest.mark.parametrize(
    ("message", "text", "finish"),
    [
        ({"content": "4", "reasoning_content": "2+2"}, "<think> 2+2 </think> 4", "stop"),
        ({"content": "4", "reasoning": "2+2"}, "<think> 2+2 </think> 4", "stop"),
        ({"content": None, "reasoning_content": "2+"}, "<think> 2+", "length"),
        ({"content": "<think> 2+2"}, "<think> 2+2", "length"),
        ({"content": None}, "", "stop"),
    ],
)
def test_reasoning_is_put_back(message: dict[str, Any], text: str, finish: str) -> None:
    with serving(plan={"q": [{"message": message, "finish_reason": finish}]}) as fake:
        found = ask(fake, "q")["q"]

    assert (found.text, found.finish_reason, found.error) == (text, finish, None)


def test_other_ends_are_failures() -> None:
    with serving(plan={"q": [{"finish_reason": "content_filter"}]}) as fake:
        found = ask(fake, "q")["q"]

    assert (found.finish_reason, found.error) == ("error", "the server ended with 'content_filter'")


def test_other_name_of_the_same_model_has_to_be_said() -> None:
    with serving(plan={"q": [{"model": "teacher-2026-11"}]}) as fake:
        params = {"served_as": "teacher-2026-11"}
        [found] = engine(fake, params=params).generate(requests("q"), SAMPLING)

    assert found.error is None


def test_forced_beginning_is_refused(nobody: Fake) -> None:
    with pytest.raises(ValueError, match="cannot force the beginning of an answer"):
        list(engine(nobody).generate([Request("x", "q", "<think>")], SAMPLING))


def test_key_comes_from_the_environment_and_goes_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG, logger="httpx2")
    with serving(key=KEY, plan={"echo": [(500, {"X": KEY})]}) as fake:
        with pytest.raises(ValueError, match="variable NT_TEST_KEY is not set"):
            list(engine(fake, key_env="NT_TEST_KEY").generate(requests("a"), SAMPLING))
        monkeypatch.setenv("NT_TEST_KEY", KEY)
        asked = engine(fake, key_env="NT_TEST_KEY")
        found = run_requests(asked, requests("a", f"my key is {KEY}"), SAMPLING, tmp_path, "x")
        monkeypatch.setenv("NT_TEST_KEY", "sk-wrong-one")
        with pytest.raises(ValueError, match=r"key provided: Bearer \*\*\*") as refused:
            list(engine(fake, key_env="NT_TEST_KEY").generate(requests("a"), SAMPLING))

    assert found[0].error is None
    assert KEY not in json.dumps(asked.identity)
    assert "sk-wrong-one" not in str(refused.value)
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("params", "sampling", "user"),
    [
        ({}, {"max_tokens": 51}, "q"),
        ({}, {"temperature": 0.7}, "q"),
        ({}, {}, "another q"),
        ({"extra_body": {"top_k": 5}}, {}, "q"),
        ({"model": "other"}, {}, "q"),
    ],
    ids=str,
)
def test_changed_request_never_reuses_an_answer(
    tmp_path: Path, params: dict[str, Any], sampling: dict[str, Any], user: str
) -> None:
    with serving(
        models=None, plan={"q": [{}, {"model": "other"}]} if "model" in params else {}
    ) as f:
        run_requests(engine(f), [Request("x", "q")], SAMPLING, tmp_path, "x")
        changed = engine(f, params=params)
        run_requests(
            changed,
            [Request("x", user)],
            Sampling(**{**SAMPLING.model_dump(), **sampling}),
            tmp_path,
            "x",
        )

    assert len(f.asked) == 2


def test_another_server_of_the_same_model_continues(tmp_path: Path) -> None:
    with serving() as one:
        run_requests(engine(one), many(3), SAMPLING, tmp_path, "x")
    with serving() as two:
        run_requests(engine(two, batch=1, retries=0), many(5), SAMPLING, tmp_path, "x")

    assert sorted(two.questions()) == ["q3", "q4"]


def test_failed_row_is_asked_for_again_by_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(plan={"q1": [(500, {})]}) as fake:
        first = run_requests(engine(fake), many(3), SAMPLING, tmp_path, "traces")
    with serving() as fake:
        second = run_requests(engine(fake), many(3), SAMPLING, tmp_path, "traces")

    assert "traces: 1 of 3 failed; 1 of them: given up after 3 tries: status 500" in caplog.text
    assert [each.error is None for each in first] == [True, False, True]
    assert [each.error for each in second] == [None] * 3
    assert fake.questions() == ["q1"]


def test_killed_shard_asks_again_only_for_what_was_in_flight(tmp_path: Path) -> None:
    """A real process, a real kill, and then the same command."""
    write_prompts(tmp_path / "prompts.parquet", 40)
    environment = {**os.environ, "NT_WORK": str(tmp_path / "work"), "NT_TEST_KEY": KEY}
    command = [sys.executable, "-m", "scripts.generate_traces"]
    plan = {f"q{n}": ["wait"] for n in (11, 23)}
    with serving(key=KEY, plan=plan) as fake:
        command += arguments(tmp_path, fake, batch=4)
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while len(fake.asked) < 30 and time.monotonic() < until:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        fake.release.set()
        before = fake.questions()
        fake.plan.clear()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    again = fake.questions()[len(before) :]
    assert 1 <= len(set(before) & set(again)) <= 4
    assert len(again) == 40 - len(set(before) - set(again))
    rows = read_parquet(tmp_path / "traces.parquet", TRACES)
    assert [(row["status"], row["answer"]) for row in rows] == [("ok", f"q{n}!") for n in range(40)]
    assert "tokens/s" in done.stderr
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left
    assert not any(KEY.encode() in path.read_bytes() for path in left)
    assert KEY not in done.stderr


def test_traces_of_a_shard_keep_failed_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NT_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("NT_TEST_KEY", KEY)
    write_prompts(tmp_path / "prompts.parquet", 3)
    with serving(plan={"q1": [(400, {})]}) as fake:
        generate_traces.main(arguments(tmp_path, fake, batch=2))

    rows = read_parquet(tmp_path / "traces.parquet", TRACES)
    assert [row["status"] for row in rows] == ["ok", "failed", "ok"]
    assert rows[1]["error"] == 'status 400: {"error": "no, says q1"}'
    assert [body["seed"] for body in fake.asked if body["messages"][0]["content"] == "q0"] == [
        request_seed(0, f"{0:032x}")
    ]


@pytest.mark.parametrize("where", ["here", "another server", "other names"])
def test_shard_that_is_made_again_asks_only_for_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """What is known of the others is the digest of their exact request, and nothing else counts."""
    monkeypatch.setenv("NT_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("NT_TEST_KEY", KEY)
    write_prompts(tmp_path / "prompts.parquet", 4)
    with serving(plan={"q1": [(400, {})]}) as fake, serving() as other:
        generate_traces.main(arguments(tmp_path, fake, batch=2))
        forget_finished()
        fake.plan.clear()
        server = other if where == "another server" else fake
        again = arguments(tmp_path, server, batch=3)
        if where == "other names":
            again[again.index("{}")] = '{"teacher":"renamed"}'
        generate_traces.main(again)
        forget_finished()
        generate_traces.main(again)  # nothing failed: no server is needed

    rows = read_parquet(tmp_path / "traces.parquet", TRACES)
    assert [(row["status"], row["answer"]) for row in rows] == [("ok", f"q{n}!") for n in range(4)]
    assert fake.questions()[4:] + other.questions() == ["q1"]
