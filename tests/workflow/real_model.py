"""Run the study of a real small model, and check that what it made can be used.

    python -m tests.workflow.real_model                             # make real-model
    python -m tests.workflow.real_model --quick                     # make real-model-quick
    python -m tests.workflow.real_model --rows mine.jsonl

Writes the rows, and works in the folder real-model/ alone (real-model-quick/); killed at any
moment, the same command continues. Then the loss on held-out rows must have fallen, and the
exported student must answer in transformers and, where .venv-inference is, in vLLM. What `semantic`
found is printed with the words of each cluster.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.load import read_study
from nt_pkg.files.json_files import read_json
from nt_pkg.jobs.warm_interpreter import die_with_parent
from nt_pkg.plan.validate import load_study
from tests import check_report
from tests.workflow.real_model_rows import write_rows
from tests.workflow.sandbox import ROOT, command, environment

GIVEN = ROOT / "../shared/data/gsm8k_as_natural_reasoning.jsonl"
FULL, QUICK = ROOT / "config/real_model.yaml", ROOT / "tests/workflow/real_model_quick.yaml"
VLLM = ROOT / ".venv-inference"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows")
    parser.add_argument("--rows", type=Path, help="JSON lines; by default GSM8K, or made rows")
    args = parser.parse_args(argv)
    begun = time.monotonic()
    config = QUICK if args.quick else FULL
    folder = ROOT / ("real-model-quick" if args.quick else "real-model")
    rows = args.rows or (GIVEN if GIVEN.exists() else None)
    print(f"rows: {'made, of the micro-world' if rows is None else rows.name}")
    try:
        write_rows(rows, folder / "rows", *((500, 16) if args.quick else (2000, 32)))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    status = subprocess.run(
        command("scripts.study", "--configfile", str(config)),
        cwd=folder,
        env=environment(ROOT, NT_ENV_INFERENCE=""),
        preexec_fn=die_with_parent,
    ).returncode
    if status:
        return status
    print(f"the study: {time.monotonic() - begun:.0f} s", flush=True)
    runs = sorted(folder.glob("results/sft/*/*/*/seed*/run.json"))
    wrong = [line for run in runs for line in _wrong_loss(run)]
    wrong += _unusable(runs[-1].parent)
    _show_clusters(folder, config)
    for line in wrong:
        print(f"real-model: {line}")
    print(f"all: {time.monotonic() - begun:.0f} s")
    report = folder / "results/report" / config.stem
    return int(bool(wrong)) or check_report.main(report, [])


def _wrong_loss(run: Path) -> list[str]:
    held = read_json(run)["held_out"]
    print(f"{run.parts[-4]}: held-out loss {held['loss_before']:.3f} to {held['loss_after']:.3f}")
    return [] if held["loss_after"] < held["loss_before"] else [f"{run}: the loss did not fall"]


def _unusable(run: Path) -> list[str]:
    """Let the exported student answer in each engine that is there, and compare their texts."""
    answers = {}
    for engine, python in (("transformers", sys.executable), ("vllm", f"{VLLM}/bin/python")):
        if not Path(python).exists():
            print(f"skipped: {engine} needs make setup-inference INFERENCE=inference-cpu")
            continue
        begun, out = time.monotonic(), run / f"{engine}.json"
        more = {"VLLM_CPU_KVCACHE_SPACE": "1"} if engine == "vllm" else {}
        module = "tests.workflow.real_model_answers"
        done = subprocess.run(
            [python, "-m", module, engine, str(run / "hf.json"), str(out)],
            env={**os.environ, **environment(ROOT, **more)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return [f"{engine} does not load the export: {done.stderr[-2000:]}"]
        answers[engine] = read_json(out)
        print(f"the export answers in {engine}: {time.monotonic() - begun:.0f} s", flush=True)
    texts = list(answers.values())
    if len(texts) == 2:
        same = sum(texts[0][name] == texts[1][name] for name in texts[0])
        print(f"{same} of {len(texts[0])} greedy answers are the same in both")
        if not same:
            return [f"no answer is the same in both engines: {answers}"]
    return []


def _show_clusters(folder: Path, config: Path) -> None:
    """Show what the study's own `semantic`, its last one, found."""
    subsets = load_study(read_study([config])).subsets.values()
    params = [dict(each.params) for each in subsets if each.selector == "semantic"][-1]
    results = folder / "results"
    labels = sorted(results.glob("question_labels/questions/embedding/*.parquet"))
    prompts = str(results / "prompts/questions/all.parquet")
    ask = command("benchmarks.cluster_words", "--prompts", prompts, "--labels", *map(str, labels))
    ask += ["--set", json.dumps(params)]
    subprocess.run(ask, env=environment(ROOT), check=True)


if __name__ == "__main__":
    sys.exit(main())
