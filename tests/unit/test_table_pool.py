"""Pools of kind `table`: every form of file gives the same rows, and nothing is lost silently."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from nt_pkg.dialogue.split_reasoning import split_reasoning
from nt_pkg.pools import table
from nt_pkg.pools._base import RawRow
from nt_pkg.prompts.ingest import ingest

Rows = list[dict[str, Any]]
ROWS: Rows = [
    {"q": "Find x.", "why": "Okay.", "a": "It is 4.", "gold": "4", "level": "hard"},
    {"q": "Caf\u00e9, or\nwhat?", "why": 'A "b", c.', "a": "\u8336", "gold": "x", "level": "easy"},
    {"q": "Find y.", "why": "Hm.", "a": "5", "gold": "5", "level": "hard"},
]  # fmt: skip
PARAMS = {"question": "q", "reasoning": "why", "answer": "a", "reference": "gold"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_WORK", str(tmp_path / "work"))
    (tmp_path / "files").mkdir()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


def read(folder: Path, **params: Any) -> list[RawRow]:
    return list(table.rows(table.Params(**params), folder))


def jsonl(rows: Rows) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def separated(rows: Rows, mark: str = ",") -> bytes:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    lines = [mark.join(rows[0]), *(mark.join(map(cell, row.values())) for row in rows)]
    return "\ufeff".encode() + "\r\n".join(lines).encode() + b"\r\n"


def zst(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    half = len(data) // 2  # two frames, and sizes that the file does not state
    return b"".join(
        zstandard.ZstdCompressor(write_content_size=False).compress(part)
        for part in (data[:half], data[half:])
    )


def arrow(rows: Rows, new: Callable[..., Any]) -> bytes:
    found = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    with new(sink, found.schema) as writer:
        writer.write_table(found)
    return bytes(sink.getvalue())


def parquet(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


FORMS: dict[str, Callable[[Rows], bytes]] = {
    "a.jsonl": jsonl,
    "a.ndjson": jsonl,
    "a.json": lambda rows: json.dumps(rows, indent=2).encode(),
    "b.json": jsonl,
    "a.csv": separated,
    "deep/a.tsv": lambda rows: separated(rows, "\t"),
    "a.JSONL.gz": lambda rows: gzip.compress(jsonl(rows)),
    "a.csv.gz": lambda rows: gzip.compress(separated(rows)),
    "a.jsonl.zst": lambda rows: zst(jsonl(rows)),
    "a.json.zst": lambda rows: zst(json.dumps(rows).encode()),
    "a.csv.zst": lambda rows: zst(separated(rows)),
    "a.parquet": parquet,
    "stream.arrow": lambda rows: arrow(rows, pa.ipc.new_stream),
    "file.arrow": lambda rows: arrow(rows, pa.ipc.new_file),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_file_gives_the_same_rows(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(FORMS[name](ROWS))
    (folder / "manifest.json").write_text(json.dumps(ROWS))  # ours, and no rows
    (folder / "state.json").write_text('{\n "about": "rows"\n}\n')

    found = read(folder, **PARAMS)

    assert [each.defect for each in found] == ["", "", ""]
    assert [each.source_row for each in found] == [0, 1, 2]
    assert [(each.question, each.reference_answer) for each in found] == [
        (row["q"], row["gold"]) for row in ROWS
    ]
    assert [split_reasoning(each.replay or "")[:3] for each in found] == [
        (row["why"], row["a"], True) for row in ROWS
    ]
    assert [json.loads(each.columns or "") for each in found] == [
        {"level": row["level"]} for row in ROWS
    ]


@pytest.mark.parametrize("name", [name for name in FORMS if name != "a.parquet"])
def test_file_that_was_cut_is_named_or_its_row_counted(folder: Path, name: str) -> None:
    """Half a file is never a smaller table without a word."""
    (folder / name).parent.mkdir(exist_ok=True)
    many = [{**row, "q": f"{row['q']} {n}"} for n in range(50) for row in ROWS]
    data = FORMS[name](many)
    (folder / name).write_bytes(data[: len(data) * 2 // 3])

    try:
        found = read(folder, **PARAMS)
    except ValueError as error:
        assert f"{Path(name).name} cannot be read" in str(error)
        assert "copy that again" in str(error)
    else:
        assert found[-1].defect == "unreadable"
        assert not any(each.defect for each in found[:-1])


@pytest.mark.parametrize(
    ("name", "data", "defects"),
    [
        ("a.jsonl", b'{"q": "one"}\n{"q": "tw\n{"q": "caf\xe9"}\n7\n{"q": "four"}\n',
         ["", "unreadable", "not_utf8", "wrong_type", ""]),
        ("a.csv", b'q,n\none,1\ntwo\n"caf\xe9",3\n"a"b,4\n\nfive,5,5\nsix,6\n',
         ["", "unreadable", "not_utf8", "unreadable", "unreadable", ""]),
    ],
)  # fmt: skip
def test_bad_line_costs_one_row(folder: Path, name: str, data: bytes, defects: list[str]) -> None:
    (folder / name).write_bytes(data)

    assert [each.defect for each in read(folder, question="q")] == defects


def test_bytes_that_are_no_utf8_cost_one_row_of_parquet(folder: Path) -> None:
    raw = pa.array([b"fine?", b"caf\xe9?", b"too?"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"q": raw}), folder / "a.parquet")

    assert [each.defect for each in read(folder, question="q")] == ["", "not_utf8", ""]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "file.arrow"])
@pytest.mark.parametrize("key", ["question", "reference", "second_answer", "columns"])
def test_wrong_column_lists_those_that_are_there(folder: Path, name: str, key: str) -> None:
    (folder / name).write_bytes(FORMS[name](ROWS))
    value = ["wrong"] if key == "columns" else "wrong"

    with pytest.raises(
        ValueError, match=r"no column wrong in .*; there are q, why, a, gold, level"
    ):
        read(folder, **{**PARAMS, key: value, "max_rows": 2})


def test_column_that_few_rows_of_json_have_is_no_mistake(folder: Path) -> None:
    rows = [{"q": f"{n}?"} for n in range(5)]
    (folder / "a.jsonl").write_bytes(jsonl([*rows, {"q": "x?", "gold": 4}]))

    found = read(folder, question="q", reference="gold")

    assert [each.reference_answer for each in found] == [None] * 5 + ["4"]


OPENAI = [{"role": "user", "content": "Find x."}, {"role": "assistant", "content": "T"}]
SHAREGPT = [{"from": "human", "value": "Find x."}, {"from": "gpt", "value": "T"}]


def _parts(content: Any) -> Any:
    """Return content as a list: a column of Parquet has one type."""
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


@pytest.mark.parametrize(
    ("turns", "replay"),
    [
        (OPENAI, "T"),
        (SHAREGPT, "T"),
        ([{"role": "system", "content": "Be brief."}, *OPENAI], "T"),
        ([{"role": "developer", "content": "Be brief."}, *OPENAI], "T"),
        ([{"from": "system", "value": "Be brief."}, *SHAREGPT], "T"),
        (OPENAI[:1], None),
        ([{"role": "user", "content": [{"type": "text", "text": "Find "},
                                       {"type": "text", "text": "x."}]}, OPENAI[1]], "T"),
        ([OPENAI[0], {"role": "assistant", "content": "4", "reasoning_content": "Okay."}],
         "<think>\nOkay.\n</think>\n\n4"),
        ([OPENAI[0], {"role": "assistant", "content": "4", "reasoning": "Okay."}],
         "<think>\nOkay.\n</think>\n\n4"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_conversations_in_both_shapes(
    folder: Path, name: str, turns: Rows, replay: str | None
) -> None:
    if name == "a.parquet" and isinstance(turns[0].get("content"), list):
        turns = [{**turn, "content": _parts(turn["content"])} for turn in turns]
    (folder / name).write_bytes(FORMS[name]([{"talk": turns, "id": 7}]))

    [found] = read(folder, messages="talk")

    assert (found.question, found.replay, found.defect) == ("Find x.", replay, "")
    assert json.loads(found.columns or "") == {"id": 7}


def test_conversations_of_csv_are_json(folder: Path) -> None:
    rows = [{"talk": json.dumps(OPENAI)}, {"talk": "Hello."}]
    (folder / "a.csv").write_bytes(separated(rows))

    assert [(each.replay, each.defect) for each in read(folder, messages="talk")] == [
        ("T", ""),
        (None, "wrong_type"),
    ]


@pytest.mark.parametrize(
    ("turns", "defect"),
    [
        (None, "wrong_type"),
        ([], "missing_question"),
        (OPENAI[1:], "missing_question"),
        ([{"role": "user", "content": None}], "missing_question"),
        (OPENAI * 2, "several_turns"),
        ([*OPENAI[:1], {"role": "tool", "content": "4"}], "several_turns"),
        ([{"role": "user"}], "missing_column"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "wrong_type"),
    ],
)
def test_bad_conversation_has_its_reason(folder: Path, turns: Any, defect: str) -> None:
    (folder / "a.jsonl").write_bytes(jsonl([{"talk": OPENAI}, {"talk": turns}]))

    assert [each.defect for each in read(folder, messages="talk")] == ["", defect]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "give either `question` or `messages`"),
        ({"question": "q", "messages": "m"}, "give either `question` or `messages`"),
        ({"question": "q", "answer": "a"}, "go together"),
        ({"question": "q", "trace": "t", "reasoning": "r", "answer": "a"}, "trace and reasoning"),
        ({"messages": "m", "trace": "t"}, "messages and trace all name the trace"),
    ],
)
def test_columns_that_contradict_each_other(params: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        table.Params(**params)


def test_columns_limit_what_is_kept(folder: Path) -> None:
    (folder / "a.parquet").write_bytes(parquet([{**row, "more": 1.5} for row in ROWS]))

    def kept(**params: Any) -> Any:
        return json.loads(read(folder, question="q", **params)[0].columns or "null")

    assert kept(trace="a") == {"why": "Okay.", "gold": "4", "level": "hard", "more": 1.5}
    assert kept(columns=["level", "more"]) == {"level": "hard", "more": 1.5}
    assert kept(columns=[]) is None


def test_rows_of_one_question_can_be_several_answers_to_it(folder: Path) -> None:
    """By default one stays; with `all` those with different traces do, under ids of their own."""
    first, other = ROWS[0], ROWS[1]
    again = {**first, "q": " find  x. ", "why": "Let me see."}
    (folder / "a.jsonl").write_bytes(jsonl([first, again, other, first, {**again, "a": "No."}]))

    def ingested(**params: Any) -> tuple[list[int], dict[int, str]]:
        kept: list[Any] = []
        dropped, counts = ingest(read(folder, **PARAMS, **params), kept.extend)
        assert len(kept) == counts["kept"] == len({row["id"] for row in kept})
        return (
            sorted(row["source_row"] for row in kept),
            {row["source_row"]: row["reason"] for row in dropped},
        )

    assert ingested() == ([0, 2], {1: "duplicate", 3: "duplicate", 4: "duplicate"})
    assert ingested(same_question="all") == ([0, 1, 2, 4], {3: "duplicate"})


def test_folder_without_a_table_is_an_error(folder: Path) -> None:
    (folder / "notes.txt").write_text("x")

    with pytest.raises(ValueError, match=r"no \*\.jsonl, .*it has notes\.txt"):
        read(folder, question="q")


def test_nothing_is_kept_outside_of_the_work_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (folder / "a.jsonl").write_bytes(jsonl(ROWS))
    (folder / "b.parquet").write_bytes(parquet(ROWS))

    assert len(read(folder, **PARAMS)) == 6
    assert not (tmp_path / "home").exists()
    assert (tmp_path / "work" / "caches" / "datasets").is_dir()
