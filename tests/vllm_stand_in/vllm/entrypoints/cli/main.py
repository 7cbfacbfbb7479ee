"""A stand-in for vLLM's server: its command line and protocol, without a model.

    PYTHONPATH=tests/vllm_stand_in python -m vllm.entrypoints.cli.main serve MODEL ...

Its answers repeat the tokens of the prompt, backwards. `STAND_IN` names a folder in which it notes
what happens and finds what it shall do:

    started      one line per process: node rank, process id, port
    asked        one line per request that it answers: its seed
    crash        it dies when it starts, after some words
    silent       it never becomes healthy
    hang         the first server takes this file away, and never answers a question
    slow         seconds that each answer takes
"""

import argparse
import contextlib
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from nt_pkg.engines._only_ours import proof

FOLDER = Path(os.environ["STAND_IN"])
_CONTEXT = 4096


def main(arguments: list[str]) -> None:
    """Run the command line of `vllm serve`."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("model")
    for name, kind in (
        ("tensor-parallel-size", int), ("pipeline-parallel-size", int), ("dtype", str),
        ("data-parallel-size", int), ("data-parallel-size-local", int),
        ("data-parallel-start-rank", int), ("data-parallel-address", str),
        ("data-parallel-rpc-port", int), ("distributed-executor-backend", str), ("nnodes", int),
        ("node-rank", int), ("master-addr", str), ("master-port", int), ("host", str),
        ("port", int), ("served-model-name", str), ("seed", int), ("max-num-seqs", int),
        ("max-model-len", int), ("quantization", str), ("gpu-memory-utilization", float),
        ("generation-config", str), ("middleware", str),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind)
    for name in ("headless", "enable-expert-parallel", "enforce-eager"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--disable-uvicorn-access-log", action="store_true")
    args = parser.parse_args(arguments)
    rank = args.node_rank or int(bool(args.data_parallel_start_rank))
    _note("started", f"{rank} {os.getpid()} {args.port}")
    print(f"stand-in on node {rank}", *sys.argv, flush=True)
    if (FOLDER / "crash").exists():
        print("out of memory, say", flush=True)
        sys.exit(3)
    if args.headless:
        time.sleep(3600)
    assert args.host, "it would listen on all interfaces"
    assert args.middleware == "nt_pkg.engines._only_ours.OnlyOurs"
    with contextlib.suppress(FileNotFoundError):
        (FOLDER / "hang").unlink()
        _Handler.hangs = True
    _Handler.name = args.served_model_name
    ThreadingHTTPServer((args.host, args.port), _Handler).serve_forever()


def _note(name: str, line: str) -> None:
    with (FOLDER / name).open("a") as file:
        file.write(f"{line}\n")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    name, hangs, proof = "", False, ""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer /health, /metrics and /v1/models."""
        if self.path == "/health":
            self.proof = proof(os.environ["VLLM_API_KEY"], self.headers.get("x-nonce", ""))
            self._say(503 if (FOLDER / "silent").exists() else 200, {})
        elif self._is_ours() and self.path == "/metrics":
            made = 5.0 if self.hangs else time.monotonic()  # as if it made tokens all the time
            self._say(200, f'vllm:generation_tokens_total{{engine="0"}} {made}\n')
        elif self._is_ours():
            self._say(200, {"data": [{"id": self.name, "max_model_len": _CONTEXT}]})

    def do_POST(self) -> None:
        """Answer /v1/completions with tokens."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_ours():
            return
        if self.hangs:
            time.sleep(3600)
        slow = FOLDER / "slow"
        time.sleep(float(slow.read_text()) if slow.exists() else 0.0)
        _note("asked", str(body["seed"]))
        tokens = [*body["prompt"][::-1][: body["max_tokens"] - 1], body["stop_token_ids"][0]]
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(tokens)}
        choice = {"token_ids": tokens, "text": "", "finish_reason": "stop"}
        self._say(200, {"model": self.name, "choices": [choice], "usage": usage})

    def _is_ours(self) -> bool:
        is_ours = self.headers.get("Authorization") == f"Bearer {os.environ['VLLM_API_KEY']}"
        if not is_ours:
            self._say(401, {})
        return is_ours

    def _say(self, status: int, body: dict[str, Any] | str) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        if self.proof:
            self.send_header("x-proof", self.proof)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    assert sys.argv[1] == "serve", sys.argv
    main(sys.argv[2:])
