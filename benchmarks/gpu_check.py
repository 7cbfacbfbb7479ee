"""Ten minutes on a machine with a GPU: is training on it right, and how fast is it?

    python -m benchmarks.gpu_check --wheels FOLDER    # also: make gpu-check WHEELS=FOLDER
    python -m benchmarks.gpu_check --quick            # tiny, under a minute on a CPU: that it runs

It needs PyTorch and transformers, older ones too, and no index or hub. What else is missing is
installed from the wheels of a folder into a temporary one. Measured are:

- attention: each of ours against the plain formula, output and gradients in bfloat16;
- packed: loss and gradients of a packed row against its documents alone;
- training: `scripts.train` on one rank, a stopped and continued one, and TRL beside it;
- passes: forward and backward of Llamas of 1B and 8B on rows of 8k, 16k and 32k tokens, with their
  share of the GPU's peak (MFU), and their memory beside the estimate of plans;
- kernels: compiled and Liger against eager.

Every part runs in a process of its own with a limit of its own, so one that fails, or that does
not fit, is a row of the table that says so. The last line is the path of a JSON file with all rows.
The status is 1 if a row is BAD.
"""

import argparse
import json
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.gpu_place import Line, Place

# What a training imports, and what is measured if it is there.
_NEEDED = ("deepspeed", "submitit", "pyarrow", "pydantic", "tensorboardX", "numpy", "pyyaml")
_WELCOME = (("liger-kernel",), ("trl", "datasets"))
# Seconds of each part; together ten minutes with imports.
_LIMITS = {
    "machine": 30,
    "attention": 60,
    "packed": 60,
    "training": 170,
    "passes": 170,
    "kernels": 110,
}
_SHOWN = ("torch", "transformers", "deepspeed", "liger-kernel", "trl")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only that all of it runs")
    parser.add_argument("--minutes", type=float, default=10.0, help="at most this long")
    parser.add_argument("--wheels", type=Path, help="folder with wheels of what is missing")
    parser.add_argument("--out", type=Path, default=Path("gpu-check.json"))
    args = parser.parse_args()
    begun = time.monotonic()
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    # Looking for GPUs must not start CUDA in this process, from which the parts are forked.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.wheels:
            _install(args.wheels, folder / "packages")
        lines = _measure(folder, args.quick, begun + 60 * args.minutes)
    table = [["part", "what", "value", "wanted", "verdict"]]
    table += [[each.part, each.what, each.value, each.wanted, each.verdict] for each in lines]
    for row in [table[0], ["---"] * 5, *table[1:]]:
        print("| " + " | ".join(row) + " |")
    found = {
        "machine": platform.node(),
        "versions": {each: _version(each) for each in ("python", *_SHOWN)},
        "quick": args.quick,
        "seconds": round(time.monotonic() - begun),
        "bad": sum(each.verdict.startswith("BAD") for each in lines),
        "lines": [asdict(each) for each in lines],
    }
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    print(args.out)
    return 1 if found["bad"] else 0


def _version(package: str) -> str | None:
    if package == "python":
        return platform.python_version()
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _install(wheels: Path, target: Path) -> None:
    """Install what is missing from a folder of wheels; what is there stays as it is."""
    offline = ["--no-index", "--find-links", str(wheels), "--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install"]
    for packages in (_NEEDED, *_WELCOME):
        asked = [*pip, "--dry-run", "--report", "-", *offline, *packages]
        answer = subprocess.run(asked, capture_output=True, text=True)
        if answer.returncode:
            if packages is _NEEDED:
                raise SystemExit(f"{wheels} lacks a wheel:\n{answer.stderr}")
            continue
        found = [each["download_info"]["url"] for each in json.loads(answer.stdout)["install"]]
        if found:
            here = ["--no-deps", "--no-build-isolation", "--target", str(target)]
            subprocess.run([*pip, *offline, *here, *found], check=True)
    sys.path.append(str(target))
    paths = [os.environ.get("PYTHONPATH", ""), str(target)]
    os.environ["PYTHONPATH"] = os.pathsep.join(each for each in paths if each)


def _measure(folder: Path, is_quick: bool, end: float) -> list["Line"]:
    """Return the rows of all parts, each measured in a process that is forked from this one."""
    import deepspeed  # noqa: F401 - shared by the parts
    import transformers  # noqa: F401

    from benchmarks.gpu_place import Line, Place

    lines = []
    for part, most in _LIMITS.items():
        left = end - time.monotonic()
        limit = min(float(most), left)
        if left < 5:
            lines.append(Line(part, "", "", "", "skipped: no time left"))
            continue
        place = Place(folder, is_quick, time.monotonic() + 0.8 * limit)
        answer = folder / f"{part}.json"
        process = multiprocessing.get_context("fork").Process(
            target=_run, args=(part, place, answer)
        )
        process.start()
        process.join(limit)
        if process.is_alive():
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            lines.append(Line(part, "", "", "", f"skipped: not done after {limit:.0f} s"))
        elif answer.exists():
            lines += [Line(**each) for each in json.loads(answer.read_text())]
        else:
            lines.append(Line(part, "", "", "", f"BAD: it ended with status {process.exitcode}"))
        for each in lines:
            if each.part == part:
                print(each.part, each.what, each.value, each.verdict, file=sys.stderr, flush=True)
    return lines


def _run(part: str, place: "Place", answer: Path) -> None:
    """Run a part and write its rows, in a process group that can be ended as one."""
    os.setsid()
    from benchmarks import gpu_fast, gpu_right, gpu_training
    from benchmarks.gpu_place import Line

    parts = {
        "machine": gpu_right.machine,
        "attention": gpu_right.attention,
        "packed": gpu_right.packed,
        "training": gpu_training.training,
        "passes": gpu_fast.passes,
        "kernels": gpu_fast.kernels,
    }
    import torch

    torch.set_num_threads(1 if place.is_quick else max(1, (os.cpu_count() or 2) // 2))
    try:
        lines = parts[part](place)
    except Exception as error:  # the other parts go on
        import traceback

        traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        lines = [Line(part, "", "", "", f"BAD: {text}")]
    answer.write_text(json.dumps([asdict(each) for each in lines]))


if __name__ == "__main__":
    sys.exit(main())
