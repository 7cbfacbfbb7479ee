"""GPQA-Diamond, MMLU-Pro and SuperGPQA: rows of the hub's shapes, and the traps of such tests.

Trap numbers are those of docs/benchmarks.md. Rows are made up; none is of a real benchmark.
"""

import csv
import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nt_pkg.benchmarks import _math_grading, gpqa_diamond, mmlu_pro, supergpqa
from nt_pkg.benchmarks._base import Item
from nt_pkg.benchmarks._choice import OPTION_LETTERS, extract_letter
from nt_pkg.benchmarks._questions import load_items
from nt_pkg.config.engines import Sampling
from nt_pkg.config.load import read_study
from nt_pkg.config.report import Report
from nt_pkg.engines._base import Completion, Request
from nt_pkg.evaluation.sample_and_grade import grade_samples, sample_answers
from nt_pkg.files.json_files import write_json
from nt_pkg.report.collect import collect
from nt_pkg.report.records import Study
from tests.unit import report_study
from tests.unit.growth import assert_linear

ROOT = Path(__file__).parents[2]
CASES = json.loads((ROOT / "tests/golden/benchmarks/choice_letters.json").read_text())
CHOICE = (gpqa_diamond, mmlu_pro, supergpqa)
SECRET = "zanzibar"  # a word of every made-up GPQA text
# Columns that the file has besides those that are read.
_OTHER = ("Pre-Revision Question", "Explanation", "Canary String", "Writer's Difficulty Estimate")


def gpqa_rows(num: int) -> list[dict[str, Any]]:
    """Return made-up rows with the columns of gpqa_diamond.csv."""
    return [
        {
            **dict.fromkeys(_OTHER, f"{SECRET}, two\nlines"),
            "Record ID": f"rec{n:03}",
            "Question": f"Which {SECRET} is number {n}, and\nwhy?\n",
            "Correct Answer": f"{SECRET} {n} ",
            **{f"Incorrect Answer {k}": f"{SECRET} {n}.{k}\n" for k in (1, 2, 3)},
            "High-level domain": ("Physics", "Biology")[n % 2],
            "Subdomain": "Made up",
        }
        for n in range(num)
    ]


def mmlu_rows(num: int) -> list[dict[str, Any]]:
    """Return made-up rows with the columns and types of MMLU-Pro's test split."""
    return [
        {
            "question_id": 70 + 2 * n,
            "question": f"Which is {n}?",
            "options": [f" {n}" if k == n % 3 else f"{n}.{k}" for k in range(3 + n % 8)],
            "answer": OPTION_LETTERS[n % 3],
            "answer_index": n % 3,
            "cot_content": "",
            "category": ("law", "math")[n % 2],
            "src": ("ori_mmlu-law", "stemez-Math")[n % 2],
        }
        for n in range(num)
    ]


def supergpqa_rows(num: int) -> list[dict[str, Any]]:
    """Return made-up rows with the columns and types of SuperGPQA-all.jsonl."""
    return [
        {
            "uuid": f"{n:032x}",
            "question": "Which is it?",  # a text is no key
            "options": [f"{n}.{k}" for k in range(4 + n % 7)],
            "answer": f"{n}.{n % 4}",
            "answer_letter": OPTION_LETTERS[n % 4],
            "discipline": ("Science", "Law")[n % 2],
            "field": "Theory",
            "subfield": f"Part {n % 3}",
            "difficulty": ("easy", "middle", "hard")[n % 3],
            "is_calculation": False,
        }
        for n in range(num)
    ]


def write_files(folder: Path, module: Any, rows: Sequence[dict[str, Any]]) -> Path:
    """Write rows as the hub has them and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if module is gpqa_diamond:
        with (folder / "gpqa_diamond.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(gpqa_rows(1)[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif module is mmlu_pro:
        (folder / "data").mkdir(exist_ok=True)
        pq.write_table(
            pa.Table.from_pylist(list(rows)), folder / "data/test-00000-of-00001.parquet"
        )
        pq.write_table(
            pa.Table.from_pylist(mmlu_rows(2)), folder / "data/validation-00000-of-00001.parquet"
        )
    else:
        lines = [json.dumps(row) for row in rows]
        (folder / "SuperGPQA-all.jsonl").write_text("\n".join(lines) + "\n")
    return folder


ROWS = {gpqa_diamond: gpqa_rows, mmlu_pro: mmlu_rows, supergpqa: supergpqa_rows}
EACH = pytest.mark.parametrize("module", CHOICE, ids=lambda module: module.__name__[18:])


def loaded(folder: Path, module: Any, num: int, **params: Any) -> list[Item]:
    """Return the items of `num` made-up rows."""
    found: list[Item] = module.load(
        module.Params(**params), write_files(folder, module, ROWS[module](num))
    )
    return found


@EACH
def test_rows_of_the_hub_are_read(tmp_path: Path, module: Any) -> None:
    """Stripped (trap 9), the gold option behind the gold letter, the validation split left out."""
    items = loaded(tmp_path, module, 12)
    texts = [text for item in items for text in (item.id, item.question, *item.options)]

    assert len(items) == 12
    assert texts == [text.strip() for text in texts]
    gold = {item.id: item.options[OPTION_LETTERS.index(item.gold)] for item in items}
    assert (
        gold
        == {
            gpqa_diamond: {f"rec{n:03}": f"{SECRET} {n}" for n in range(12)},
            mmlu_pro: {str(70 + 2 * n): str(n) for n in range(12)},
            supergpqa: {f"{n:032x}": f"{n}.{n % 4}" for n in range(12)},
        }[module]
    )
    assert all(gold in module.prompt(item) for item, gold in zip(items, gold.values(), strict=True))
    last = OPTION_LETTERS[len(items[0].options) - 1]
    assert f" or {last}." in module.prompt(items[0])
    assert {grade.is_correct for grade in module.BENCHMARK.grade([(i, i.gold) for i in items])} == {
        True
    }


@EACH
def test_trap_2_neither_rows_nor_their_number_change_an_item(tmp_path: Path, module: Any) -> None:
    """Options are ordered by the id, so that stored answers can be graded again."""
    items = loaded(tmp_path / "a", module, 30)
    few = loaded(tmp_path / "b", module, 30, num_questions=5)
    write_files(tmp_path / "c", module, ROWS[module](30)[::-1])

    assert few == items[:5]
    assert module.load(module.Params(), tmp_path / "c") == items


def test_trap_1_gold_letters_of_gpqa_are_near_uniform(tmp_path: Path) -> None:
    """198 of the file's size would allow 49 give or take 18; more rows allow a sharper look."""
    letters = Counter(item.gold for item in loaded(tmp_path, gpqa_diamond, 2000))

    assert sorted(letters) == list("ABCD")
    assert all(423 < count < 577 for count in letters.values())  # 500, four standard deviations


@EACH
def test_no_error_quotes_a_row(tmp_path: Path, module: Any) -> None:
    """Bad rows are refused with their place (trap 20)."""
    column = {gpqa_diamond: "Correct Answer", mmlu_pro: "src", supergpqa: "uuid"}[module]
    rows = ROWS[module](3)
    rows[1][column] = " "
    with pytest.raises(ValueError, match=f"row 2: {column} missing, empty or not text") as caught:
        module.load(module.Params(), write_files(tmp_path, module, rows))
    assert SECRET not in str(caught.value)
    with pytest.raises(ValueError, match=rf"put the file of {module.HUB} there"):
        module.load(module.Params(), tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "D"}, "the gold letter is none of its 3 options"),
        ({"options": ["x"]}, "1 options, not 2 to 10"),
        ({"options": ["x", "y", "z", "N/A", "N/A"], "answer": "D"}, "none of its 3 options"),
    ],
)
def test_options_have_to_fit(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """Padding of early revisions is no option."""
    rows = [{**mmlu_rows(1)[0], **change}]
    with pytest.raises(ValueError, match=message):
        mmlu_pro.load(mmlu_pro.Params(), write_files(tmp_path, mmlu_pro, rows))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"trap {case['trap']}: {case['note']}")
def test_letters(case: dict[str, Any]) -> None:
    """Traps 5, 6, 7, 8, 10, 11 and 18."""
    assert extract_letter(case["text"], case["num_options"]) == case["letter"]


@pytest.mark.parametrize(
    "hostile",
    [
        lambda n: "\\boxed{" * n,
        lambda n: "the answer is " * n,
        lambda n: "answer: " + "(" * n,
        lambda n: "answer" + "*" * n,
        lambda n: "answer: A" + "}" * n,
        lambda n: "answer: A" + " " * n + "x",
        lambda n: "answer" + "." * n + " is",
        lambda n: ("answer: A" + "$" * 20 + "\n") * (n // 20),
        lambda n: "\n" * n,
        lambda n: "B is correct " * (n // 13),
        lambda n: "if option b is right, " * (n // 22),
        lambda n: "\u7b54\u6848" * (n // 2),
        lambda n: "answer\n" * (n // 7),
        lambda n: "answer must " * (n // 12) + " " * n,
        lambda n: "\\boxed{A} and " * (n // 14),
    ],
    ids=lambda hostile: hostile(100)[:14],
)
def test_trap_12_work_is_linear(hostile: Callable[[int], str]) -> None:
    """Openings that are never closed."""
    assert_linear(lambda text: extract_letter(text, 10), hostile)


class Parrot:
    """Says the question back, in several ways, and fails once with it."""

    batch_size = None

    def __init__(self) -> None:
        self.identity = {"kind": "parrot"}

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        return [self._one(at, request) for at, request in enumerate(requests)]

    def _one(self, at: int, request: Request) -> Completion:
        if at == 0:
            return Completion(request.id, "", 1, 0, "error", f"no room for {request.user}")
        if at == 1:
            return Completion(request.id, f"<think> {request.user} Answer: A", 1, 9, "length")
        return Completion(request.id, f"<think> {request.user} </think>\nAnswer: A", 1, 5, "stop")


@pytest.fixture
def confidential(tmp_path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Any]:
    """Samples, grades and score of a model that repeats what it is asked."""
    items = loaded(tmp_path / "files", gpqa_diamond, 6)
    spec = {"kind": "gpqa_diamond", "mode": "think", "repeats": 2, "think_words": 9, "sampling": {}}
    samples, _ = sample_answers(spec, 0, items, Parrot(), tmp_path)
    return samples, *grade_samples("gpqa_diamond", "think", 2, items, samples)


def test_trap_20_text_of_gpqa_stays_in_the_samples(
    confidential: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Not in reasons of failures, logs, grades, score or report, although the answers hold it."""
    samples, grades, score = confidential

    assert SECRET in json.dumps(samples)
    assert next(row["error"] for row in samples if row["error"]).startswith("not shown:")
    assert SECRET not in json.dumps([row["error"] for row in samples])
    assert SECRET not in json.dumps([grades, score]) and "rec001" in json.dumps(grades)
    assert score["examples"] == [] and score["is_confidential"]
    assert SECRET not in caplog.text


def test_any_benchmark_can_be_confidential(tmp_path: Path) -> None:
    """As its entry says, in the spec of sampling and of grading; without it, text is shown."""
    items = loaded(tmp_path / "files", gpqa_diamond, 6)
    spec = {"kind": "multiple_choice", "mode": "think", "repeats": 1}
    spec |= {"think_words": 9, "sampling": {}}
    for hidden in (True, False):
        folder = tmp_path / str(hidden)
        folder.mkdir()
        own = {**spec, "confidential": True} if hidden else spec
        samples, _ = sample_answers(own, 0, items, Parrot(), folder)
        found = grade_samples("multiple_choice", "think", 1, items, samples, confidential=hidden)
        errors = [row["error"] for row in samples if row["error"]]
        assert (SECRET in json.dumps([*found, errors])) is not hidden
        assert found[1]["is_confidential"] is hidden


def test_trap_20_a_report_takes_no_example_of_a_confidential_score(tmp_path: Path) -> None:
    """Even if a score file had some."""
    invented = asdict(report_study.score("none", "none", 0, "think"))
    shown = {"question": SECRET, "reasoning": "", "answer": "A", "gold": "A", "is_correct": True}
    for name, is_confidential in (("a", True), ("b", False)):
        score = {**invented, "mode": name, "examples": [shown]}
        write_json(tmp_path / f"{name}.json", {**score, "is_confidential": is_confidential})
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    found = collect(Study("s", Report(title="T")), [], [], [], [], [], [], paths)

    assert [each.mode for each in found.samples] == ["b"]
    assert SECRET not in str(found.scores)


def test_traps_3_4_8_15_17_in_a_score(confidential: Any) -> None:
    """Reasoning is not read, an unclosed one has no answer, cut ones are counted."""
    samples, grades, score = confidential
    by_reason = {row["finish_reason"]: grade for row, grade in zip(samples, grades, strict=True)}

    assert score["truncation_rate"] == pytest.approx(1 / 12)
    assert by_reason["length"]["extracted"] is None and not by_reason["length"]["is_correct"]
    assert by_reason["stop"]["extracted"] == "A"
    assert score["no_answer_rate"] == pytest.approx(2 / 12)
    assert score["standard_error"] > 0  # over questions, however many answers each has
    assert set(score["macro"]) == {"category", "subdomain"}
    # simple-evals reads the reasoning too, so the cut one has an answer there.
    assert score["alternatives"]["simple_evals"]["no_answer_rate"] == pytest.approx(1 / 12)


def test_trap_8_a_miss_is_wrong_and_the_guess_a_variant(tmp_path: Path) -> None:
    """Of MMLU-Pro: nothing is found anywhere, so only the guess scores."""
    items = load_items("mmlu_pro", {}, write_files(tmp_path, mmlu_pro, mmlu_rows(300)))
    sample = {"repeat": 0, "text": "no idea", "completion_tokens": 2, "finish_reason": "stop"}
    samples = [{**sample, "question_id": item.id, "status": "ok", "error": None} for item in items]
    _, score = grade_samples("mmlu_pro", "no_think", 1, items, samples)

    assert (score["accuracy"], score["no_answer_rate"]) == (0, 1)
    assert score["alternatives"]["mmlu_pro_without_guess"]["accuracy"] == 0
    assert 0.08 < score["alternatives"]["mmlu_pro"]["accuracy"] < 0.26  # a guess has 0.17


def test_trap_16_missing_rows_are_not_scored_over(tmp_path: Path) -> None:
    """A row less is an error, and so is one that is not of the benchmark."""
    items = loaded(tmp_path, supergpqa, 3)
    sample = {"repeat": 0, "text": "A", "completion_tokens": 1, "finish_reason": "stop"}
    rows = [{**sample, "question_id": i.id, "status": "ok", "error": None} for i in items]
    with pytest.raises(ValueError, match="1 samples are missing"):
        grade_samples("supergpqa", "no_think", 1, items, rows[1:])
    with pytest.raises(ValueError, match="not asked for"):
        grade_samples("supergpqa", "no_think", 1, items, [*rows, {**rows[0], "question_id": "z"}])


def test_trap_13_mathematics_is_graded_in_any_thread() -> None:
    """Limits are kept by processes, so no signal has to reach this one's main thread."""
    found: dict[Any, bool] = {}
    pairs = [("5", "9^{9^{9^{9}}}"), ("\\frac{1}{2}", "0.5")]
    thread = threading.Thread(
        target=lambda: found.update(_math_grading.grade_pairs(pairs, cpu_limit_s=0.5))
    )
    thread.start()
    thread.join()

    assert found == {pairs[0]: False, pairs[1]: True}


def test_traps_14_and_21_golds_without_delimiters_parse() -> None:
    """Each of these is refused, or parsed wrongly, by some harness."""
    pairs = {
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3, \\pi/2)"): True,
        ("10{,}000", "10000"): True,
        ("p - q", "p-q"): True,
        ("x \\in [-2,7]", "[-2,7]"): True,
        ("\\text{Evelyn}", "Evelyn"): True,
        ("6 - 5i", "6-5i"): True,
        ("\\frac{3}{4}", "\\frac{3}{5}"): False,
    }

    assert {p: v for p, v in _math_grading.grade_pairs(pairs).items() if v != pairs[p]} == {}


def test_traps_15_and_19_settings_of_the_paper() -> None:
    """Repeats 24, 16, 1, 1; 0.6 / 0.95 for Llama, 0.7 / 1.0 for Qwen; greedy with top-p is none."""
    paths = [ROOT / "config" / f"{n}.yaml" for n in ("paper_benchmarks", "paper_models")]
    config = read_study(paths)
    repeats = {name: entry["repeats"] for name, entry in config["benchmarks"].items()}
    drawn = {name: Sampling(**s["sampling"]) for name, s in config["students"].items()}

    assert repeats == {"gpqa_diamond": 24, "math500": 16, "mmlu_pro": 1, "supergpqa": 1}
    assert drawn == {
        name: Sampling(
            temperature=0.6 if "llama" in name else 0.7, top_p=0.95 if "llama" in name else 1.0
        )
        for name in ("llama-3.1-8b", "qwen-2.5-7b", "llama-3.3-70b")
    }
    assert {each.max_tokens for each in drawn.values()} == {16_384}
    with pytest.raises(ValueError, match="top_p has no effect at temperature 0"):
        Sampling(temperature=0, top_p=0.9)


def test_random_bytes_never_crash() -> None:
    """Whatever a model says."""
    draw = random.Random(0)
    parts = ["answer", " is ", ":", "\\boxed{", "A", "b", "(", "}", "\n", "é", "\0", " or ", ","]
    for _ in range(3000):
        text = "".join(draw.choice(parts) for _ in range(draw.randint(0, 12)))
        assert extract_letter(text, 4) in (None, *"ABCD")


def test_a_grading_process_does_not_count_its_callers_memory() -> None:
    """`ru_maxrss` of a new process is that of its parent: workers ended after every pair."""
    code = "from nt_pkg.benchmarks._math_grading import _peak_kib; print(_peak_kib())"
    held = b"\1" * (300 << 20)
    peak = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)

    assert 1_000 < peak < len(held) >> 11
