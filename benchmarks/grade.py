"""What grading costs, against the scorers of lighteval and lm-evaluation-harness.

    python -m benchmarks.grade [--questions N] [--problems N] [--math FILE]    # or make bench-grade
    python -m benchmarks.grade --quick    # 300 and 10 made-up ones, without peers

Seeded synthetic outputs (benchmarks/grade_outputs.py) to 26,529 made-up questions of SuperGPQA's
shape, one each, and to the 500 problems of MATH-500, 16 each, are graded three times:

- by `python -m scripts.grade`, from start to finished files: wall seconds;
- by our scorers alone, and by each peer's (benchmarks/grade_peers.py), on the same outputs in one
  run: CPU seconds of all processes, taking the reasoning away included, and starting and reading
  left out (but that of our worker processes, which is part of our scorer).

Peers run in environments of their own, made with uv when they are not there. lm-eval and lighteval
have no SuperGPQA; what is run are their scorers for MMLU-Pro. Every difference in verdict is
counted by the form of the output and explained; one without an explanation is an error. Prints
tables and as its last line one JSON object.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.fetched import write_manifest
from benchmarks.grade_outputs import (
    CHOICE_FORMS,
    NUM_SUPERGPQA,
    REPEATS,
    Outputs,
    sample,
    write_jsonl,
)
from nt_pkg.benchmarks._base import Item
from nt_pkg.benchmarks._questions import load_items
from nt_pkg.dialogue.formats import THINK_OPEN
from nt_pkg.dialogue.split_reasoning import split_reasoning
from nt_pkg.files.json_files import write_json
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import SAMPLES
from nt_pkg.plugins import registry as plugins
from tests.workflow.sandbox import table

PEERS = {"lighteval": "peers-grade-lighteval", "lm_eval": "peers-grade-lm-eval"}
_QUICK_QUESTIONS, _QUICK_PROBLEMS = 300, 10
TASKS = {"supergpqa": 1, "math500": REPEATS}
ROOT = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=NUM_SUPERGPQA, help="of SuperGPQA")
    parser.add_argument("--problems", type=int, default=500, help="of MATH-500")
    parser.add_argument("--math", type=Path, default=ROOT / "../shared/data/math500.jsonl")
    parser.add_argument("--quick", action="store_true", help="few made-up ones, without peers")
    args = parser.parse_args(argv)
    if args.quick:
        return measure(_QUICK_QUESTIONS, _made_up_problems(), {})
    if not args.math.exists():
        parser.error(f"{args.math} is not there: give MATH-500's test.jsonl with --math")
    problems = [json.loads(line) for line in args.math.read_text().splitlines()]
    pythons = {peer: environment(kind) for peer, kind in PEERS.items()}
    return measure(args.questions, problems[: args.problems], pythons)


def _made_up_problems() -> list[dict[str, Any]]:
    return [
        {
            "problem": f"What is {n} + {n}?",
            "solution": f"It is $\\boxed{{{2 * n}}}$.",
            "answer": str(2 * n),
            "subject": "Algebra",
            "level": 1,
            "unique_id": f"test/algebra/{n}.json",
        }
        for n in range(_QUICK_PROBLEMS)
    ]


def measure(num_questions: int, problems: list[dict[str, Any]], pythons: dict[str, str]) -> int:
    """Grade with ours and the peers whose interpreters are given, and report."""
    with tempfile.TemporaryDirectory(prefix="bench-grade-") as name:
        folder = Path(name)
        forms = make_outputs(folder, num_questions, problems)
        whole = {task: time_whole(folder, task, repeats) for task, repeats in TASKS.items()}
        cpu, verdicts = {}, {}
        for task in TASKS:
            cpu["ours", task], verdicts["ours", task] = score_ours(folder, task)
        for peer, python in pythons.items():
            script = str(ROOT / "benchmarks" / "grade_peers.py")
            subprocess.run([python, script, peer, str(folder)], check=True, env=_offline())
            for task, found in json.loads((folder / f"{peer}.json").read_text()).items():
                cpu[peer, task], verdicts[peer, task] = found["cpu_s"], found["verdicts"]
    return report(whole, cpu, verdicts, forms, list(pythons))


def environment(kind: str) -> str:
    """Return the Python of a peer's environment, which is made if it is not there."""
    folder = ROOT / f".venv-{kind}"
    subprocess.run([ROOT / "envs" / "install.sh", kind, folder], check=True)
    return str(folder / "bin" / "python")


def _offline() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def make_outputs(
    folder: Path, num_questions: int, problems: list[dict[str, Any]]
) -> dict[str, list[str]]:
    """Write questions, samples and the peers' inputs; return the form of every output."""
    draw = Outputs()
    questions = list(draw.items(num_questions))
    golds = [row["answer"] for row in problems]
    _write_source(folder, "supergpqa", "SuperGPQA-all.jsonl", questions)
    _write_source(folder, "math500", "test.jsonl", problems)
    choice = [draw.choice(row["answer_letter"], len(row["options"])) for row in questions]
    solved = [draw.math(gold, golds) for gold in golds for _ in range(REPEATS)]
    samples = {
        "supergpqa": [
            sample(row["uuid"], 0, text) for row, (_, text) in zip(questions, choice, strict=True)
        ],
        "math500": [
            sample(problems[at // REPEATS]["unique_id"], at % REPEATS, text)
            for at, (_, text) in enumerate(solved)
        ],
    }
    asked = {
        "supergpqa": [
            {"gold": row["answer_letter"], "solution": "", "num_options": len(row["options"])}
            for row in questions
        ],
        "math500": [
            {"gold": row["answer"], "solution": row["solution"], "num_options": 0}
            for row in problems
            for _ in range(REPEATS)
        ],
    }
    for task, rows in samples.items():
        write_parquet(folder / f"{task}.samples.parquet", SAMPLES, rows)
        texts = [{**a, "text": r["text"]} for a, r in zip(asked[task], rows, strict=True)]
        pq.write_table(pa.Table.from_pylist(texts), folder / f"{task}.parquet")
    return {"supergpqa": [form for form, _ in choice], "math500": [form for form, _ in solved]}


def _write_source(folder: Path, task: str, name: str, rows: list[dict[str, Any]]) -> None:
    (folder / task).mkdir()
    write_jsonl(folder / task / name, rows)
    write_manifest(folder / task)


def time_whole(folder: Path, task: str, repeats: int) -> float:
    """Return the wall seconds of the command that grades stored samples."""
    manifest = folder / f"{task}.samples.json"
    write_json(manifest, {"mode": "think", "repeats": repeats})
    spec = json.dumps({"kind": task, "params": {}})
    command = [sys.executable, "-m", "scripts.grade", "--spec", spec, "--names", '{"seed": 0}']
    places = {
        "samples": folder / f"{task}.samples.parquet",
        "samples-manifests": manifest,
        "source": folder / task / "manifest.json",
        "out": folder / f"{task}.score.json",
        "grades": folder / f"{task}.grades.parquet",
    }
    for name, path in places.items():
        command += [f"--{name}", str(path)]
    start = time.monotonic()
    subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def score_ours(folder: Path, task: str) -> tuple[float, list[bool]]:
    """Return CPU seconds and verdicts of our scorer."""
    items: dict[str, Item] = {item.id: item for item in load_items(task, {}, folder / task)}
    rows = read_parquet(folder / f"{task}.samples.parquet", SAMPLES)
    grade = plugins.plugin("benchmarks", task).grade
    start = _cpu_seconds()
    grades = grade(
        [(items[r["question_id"]], split_reasoning(r["text"], THINK_OPEN).answer) for r in rows]
    )
    return _cpu_seconds() - start, [each.is_correct for each in grades]


def _cpu_seconds() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


# Why a peer says the opposite, by (peer, whether ours says right), for each form where it may.
_NO_PATTERN = "no pattern of it fits this form, so nothing is found"
_LONE = "no pattern of it fits this form, so it takes a lone letter from the text"
_ANY_FORMULA = "it takes any number or formula of the text where no answer is stated"
_LIST = "it reads a number with a space behind the comma of its thousands as a list"
_EARLIER = "it takes the first 'answer is X', which stands in the text before"
_CHOICE = {
    ("lighteval", True): dict.fromkeys(
        ("box", "box with text", "small letter", "option named", "the answer is (X)"), _LONE
    ),
    ("lighteval", False): {
        **dict.fromkeys(
            ("box", "box with text", "small letter", "nothing", "word, no letter", "option named"),
            _LONE,
        ),
        "never closed": "it searches reasoning that never closed",
    },
    ("lm_eval", True): {
        **dict.fromkeys(
            ("last line", "last line, bold", "box", "box with text", "option named"), _NO_PATTERN
        ),
        **dict.fromkeys(("small letter", "two statements"), _NO_PATTERN),
        "reason behind a comma": _EARLIER,
        "the answer is (X)": _EARLIER,
    },
    ("lm_eval", False): {
        **dict.fromkeys(CHOICE_FORMS, _EARLIER),
        "never closed": "it searches reasoning that never closed",
    },
}


def explain(task: str, peer: str, form: str, is_right: bool) -> str | None:
    """Return why a peer says the opposite of ours on outputs of a form; None: nobody knows."""
    if task == "supergpqa":
        return _CHOICE[peer, is_right].get(form)
    if is_right:
        return _LIST if form == "box, other spelling" else None
    return _ANY_FORMULA if form in ("nothing", "never closed") else None


def report(
    whole: dict[str, float],
    cpu: dict[tuple[str, str], float],
    verdicts: dict[tuple[str, str], list[bool]],
    forms: dict[str, list[str]],
    peers: list[str],
) -> int:
    """Print the tables and the JSON object; return 1 if a difference has no explanation."""
    ratios = {peer: {task: cpu[peer, task] / cpu["ours", task] for task in TASKS} for peer in peers}
    rows = [
        [
            task,
            len(forms[task]),
            f"{whole[task]:.1f}",
            f"{cpu['ours', task]:.1f}",
            *(f"{cpu[peer, task]:.1f} ({ratios[peer][task]:.1f} x)" for peer in peers),
        ]
        for task in TASKS
    ]
    head = ["task", "outputs", "scripts.grade, wall s", "our scorer, CPU s"]
    print(table([*head, *(f"{peer}, CPU s" for peer in peers)], rows))
    differences = count_differences(verdicts, forms, peers)
    lines = [[*key[:3], number, explain(*key) or "?"] for key, number in differences.items()]
    for line, key in zip(lines, differences, strict=True):
        line[2] = f"{key[2]}: ours {'right' if key[3] else 'wrong'}"
    print(table(["task", "peer", "form", "differ", "why"], lines))
    unexplained = sum(number for key, number in differences.items() if not explain(*key))
    result = {
        "supergpqa_s": round(whole["supergpqa"], 1),
        "math500x16_s": round(whole["math500"], 1),
        **{f"ratio_vs_{peer}": round(min(ratios[peer].values()), 2) for peer in peers},
        "outputs": {task: len(each) for task, each in forms.items()},
        "ratios": {p: {t: round(r, 2) for t, r in each.items()} for p, each in ratios.items()},
        "differences": sum(differences.values()),
        "unexplained_differences": unexplained,
    }
    print(json.dumps(result))
    return 1 if unexplained else 0


def count_differences(
    verdicts: dict[tuple[str, str], list[bool]], forms: dict[str, list[str]], peers: list[str]
) -> dict[tuple[str, str, str, bool], int]:
    """Return how often a peer contradicts ours, by task, peer, form and our verdict."""
    found: Counter[tuple[str, str, str, bool]] = Counter()
    for task, each in forms.items():
        for peer in peers:
            for form, ours, other in zip(
                each, verdicts["ours", task], verdicts[peer, task], strict=True
            ):
                if ours != other:
                    found[task, peer, form, ours] += 1
    return dict(sorted(found.items()))


if __name__ == "__main__":
    sys.exit(main())
