"""What the paper's number of examples takes: memory of their making, and the start of a training.

    python -m benchmarks.scale            # also: make bench-scale
    python -m benchmarks.scale --quick    # 5,000 examples of a tenth the length

Runs `scripts.build_examples` on made-up traces and `scripts.train` on what it wrote, with 50,000
and with 500,000 examples. Lengths are log-normal between 745 and 14,600 tokens, 4,430 on average,
as is known of R1's traces; shards have 16,384 traces, about as many as those of the paper's study.

- Memory is anonymous (`RssAnon`), summed over all processes of the command, five times a second.
  Pages of mapped files are not in it: the system takes them back when it needs them.
- Tokenising 500,000 traces takes hours, so in the large runs the tokenizer sees the first and the
  last characters of a text only, and repeats their tokens up to the text's length. All else is as
  it is: texts are read, rendered and checked at full length, and lists of so many ids are written.
  The quick form, which has one size, and the first line of the table use the tokenizer as it is.
- A training of 10 epochs on the last examples runs on two ranks at ZeRO-2, with a tiny Llama, up
  to the end of its first step of 400,000 tokens (quick: 40,000); then it is told to stop. The
  private memory of a rank is what it shares with no other process and what no file holds.

Prints a table and as its last line one JSON object. The full form needs 13 GB of disk in `work/`,
removed at the end.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.scale_data import LONGEST, write_pool, write_student
from benchmarks.sft_worker import start_clock
from nt_pkg.config.students import Runtime, Training
from nt_pkg.files.json_files import read_json
from nt_pkg.jobs.progress import start_job
from tests.workflow.sandbox import ROOT, environment, table

_GIB = 2**30
_SIZES, _QUICK, _AS_IT_IS = (50_000, 500_000), 5_000, 2_000
_EDGE = 50  # characters that the shortened tokenizer looks at, at both ends of a text
_TRAINING = Training(learning_rate=1e-4, epochs={0: 10}, dtype="float32")
_RUNTIME = Runtime(num_ranks=2, zero_stage=2)


@dataclass(frozen=True)
class Sizes:
    """The peak of a command's memory.

    Attributes:
        anonymous: bytes of all its processes.
        private: bytes of the largest process but the first.
    """

    anonymous: int = 0
    private: int = 0

    def most(self, other: "Sizes") -> "Sizes":
        """Return the larger of each."""
        return Sizes(max(self.anonymous, other.anonymous), max(self.private, other.private))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given[:1] == ["child"]:
        return _child(given[1], Path(given[2]), given[3:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5,000 examples of a tenth the length")
    args = parser.parse_args(given)
    start_job("bench-scale")
    place = ROOT / "work"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix="bench-scale-") as name:
        folder = Path(name)
        write_student(folder / "student")
        if args.quick:
            sizes = [(_QUICK, "whole")]
        else:
            sizes = [(_AS_IT_IS, "whole"), *((size, "shortened") for size in _SIZES)]
        found = [_build(folder, *each, 0.1 if args.quick else 1.0) for each in sizes]
        training = _TRAINING
        if args.quick:
            training = training.model_copy(update={"tokens_per_step": 40_000})
        first_step, private = _start_training(folder, training)
    lines = [
        [
            f"{each['examples']:,}",
            how,
            f"{each['mean_tokens']:,.0f}",
            f"{each['gib']:.2f}",
            f"{each['seconds']:.0f}",
        ]
        for (_, how), each in zip(sizes, found, strict=True)
    ]
    print(table(["examples", "tokenizer", "mean tokens", "GiB", "seconds"], lines))
    print(f"a rank: {private:.2f} GiB private; first step after {first_step:.1f} s")
    result = {
        "build_examples_peak_gib": found[-1]["gib"],
        "build_examples_peak_gib_50k": found[-2:][0]["gib"],
        "rank_private_gib": private,
        "first_step_s": first_step,
        "examples": found[-1]["examples"],
    }
    print(json.dumps({key: round(value, 3) for key, value in result.items()}))
    return 0


def _build(folder: Path, num_rows: int, how: str, scale: float) -> dict[str, float]:
    """Build examples in a folder, and return what that took.

    Args:
        folder: where the student is; earlier examples are replaced.
        num_rows: number of examples.
        how: "whole", or "shortened" if the tokenizer looks at the ends of a text only.
        scale: their lengths are this share of the paper's.
    """
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    num_shards = write_pool(data, num_rows, scale)
    out, manifest = data / "examples.arrow", data / "examples.json"
    begun = time.monotonic()
    limits = {"max_response_tokens": 2 * LONGEST, "max_example_tokens": 2 * LONGEST}
    spec = {"format": {"kind": "system2"}, "limits": limits}
    command = [
        "--spec", json.dumps(spec),
        "--names", "{}",
        "--seed", "0",
        "--student", str(folder / "student" / "manifest.json"),
        "--subset", str(data / "subset.parquet"),
        "--prompts", str(data / "prompts.parquet"),
        "--traces", *(str(data / f"shard-{n}.parquet") for n in range(num_shards)),
        "--out", str(out),
        "--manifest", str(manifest),
    ]  # fmt: skip
    memory, status = _watch(folder, [how, str(folder / "clock"), *command], None)
    if status:
        raise RuntimeError(f"scripts.build_examples ended with status {status}")
    seconds = time.monotonic() - begun
    counts = read_json(manifest)
    return {
        "examples": counts["num_examples"],
        "mean_tokens": counts["num_tokens"] / counts["num_examples"],
        "gib": memory.anonymous / _GIB,
        "seconds": seconds,
    }


def _start_training(folder: Path, training: Training) -> tuple[float, float]:
    """Return the seconds up to the end of the first step, and the private GiB of a rank."""
    results, clock = folder / "results", folder / "clock"
    clock.unlink(missing_ok=True)
    command = [
        "--spec", json.dumps({"training": training.model_dump(mode="json")}),
        "--names", "{}",
        "--runtime", _RUNTIME.model_dump_json(),
        "--seed", "0",
        "--student", str(folder / "student" / "manifest.json"),
        "--examples", str(folder / "data" / "examples.arrow"),
        "--examples-manifest", str(folder / "data" / "examples.json"),
        "--checkpoint", str(results / "checkpoint"),
        "--preview", str(results / "preview.txt"),
        "--tensorboard", str(results / "tensorboard"),
        "--out", str(results / "run.json"),
    ]  # fmt: skip
    begun = time.time()
    memory, _ = _watch(folder, ["train", str(clock), *command], clock)
    if not clock.exists():
        raise RuntimeError("scripts.train ended before its first step")
    first = float(clock.read_text().split()[0])
    return first - begun, memory.private / _GIB


def _watch(folder: Path, child: list[str], until: Path | None) -> tuple[Sizes, int]:
    """Run a command and return the peaks of its memory, and its status.

    Args:
        folder: where the job keeps its progress.
        child: arguments of `_child`.
        until: tell the command to stop when this file is there.
    """
    own = environment(ROOT, NT_WORK=str(folder / "steps"))
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.scale", "child", *child],
        cwd=ROOT,
        env=own,
        stdout=sys.stderr,
    )
    peak, is_told = Sizes(), False
    while process.poll() is None:
        peak = peak.most(_sizes(process.pid))
        if until and until.exists() and not is_told:
            process.send_signal(signal.SIGTERM)
            is_told = True
        time.sleep(0.2)
    return peak, process.returncode


def _sizes(pid: int) -> Sizes:
    try:
        first = psutil.Process(pid)
        others = first.children(recursive=True)
    except psutil.Error:
        return Sizes()
    anonymous = sum(_field(each.pid, "status", "RssAnon:") for each in [first, *others])
    private = [_field(each.pid, "smaps_rollup", "Private_Dirty:") for each in others]
    return Sizes(anonymous, max(private, default=0))


def _field(pid: int, file: str, name: str) -> int:
    """Return one value of a file of /proc in bytes, 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except (OSError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def _child(kind: str, clock: Path, arguments: list[str]) -> int:
    """Run a command of the workflow in this process."""
    if kind == "train":
        from scripts import train

        start_clock(clock)
        return train.main(arguments)
    from scripts import build_examples

    if kind == "shortened":
        from transformers import AutoTokenizer

        load = AutoTokenizer.from_pretrained
        AutoTokenizer.from_pretrained = lambda *args, **more: _Shortened(load(*args, **more))
    return build_examples.main(arguments)


class _Shortened:
    """A tokenizer that looks at the ends of a text only, and repeats the tokens of its head."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def __call__(self, texts: list[str], **how: Any) -> dict[str, list[list[int]]]:
        heads = self._whole([text[:_EDGE] for text in texts], **how)["input_ids"]
        tails = self._whole([text[_EDGE:][-_EDGE:] for text in texts], **how)["input_ids"]
        found = []
        for text, head, tail in zip(texts, heads, tails, strict=True):
            characters = min(len(text), _EDGE)
            wanted = len(head) * max(0, len(text) - 2 * _EDGE) // characters
            found.append(head + (head * (wanted // len(head) + 1))[:wanted] + tail)
        return {"input_ids": found}


if __name__ == "__main__":
    sys.exit(main())
