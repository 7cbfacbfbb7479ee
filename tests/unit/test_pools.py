"""Pools and ingestion: every kind of bad row is counted, and input order does not matter."""

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError

from nt_pkg.benchmarks import math500
from nt_pkg.benchmarks._base import Item
from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.dialogue.formats import training_pair
from nt_pkg.dialogue.split_reasoning import split_reasoning
from nt_pkg.engines._base import Request
from nt_pkg.engines.replay import ReplayEngine, ReplayParams
from nt_pkg.files import json_rows, schemas
from nt_pkg.files import parquet as records
from nt_pkg.files.schemas import Row
from nt_pkg.identity import question_id as text
from nt_pkg.identity.seeds import rng
from nt_pkg.pools import micro, natural_reasoning
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts import ingest as ingestion
from nt_pkg.traces.generate import trace_row

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "gsm8k_as_natural_reasoning.jsonl"


def row(question: Any, **changes: Any) -> dict[str, Any]:
    """Return a row in the shape of NaturalReasoning."""
    responses = [{"response_model": "m", "response": f"because of {question}"}]
    return {"question": question, "reference_answer": "4", "responses": responses, **changes}


def line(question: Any, **changes: Any) -> bytes:
    """Return the row as a line of JSON."""
    return json.dumps(row(question, **changes)).encode()


def ingest(rows: Iterable[RawRow]) -> tuple[list[Row], list[Row], dict[str, int]]:
    """Return the prompts, the dropped rows and the counts."""
    kept: list[Row] = []
    dropped, counts = ingestion.ingest(rows, kept.extend)
    return kept, dropped, counts


def read(folder: Path, **params: Any) -> list[RawRow]:
    """Return all rows of a folder."""
    return list(natural_reasoning.rows(natural_reasoning.Params(**params), folder))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"question": "caf\xe9?", "reference_answer": ""}', "not_utf8"),
        (line("half", reference_answer="\ud800"), "not_utf8"),
        (line("half \ud800"), "not_utf8"),
        (line("cut off")[:-9], "unreadable"),
        (b"not json", "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b'{"question": ' + b"9" * 5000 + b"}", "unreadable"),
        (b"[1, 2]", "wrong_type"),
        (b"null", "wrong_type"),
        (b'{"reference_answer": "4", "responses": []}', "missing_question"),
        (line(None), "missing_question"),
        (line(7), "wrong_type"),
        (line("q", reference_answer=4), "wrong_type"),
        (line("q", responses="text"), "wrong_type"),
        (line("q", responses=["text"]), "wrong_type"),
        (line("q", responses=[{"response_model": "m"}]), "missing_column"),
        (b'{"question": "q", "reference_answer": "4"}', "missing_column"),
        (b'{"question": "q", "responses": []}', "missing_column"),
        (line(""), "empty"),
        (line(" \u3000\n"), "empty"),
        (line("x" * 1_000_000), "too_long"),
        (line("what is <think> for?"), "reasoning_tags"),
        (line("what is </THINK> for?"), "reasoning_tags"),
        (line("GOOD  ONE?"), "duplicate"),
    ],
)
def test_each_bad_row_is_dropped_with_its_reason(tmp_path: Path, bad: bytes, reason: str) -> None:
    """The rows around it stay, and its place and its beginning are kept."""
    lines = [line("Good one?"), bad, b"", line("Other one?")]
    (tmp_path / "full.jsonl").write_bytes(b"\n".join(lines))
    kept, dropped, counts = ingest(read(tmp_path))

    assert sorted(each["question"] for each in kept) == ["Good one?", "Other one?"]
    assert [(each["source_row"], each["reason"]) for each in dropped] == [(1, reason)]
    assert len(dropped[0]["excerpt"]) <= 200
    assert counts == {"read": 3, "kept": 2, reason: 1}
    records.write_parquet(tmp_path / "kept.parquet", schemas.PROMPTS, kept)
    records.write_parquet(tmp_path / "dropped.parquet", schemas.DROPPED, dropped)


def test_fields_land_where_the_parameters_say(tmp_path: Path) -> None:
    """NaturalReasoning's response is a second answer, GSM8K's solution a trace to replay."""
    empty = line("No response?", reference_answer="", responses=[])
    (tmp_path / "full.jsonl").write_bytes(line("One?") + b"\n" + empty + b"\n")

    assert read(tmp_path) == [
        RawRow(0, "One?", "4", "because of One?"),
        RawRow(1, "No response?"),
    ]
    assert read(tmp_path, second_answer=None, teacher_trace="responses[0].response") == [
        RawRow(0, "One?", "4", None, "because of One?"),
        RawRow(1, "No response?"),
    ]
    with pytest.raises(ValidationError):
        natural_reasoning.Params(second_answer="answers[0]")


def solution(ending: str) -> bytes:
    return line("q?", responses=[{"response_model": "m", "response": f"Long. {ending}"}])


@pytest.mark.parametrize(
    ("ending", "target"),
    [
        ("So: 72", "So: \\boxed{72}"),
        ("So: 5,000\n", "So: \\boxed{5,000}"),
        ("So: 7? So:  1/2 ", "So: 7? So: \\boxed{1/2}"),
        ("So: $\\boxed{3}$", "So: $\\boxed{3}$"),
        ("So: ", "So: "),
        ("It is 4", "It is 4"),
    ],
)
def test_final_answers_are_boxed(tmp_path: Path, ending: str, target: str) -> None:
    (tmp_path / "full.jsonl").write_bytes(solution(ending))

    [found] = read(tmp_path, teacher_trace="responses[0].response", box_after="So:")

    assert found.replay == f"Long. {target}"


@pytest.mark.parametrize("kind", ["system1", "system2"])
def test_a_student_that_repeats_its_target_is_right(tmp_path: Path, kind: str) -> None:
    """With what config/real_rows.yaml trains on, and the benchmark that it is measured with."""
    golds = ["72", "5,000", "0.5", "-3", "1/2", "$18", "99.95", "7:30", "20%"]
    study = yaml.safe_load(Path("config/real_rows.yaml").read_text())
    marker = study["teachers"]["human-solutions"]["params"]["answer_marker"]
    texts = [solution(f"{marker} {gold}") for gold in golds]
    (tmp_path / "full.jsonl").write_bytes(b"\n".join(texts))
    rows = read(tmp_path, **study["pools"]["gsm8k"]["params"])
    engine = ReplayEngine(ReplayParams(answer_marker=marker), EngineRuntime(), None)
    asked = [Request(str(each.source_row), each.question, replay=each.replay) for each in rows]
    answers = []
    for completion in engine.generate(asked, Sampling(max_tokens=100)):
        trace = trace_row(completion, 1000)
        assert trace["status"] == "ok"
        _, target = training_pair("q?", trace["reasoning"], trace["answer"], kind, 60)
        answers.append(split_reasoning(target).answer)

    [benchmark] = study["benchmarks"]
    grades = math500.grade([(Item("", "", g), a) for g, a in zip(golds, answers, strict=True)])

    assert benchmark == "math500"
    assert [grade.is_correct for grade in grades] == [True] * len(golds)


def test_files_are_read_in_name_order_up_to_max_rows(tmp_path: Path) -> None:
    """Source rows count over all files; a byte order mark and Windows line ends are no defect."""
    (tmp_path / "b.jsonl").write_bytes(line("Three?"))
    (tmp_path / "a.jsonl").write_bytes(
        b"\xef\xbb\xbf" + line("One?") + b"\r\n" + line("Two?") + b"\r\n"
    )
    found = [(each.source_row, each.question) for each in read(tmp_path)]

    assert found == [(0, "One?"), (1, "Two?"), (2, "Three?")]
    assert [each.question for each in read(tmp_path, max_rows=2)] == ["One?", "Two?"]


def test_endless_line_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is skipped to its end."""
    monkeypatch.setattr(json_rows, "MAX_LINE_BYTES", 1000)
    (tmp_path / "a.jsonl").write_bytes(line("x" * 5000) + b"\n" + line("One?") + b"\n")

    assert [each.defect for each in read(tmp_path)] == ["too_long", ""]


def test_parquet_reads_as_json_lines_do(tmp_path: Path) -> None:
    """Same rows, same defects; bytes that are no UTF-8 cost one row, not the batch."""
    for name in ("json", "parquet"):
        (tmp_path / name).mkdir()
    rows = [row("One?"), row(None), row("Two?", reference_answer="")]
    (tmp_path / "json" / "full.jsonl").write_text("\n".join(json.dumps(each) for each in rows))
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "parquet" / "0.parquet")
    expected = read(tmp_path / "json")

    assert [each for each in read(tmp_path / "parquet") if not each.defect] == [
        each for each in expected if not each.defect
    ]
    raw = pa.array([b"fine?", b"caf\xe9?", b"too?"]).cast(pa.binary()).view(pa.string())
    columns = {"question": raw, "reference_answer": raw.slice(0, 3), "responses": [[], [], []]}
    (tmp_path / "bad").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "bad" / "0.parquet")
    assert [each.defect for each in read(tmp_path / "bad")] == ["", "not_utf8", ""]


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", None])
def test_unreadable_shard_says_which_and_what_to_do(
    tmp_path: Path, damage: Callable[[bytes], bytes] | None
) -> None:
    """Half a shard is not a smaller pool."""
    path = tmp_path / "train-00000.parquet"
    pq.write_table(pa.Table.from_pylist([row(f"q{n}?") for n in range(500)]), path)
    data = bytearray(path.read_bytes())
    if damage is None:
        data[100:400] = b"\xff" * 300  # the footer is intact, a page is not
    path.write_bytes(damage(bytes(data)) if damage else bytes(data))
    with pytest.raises(ValueError, match=r"train-00000\.parquet cannot be read .* copy that again"):
        read(tmp_path)


def test_directory_without_files_is_an_error(tmp_path: Path) -> None:
    """It names the directory and the data set."""
    with pytest.raises(ValueError, match=r"no \*\.jsonl, .* or \*\.parquet .*natural_reasoning"):
        read(tmp_path)


ROWS = [row("One?"), row(None), row("Two?"), row("Thr\u00e9\u00e9 \U0001f600?")]
LINES = "\n".join(map(json.dumps, ROWS)).encode()
FORMS: dict[str, bytes] = {
    "a.jsonl": LINES,
    "a.JSONL": LINES,
    "a.Jsonl.GZ": gzip.compress(LINES),
    "sub/a.jsonl.gz": gzip.compress(LINES),
    "a.json": LINES,
    "b.json": json.dumps(ROWS).encode(),
    "c.json": b"\xef\xbb\xbf" + json.dumps(ROWS, indent=2, ensure_ascii=False).encode(),
    "d.JSON": b" \n\n[" + b",\r\n".join(LINES.split(b"\n")) + b"]\n",
    "e.json.gz": gzip.compress(json.dumps(ROWS).encode()),
    "f.jsonl": b"\r\n\r\n".join(LINES.split(b"\n")),
}


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", FORMS)
def test_json_is_read_in_every_form(
    tmp_path: Path, name: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK_BYTES", chunk)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(FORMS[name])
    (tmp_path / "manifest.json").write_text(json.dumps(ROWS))  # ours, and no rows

    found = read(tmp_path)

    assert [(each.question, each.defect) for each in found if not each.defect] == [
        (each["question"], "") for each in ROWS if each["question"]
    ]
    assert [each.defect for each in found] == ["", "missing_question", "", ""]


def test_upper_case_parquet_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([row("One?")]), tmp_path / "A.PARQUET")

    assert [each.question for each in read(tmp_path)] == ["One?"]


@pytest.mark.parametrize(
    "name", ["a.jsonl.zst", "a.csv", "a.arrow", "a.jsonl.bz2", "a.ndjson", "a.parquet.gz"]
)
def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the error if there is no other, and else in the log."""
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "info.json").write_text('{\n  "description": "rows"\n}\n')
    (tmp_path / "README.md").write_text("# Rows\n")

    with pytest.raises(ValueError, match="these cannot be read:") as found:
        read(tmp_path)
    (tmp_path / "b.jsonl").write_bytes(line("One?"))
    assert [each.question for each in read(tmp_path)] == ["One?"]

    for said in (str(found.value), caplog.text):
        assert name in said and "info.json" in said and "README" not in said


@pytest.mark.parametrize("name", ["e.json.gz", "sub/a.jsonl.gz", "b.json", "c.json"])
def test_json_that_was_truncated_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(FORMS[name][:-9])

    with pytest.raises(
        ValueError, match=rf"{Path(name).name} cannot be read as JSON .* copy that again"
    ):
        read(tmp_path)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_struct_of_lists_is_a_list_of_structs(tmp_path: Path, form: str) -> None:
    """Arrow and `datasets` store a list of structs so."""
    lists = {"response_model": ["m", "n"], "response": ["one", "two"]}
    rows = [row("One?", responses=lists), row("Two?", responses={k: [] for k in lists})]
    if form == "jsonl":
        text = "\n".join(map(json.dumps, [*rows, row("x?", responses={"response": "one"})]))
        (tmp_path / "a.jsonl").write_text(text)
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")

    found = read(tmp_path, second_answer="responses[1].response")

    assert [(each.second_answer, each.defect) for each in found[:2]] == [("two", ""), (None, "")]
    assert [each.defect for each in found[2:]] == ["wrong_type"] * (form == "jsonl")


def test_ingestion_does_not_depend_on_the_order_of_rows() -> None:
    """Also among duplicates: the lowest source row stays."""
    questions = ["One?", "one?", " ONE ?", "ONE?", "", "<think>", "Two?", "\uff34wo?", "Three?"]
    rows = [RawRow(n, question) for n, question in enumerate(questions)]
    expected = ingest(rows)
    for trial in range(20):
        rng("ingest test", trial).shuffle(rows)

        assert ingest(rows) == expected
    kept, dropped, counts = expected
    assert {each["source_row"] for each in kept} == {0, 2, 6, 8}
    assert [each["id"] for each in kept] == sorted(each["id"] for each in kept)
    assert counts == {"read": 9, "kept": 4, "duplicate": 3, "empty": 1, "reasoning_tags": 1}
    assert counts["read"] == counts["kept"] + len(dropped)


def test_pool_larger_than_memory_is_ingested(tmp_path: Path) -> None:
    """Little of it is held at a time, and what was put aside on the way is gone."""
    num_rows, answer_chars = 3000, 30_000
    rows = (
        RawRow(n, f"Question {n}?", second_answer=f"{n} " * (answer_chars // len(f"{n} ")))
        for n in range(num_rows)
    )
    ids: list[str] = []
    tracemalloc.start()
    try:
        dropped, counts = ingestion.ingest(
            rows, lambda prompts: ids.extend(each["id"] for each in prompts), tmp_path
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert counts == {"read": num_rows, "kept": num_rows} and not dropped
    assert ids == sorted(ids) and len(set(ids)) == num_rows
    assert peak < num_rows * answer_chars / 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "question",
    [
        "Stra\u00dfe \u0130MET?",
        "\ufb01ve\u00a0 \u2460",
        "\u0345\u03b1\u0301",
        "\uff2c\u0345\u03ee",
        "A\u030a e\u0301",
    ],
)
def test_normalising_twice_changes_nothing(question: str) -> None:
    """The id of a stored question is the id of its normalised text."""
    once = text.normalise_question(question)

    assert text.normalise_question(once) == once
    assert text.question_id(once) == text.question_id(question)
    assert len(text.question_id(question)) == 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Compute 2\u2075 mod 7.", "Compute 25 mod 7."),
        ("Compute 10\u2076 Hz", "Compute 106 Hz"),
        ("H\u2082O", "H2O"),
        ("x\u00b2 = 4", "x2 = 4"),
        ("2\u00bd", "21/2"),
        ("What is P(A)?", "What is p(A)?"),
        ("What is P(A)?", "What is P(a)?"),
        ("24 g of Mg", "24 g of mg"),
        ("5 MeV", "5 meV"),
        ("Is the pH 7?", "Is the PH 7?"),
        ("Co reacts", "CO reacts"),
        ("\\Delta x", "\\delta x"),
        ("Is \u039b a unit?", "Is \u03bb a unit?"),
        ("Let A be 2", "Let a be 2"),
        ("A is 5, what is B?", "a is 5, what is B?"),
        ("X in R", "x in R"),
    ],
)
def test_questions_that_ask_something_else_are_two(one: str, other: str) -> None:
    assert text.question_id(one) != text.question_id(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is  it?", "WHAT IS\tIT?"),
        ("A train leaves.", "a train leaves."),
        ("Two trains. A third leaves.", "two trains. a third leaves."),
        ("\uff37hat is \uff12+2?", "what is 2+2?"),
        ("Caf\u00e9", "cafe\u0301"),
        ("\u00c9tude", "\u00e9tude"),
        ("\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c3"),
        ("In  which", "in\u00a0which"),
        ("P(A)  and Mg", "P(A) and Mg"),
        ("\uff76\uff9e", "\u30ac"),
    ],
)
def test_questions_that_differ_in_spelling_are_one(one: str, other: str) -> None:
    assert text.question_id(one) == text.question_id(other)


@pytest.mark.parametrize("num_shards", [1, 3, 7, 4096])
def test_every_id_is_in_one_shard(num_shards: int) -> None:
    """Ranges meet without a gap, from the first id to the last, and are equally wide."""
    ranges = [text.shard_ids(shard, num_shards) for shard in range(num_shards)]

    assert ranges[0][0] == "0" * 32 and ranges[-1][1] is None
    assert [behind for _, behind in ranges[:-1]] == [first for first, _ in ranges[1:]]
    edges = [int(first, 16) for first, _ in ranges] + [16**32]
    widths = {after - before for before, after in pairwise(edges)}
    assert max(widths) - min(widths) <= 1


def test_real_rows_are_all_kept(tmp_path: Path) -> None:
    """GSM8K's training questions are clean and all different."""
    if not REAL.exists():
        pytest.skip(f"{REAL} is not on this machine")
    (tmp_path / "full.jsonl").symlink_to(REAL.resolve())
    kept, _, counts = ingest(read(tmp_path, teacher_trace="responses[0].response"))

    assert counts["read"] == 7473
    assert counts["kept"] > 7400
    assert all(each["replay"] and each["reference_answer"] for each in kept)


def test_micro_pool_is_clean_and_grows() -> None:
    """Nothing of it is dropped, and more rows only add rows."""
    few = list(micro.rows(micro.Params(num_rows=100), None))
    many = list(micro.rows(micro.Params(num_rows=400), None))

    assert many[:100] == few
    assert ingest(many)[2] == {"read": 400, "kept": 400}
    assert micro.POOL.needs_source is False
    assert natural_reasoning.POOL.needs_source is True
