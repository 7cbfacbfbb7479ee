"""What training a student costs with our loop, with TRL, and with a bare loop of torch.

    python -m benchmarks.sft            # also: make bench-sft
    python -m benchmarks.sft --quick    # without TRL, one short pairing with the bare loop

All train the same small model on the same examples, with loss on the response only. Against TRL:
one process with one thread each. TRL first tries its ways to pack, its attentions and shapes of
batches, and the quickest one is what we are measured against; ours does the same with the
tokens of a micro-batch. Against the bare loop (`benchmarks/sft_bare.py`): two ranks, ZeRO-2 on our
side. The sides take turns, so that a busy machine hits both. Tokens of padding do not count. Time
runs from the end of the first optimiser step to that of the last: imports, preparing data and
checkpoints are outside, and `first_step_s` says how long our command takes from its start to its
first step.
Prints a table and as its last line one JSON object. `benchmarks/gpu_check.py` does this on a GPU.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.sft_worker import Order
from nt_pkg.config.students import Training
from nt_pkg.files.json_files import write_json
from nt_pkg.files.schemas import Row
from nt_pkg.identity.seeds import rng
from nt_pkg.sft.examples import file_record, write_examples
from tests.workflow.sandbox import table

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers-sft"
_ROW_TOKENS, _STEP_ROWS, _SEED = 512, 4, 0
_NUM_STEPS, _TRIAL_STEPS, _QUICK_STEPS = 12, 5, 3
# Llama in small: 3.95 million parameters, on which a core is busy with products of matrices.
_MODEL = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 688,
    "vocab_size": 2048,
}
# packing, padding-free, attention, rows of a forward pass; a step is _STEP_ROWS rows.
_TRL = [
    ("bfd", False, "sdpa", 1),
    ("bfd", False, "sdpa", 2),
    ("bfd", False, "sdpa", 4),
    ("bfd", False, "eager", 1),
    ("wrapped", False, "sdpa", 1),
    ("wrapped", False, "sdpa", 4),
    ("", False, "sdpa", 4),
    ("", False, "sdpa", 12),
    ("", True, "sdpa", 4),
]
_OURS = [1, 2, 5]  # steps have _STEP_ROWS rows of tokens on average, so some have more
Run = Callable[[Order], dict[str, Any]]


class Side:
    """A process that trains when it is asked to."""

    def __init__(self, module: str, python: str, folder: Path) -> None:
        """Start it; it imports what it needs with its first order."""
        self.started = time.time()
        self._folder, self._numbers = folder, count()
        self._log = (folder / f"{module}.log").open("a+")
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        here = {
            "PYTHONPATH": os.pathsep.join(paths),
            "NT_WORK": str(folder / "work"),
            "HF_HUB_OFFLINE": "1",
        }
        self._process = subprocess.Popen(
            [python, "-m", f"benchmarks.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env={**os.environ, **here, "TOKENIZERS_PARALLELISM": "false"},
            text=True,
        )

    def run(self, order: Order) -> dict[str, Any]:
        """Return what the training of an order took."""
        assert self._process.stdin is not None and self._process.stdout is not None
        folder = self._folder / f"{self._process.pid}-{next(self._numbers)}"
        folder.mkdir()
        with contextlib.suppress(BrokenPipeError):  # it has died, and its log says why
            self._process.stdin.write(json.dumps({**order, "folder": str(folder)}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError("a side failed:\n" + "".join(self._log.readlines()[-30:]))
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        """End it, and give back what it holds."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairings", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="without TRL, few steps, one pairing")
    args = parser.parse_args()
    begun = time.perf_counter()
    # Numbers of threads are set by the sides; OpenMP's idle threads should not spin.
    os.environ.update(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    if not args.quick:
        install_peers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_model(folder / "model")
        if args.quick:
            short = long = _write_examples(folder, _QUICK_STEPS)
            first, lines, ratios = _compare(folder, long, short, 1, with_trl=False)
        else:
            long, short = (_write_examples(folder, steps) for steps in (_NUM_STEPS, _TRIAL_STEPS))
            first, lines, ratios = _compare(folder, long, short, args.pairings)
    print(table(["side", "how", "tokens/s", "per CPU s", "step s"], lines))
    print(
        table(
            ["pairing", "tokens/s of TRL's", "per CPU s", "step of bare torch's", "CPU s"], ratios
        )
    )
    print(
        json.dumps(
            {
                "tokens_per_s_ratio_vs_trl": None if args.quick else _median(ratios, 1),
                "worst_ratio_vs_trl": (
                    None if args.quick else min(float(each[1]) for each in ratios)
                ),
                "step_ratio_vs_bare_torch": _median(ratios, 3),
                "first_step_s": round(first, 1),
                "seconds": round(time.perf_counter() - begun),
            }
        )
    )


def install_peers() -> None:
    """Make TRL's environment, if it is not there for the list as it stands."""
    subprocess.run([ROOT / "envs" / "install.sh", "peers-sft", PEERS], check=True)


def _write_model(folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(_SEED)
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "nt_pkg" / "microworld" / "base")
    LlamaForCausalLM(LlamaConfig(**_MODEL)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _write_examples(folder: Path, num_steps: int) -> Path:
    """Write as many examples as fill some steps: short questions, responses with a long tail."""
    rand, rows, left = (
        rng("bench sft", num_steps),
        list[Row](),
        num_steps * _STEP_ROWS * _ROW_TOKENS,
    )
    while left > 0:
        prompt = rand.randint(20, 60)
        length = prompt + max(10, min(int(rand.lognormvariate(4.6, 0.7)), _ROW_TOKENS - prompt))
        ids = [rand.randrange(4, _MODEL["vocab_size"]) for _ in range(length)]
        row_id = f"{len(rows):016x}"
        rows.append(
            {"id": row_id, "target": "system2", "input_ids": ids, "num_prompt_tokens": prompt}
        )
        left -= length
    path = folder / f"examples-{num_steps}.arrow"
    write_examples(path, rows)
    write_json(path.with_suffix(".json"), {"file": file_record(path)})
    return path


def _compare(
    folder: Path, long: Path, short: Path, num_pairings: int, with_trl: bool = True
) -> tuple[float, list[list[str]], list[list[str]]]:
    """Return seconds to our first step, and the rows of the two tables."""
    training = Training(
        tokens_per_step=_STEP_ROWS * _ROW_TOKENS,
        max_example_tokens=_ROW_TOKENS,
        max_response_tokens=_ROW_TOKENS,
        epochs={0: 1},
        dtype="float32",
    )
    common = {
        "model": str(folder / "model"),
        "examples": str(long),
        "training": training.model_dump(mode="json"),
        "row_tokens": _ROW_TOKENS,
        "dtype": "float32",
        "threads": 1,
        "ranks": 1,
        "zero_stage": 2,
        "seed": _SEED,
    }
    trial = {**common, "examples": str(short)}
    lines: list[list[str]] = []
    ours = Side("sft_ours", sys.executable, folder)
    first = ours.run({**trial, "rows": 1})["first_step"] - ours.started
    rows_tried = _OURS if with_trl else _OURS[:1]
    ours_how = _best("ours", ours.run, [{**trial, "rows": rows} for rows in rows_tried], lines)
    if with_trl:
        trl = Side("sft_trl", str(PEERS / "bin" / "python"), folder)
        trl_how = _best("TRL", trl.run, [{**trial, **how} for how in _trl_ways()], lines)
    bare = Side("sft_bare", sys.executable, folder)
    full = {"examples": str(long)}
    ratios = []
    for number in range(1, num_pairings + 1):
        pairing = f"pairing {number}"
        against_trl = ["", ""]
        if with_trl:
            a, b = ours.run({**ours_how, **full}), trl.run({**trl_how, **full})
            lines += [_line("ours", pairing, a), _line("TRL", pairing, b)]
            against_trl = [
                f"{a[each] / b[each]:.3f}" for each in ("tokens_per_s", "tokens_per_cpu_s")
            ]
        two = {**common, "ranks": 2, "rows": min(ours_how["rows"], _STEP_ROWS // 2 + 1)}
        c, d = ours.run(two), bare.run(two)
        lines += [
            _line("ours, 2 ranks, ZeRO-2", pairing, c),
            _line("bare torch, 2 ranks", pairing, d),
        ]
        step = f"{statistics.median(c['steps']) / statistics.median(d['steps']):.3f}"
        cpu = f"{d['tokens_per_cpu_s'] / c['tokens_per_cpu_s']:.3f}"
        ratios.append([str(number), *against_trl, step, cpu])
    return first, lines, ratios


def _trl_ways() -> list[Order]:
    return [
        {
            "packing": packing,
            "padding_free": padding_free,
            "attention": attention,
            "rows": rows,
            # Rows are examples if they are not packed; about three fill a packed one.
            "accumulate": _STEP_ROWS // rows if packing else 3 * _STEP_ROWS // rows,
        }
        for packing, padding_free, attention, rows in _TRL
    ]


def _best(name: str, run: Run, orders: Sequence[Order], lines: list[list[str]]) -> Order:
    """Try orders and return the quickest."""
    found: list[tuple[float, int]] = []
    for order in orders:
        result = run(order)
        how = f"{order['rows']} rows a pass"  # ours: so many tokens, in one row
        if "packing" in order:
            packing = order["packing"] or ("padding-free" if order["padding_free"] else "padded")
            how = f"{packing}, {order['attention']}, {how}"
        lines.append(_line(name, f"trial: {how}", result))
        found.append((result["tokens_per_cpu_s"], len(found)))
    return orders[max(found)[1]]


def _line(name: str, how: str, found: dict[str, Any]) -> list[str]:
    line = [
        name,
        how,
        f"{found['tokens_per_s']:.0f}",
        f"{found['tokens_per_cpu_s']:.0f}",
        f"{statistics.median(found['steps']):.3f}",
    ]
    print("  ".join(line), file=sys.stderr, flush=True)
    return line


def _median(rows: Sequence[Sequence[str]], at: int) -> float:
    return statistics.median(float(row[at]) for row in rows)


if __name__ == "__main__":
    main()
