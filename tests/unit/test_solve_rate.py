"""The share of a student's answers that are right; entries that ask a student; their jobs."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nt_pkg.annotations.label_questions import label_questions
from nt_pkg.cost.generation import PastAnswers, Workload, model_of, workload_of
from nt_pkg.engines._base import Completion, Request
from nt_pkg.files.json_files import sha256_file, write_json
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, PROMPTS
from nt_pkg.plan.inputs import Inputs
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from scripts import annotate_questions

Config = dict[str, Any]
BASE = Path(__file__).parents[2] / "nt_pkg" / "microworld" / "base"
PARAMS = {"answers": 4, "think_words": 40}


def prompt(row_id: str, reference: str | None, question: str = "") -> dict[str, Any]:
    return {
        "id": row_id,
        "question": question or f"What is {row_id}?",
        "reference_answer": reference,
    }


class Student:
    """Answers the requests to each question with the given texts, in their order."""

    def __init__(self, texts: dict[str, list[str]], error: str | None = None) -> None:
        self.texts, self.error, self.asked = texts, error, list[Request]()

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += requests
        found = []
        for request in reversed(requests):  # in an order of its own
            row_id, _, number = request.id.partition("#")
            text = self.texts[row_id][int(number)]
            error = self.error if number == "2" else None
            found.append(Completion(request.id, text, 1, 1, "error" if error else "stop", error))
        return found


def rates(prompts: list[dict[str, Any]], student: Student) -> dict[str, Any]:
    """Return the label of each row, or its reason."""
    found = label_questions("solve_rate", PARAMS, prompts, ask_student=student)
    return {r["id"]: r["error"] if r["value"] is None else json.loads(r["value"]) for r in found}


def thought(*answers: str) -> list[str]:
    return [f"<think> so </think> {answer}" for answer in answers]


@pytest.mark.parametrize(
    ("reference", "texts", "rate"),
    [
        ("July", thought("July", "july", "The answer is July.", "May"), 0.75),
        ("7", thought("7", "7.0", "\\boxed{7}", "17"), 0.75),
        ("\\frac{x}{2}", thought("x/2", "\\frac12 x", "x", "2x"), 0.5),
        ("B", thought("A", "C", "D", "E"), 0.0),
        ("red blue", thought(*["red blue"] * 4), 1.0),
        # No end of the reasoning, and nothing behind it.
        ("5", ["<think> it is 5", "<think> 5 </think>", *thought("5", "no")], 0.25),
    ],
)
def test_share_of_right_answers(reference: str, texts: list[str], rate: float) -> None:
    assert rates([prompt("a", reference)], Student({"a": texts})) == {"a": rate}


def test_only_references_that_rules_can_grade_are_asked_about() -> None:
    student = Student({"ok": thought(*"7777"), "long": thought(*"xxxx")})
    prompts = [
        prompt("ok", "7"),
        prompt("none", None),
        prompt("blank", " "),
        prompt("words", "The set is closed under sums."),
        prompt("long", "x^2 + 2 x y + y^2 = (x + y)^2"),
    ]

    found = rates(prompts, student)

    assert found == {
        "ok": 1.0,
        "none": "the row has no reference_answer",
        "blank": "the row has no reference_answer",
        "words": "a reference answer of 6 words: no rule can grade answers",
        "long": 0.0,
    }
    assert {each.id.partition("#")[0] for each in student.asked} == {"ok", "long"}


def test_a_share_of_the_questions_is_asked_wherever_they_stand() -> None:
    """Half of 400, the same in two shards as in one."""
    prompts = [prompt(f"{number}", "7") for number in range(400)]
    params = {**PARAMS, "share": 0.5}

    def asked(some: list[dict[str, Any]]) -> set[str]:
        student = Student({each["id"]: thought(*"7777") for each in some})
        found = label_questions("solve_rate", params, some, ask_student=student)
        reasons = {row["error"] for row in found}
        assert reasons == {None, "not among the share of the questions that are asked"}
        return {row["id"] for row in found if row["status"] == "ok"}

    whole = asked(prompts)
    assert 160 < len(whole) < 240
    assert asked(prompts[::2]) | asked(prompts[1::2]) == whole


def test_student_is_asked_as_it_is_trained_with_a_seed_for_each_answer() -> None:
    student = Student({"a": thought(*"7777")})

    rates([prompt("a", "7", "How many?")], student)

    user = "How many? Think carefully before answering. Use about 40 words"
    assert {(each.user, each.forced_prefix) for each in student.asked} == {(user, "<think>")}
    assert len({each.seed for each in student.asked}) == len(student.asked) == 4


def test_one_missing_answer_leaves_no_label() -> None:
    found = rates([prompt("a", "7")], Student({"a": thought(*"7777")}, "no room"))

    assert found == {"a": "no room"}


def test_rows_of_one_question_and_reference_are_asked_once() -> None:
    student = Student({"a": thought(*"7777"), "c": thought(*"8878")})
    prompts = [prompt("b", "7", "Q"), prompt("a", "7", "Q"), prompt("c", "8", "Q")]

    assert rates(prompts, student) == {"a": 1.0, "b": 1.0, "c": 0.75}
    assert len(student.asked) == 8


def test_job_asks_the_student_and_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The micro-world's student, through the script; a second start finds its answers."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(BASE, "student")
    files = {path.name: sha256_file(path) for path in Path("student").iterdir()}
    write_json(Path("student/manifest.json"), {"files": files})
    asked = "Bob drifts from Monday with ember and gale. Where does he land?"
    others = dict.fromkeys(("second_answer", "replay", "columns"))
    rows = [
        {**prompt("a", "Thursday", asked), **others, "source_row": 0},
        {**prompt("b", "in the very long run"), **others, "source_row": 1},
    ]
    write_parquet(Path("prompts.parquet"), PROMPTS, rows)
    spec = {
        "kind": "solve_rate",
        "params": {**PARAMS, "answers": 3},
        "asks": {
            "engine": "transformers",
            "engine_params": {},
            "sampling": {"temperature": 0.7, "top_p": 1.0, "max_tokens": 60},
        },
    }
    argv = ["--spec", json.dumps(spec), "--names", "{}", "--prompts", "prompts.parquet"]
    argv += ["--runtime", '{"batch": 3}', "--model", "student/manifest.json", "--out", "labels"]

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(annotate_questions, "write_parquet", fail)
        with pytest.raises(KeyboardInterrupt):
            annotate_questions.main(argv)
    [journal] = Path("work").glob("**/completions.jsonl")
    assert len(journal.read_text().splitlines()) == 3
    with monkeypatch.context() as patch:
        patch.setattr("nt_pkg.engines.transformers.TransformersEngine.generate", fail)
        assert annotate_questions.main(argv) == 0

    found = {row["id"]: row for row in read_parquet(Path("labels"), ANNOTATIONS)}
    assert json.loads(found["a"]["value"]) in (0, 1 / 3, 2 / 3, 1)
    assert found["b"]["error"] == "a reference answer of 5 words: no rule can grade answers"


# Entries of the catalogue, and their jobs.

ENTRIES: Config = {
    "surprisal": {"kind": "surprisal", "student": "micro-llama", "params": {"think_words": 40}},
    "solve_rate": {
        "kind": "solve_rate",
        "student": "micro-llama",
        "params": PARAMS,
        "sampling": {"temperature": 0.7, "max_tokens": 160},
    },
}


def with_labels(demo: Config) -> Config:
    """Add a subset for each label to the study; the last run trains on them."""
    demo["annotators"] |= json.loads(json.dumps(ENTRIES))
    chosen = {"pool": "micro", "teacher": "micro-teacher", "selector": "by_value", "size": 10}
    for name in ENTRIES:
        field = {"field": "trace"} if name == "surprisal" else {}
        demo["subsets"][name] = {**chosen, "params": {"label": name, **field}}
    demo["runs"][1]["subsets"] = list(ENTRIES)
    return demo


def entry(name: str, **keys: Any) -> Callable[[Config], None]:
    def edit(demo: Config) -> None:
        demo["annotators"][name].update(keys)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (entry("surprisal", student="llama"), "annotators.surprisal.student: unknown name 'llama'"),
        (entry("surprisal", student=None), "kind surprisal asks a student: add `student`, a name"),
        (entry("domain", student="micro-llama"), "kind keywords asks no student: remove"),
        (entry("surprisal", source={"builtin": "micro-base"}), "remove `engine` and `source`"),
        (entry("surprisal", engine="vllm"), "remove `engine` and `source`"),
        (entry("surprisal", sampling={"max_tokens": 9}), "only reads: remove `sampling`"),
        (entry("surprisal", params={}), "think_words is 3500, and formats have 40"),
        (entry("solve_rate", sampling={}), "4 answers at temperature 0 are all the same"),
        (entry("solve_rate", engine_params={"a": 1}), "engine_params without `engine`"),
    ],
)
def test_entry_that_cannot_ask_is_refused_early(
    demo: Config, edit: Callable[[Config], None], message: str
) -> None:
    edit(with_labels(demo))

    with pytest.raises(ValueError, match="the configuration has defects") as caught:
        load_study(demo)

    assert message in str(caught.value)


def test_label_that_nobody_makes_is_refused_early(demo: Config) -> None:
    with_labels(demo)["subsets"]["surprisal"]["params"]["label"] = "surprise"

    with pytest.raises(ValueError, match=r"selector by_value needs it: unknown name 'surprise'"):
        load_study(demo)


def test_jobs_of_labels_follow_their_student(demo: Config) -> None:
    """A student that is not trained is fetched; its files, and no one else's, are an input."""
    with_labels(demo)["students"]["judge"] = {"source": {"builtin": "micro-base"}}
    demo["annotators"]["surprisal"]["student"] = "judge"
    plan = Plan(load_study(demo))

    assert {"kind": "students", "name": "judge"} in plan.assets()
    assert [each["annotator"] for each in plan.annotations()].count("surprisal") == 2
    assert {each["annotator"] for each in plan.question_labels()} == {"solve_rate"}
    fetched = SimpleNamespace(output=SimpleNamespace(manifest="{kind}/{name}"))
    inputs = Inputs(plan, SimpleNamespace(fetch_asset=fetched), None)
    assert inputs.model_of_annotator("surprisal") == ["students/judge"]
    assert inputs.model_of_annotator("solve_rate") == ["students/micro-llama"]
    assert inputs.model_of_annotator("domain") == []


def test_spec_of_labels_has_what_changes_them_and_nothing_else(demo: Config) -> None:
    def specs() -> list[str]:
        plan = Plan(load_study(demo))
        return [plan.annotator_spec(name) for name in ENTRIES]

    read, solved = with_labels(demo) and specs()
    student = demo["students"]["micro-llama"]
    student["training"]["learning_rate"] = 0.5
    student["sampling"]["max_tokens"] = 12
    student["runtime"]["generation_batch"] = 3
    for name in ENTRIES:
        demo["annotators"][name]["runtime"] = {"batch": 3, "gpu": 1}
    assert specs() == [read, solved]

    student["engine_params"] = {"chat_template": "x"}
    assert specs()[0] == read
    assert specs()[1] != solved
    demo["annotators"]["solve_rate"]["sampling"]["temperature"] = 0.5
    assert json.loads(specs()[1])["asks"]["sampling"]["temperature"] == 0.5
    demo["formats"]["system2"]["think_words"] = 50
    demo["annotators"]["surprisal"]["params"] = {"think_words": 50}
    assert specs()[0] != read


def test_two_students_stand_side_by_side(demo: Config) -> None:
    with_labels(demo)["students"]["other"] = {"source": {"builtin": "micro-base"}}
    demo["annotators"]["by-other"] = {**ENTRIES["surprisal"], "student": "other"}
    demo["subsets"]["surprisal"]["params"] = {
        "label": "by-other",
        "field": "trace",
        "rule": "lowest",
    }

    plan = Plan(load_study(demo))

    assert plan.requires("surprisal") == ["by-other"]
    assert "surprisal" not in {each["annotator"] for each in plan.annotations()}


def test_work_of_labels_is_known_before_they_run(demo: Config, tmp_path: Path) -> None:
    study, answers = load_study(with_labels(demo)), PastAnswers(tmp_path)
    shard = {"pool": "micro", "shard": "0", "num_shards": "2"}
    reads = {**shard, "teacher": "micro-teacher", "annotator": "surprisal"}
    solves = {**shard, "annotator": "solve_rate"}

    read = workload_of(study, "annotate", reads, tmp_path, answers)

    assert (read.count, read.new_tokens) == (3000, 0)
    assert read.prompt_tokens > 80
    assert workload_of(study, "annotate_questions", solves, tmp_path, answers) == Workload(
        12_000, 80, 160
    )
    assert model_of(study, reads).name == "micro-llama"
