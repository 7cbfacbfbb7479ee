"""Row schemas are checked on write and on read."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nt_pkg.files import json_files, schemas
from nt_pkg.files import parquet as records
from nt_pkg.identity.seeds import rng

ROW: dict[str, Any] = {
    "id": "a",
    "status": "ok",
    "reasoning": "r",
    "answer": "\u00e9",
    "prompt_tokens": 1,
    "completion_tokens": 2,
    "finish_reason": "stop",
    "error": None,
}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"

    records.write_parquet(path, schemas.TRACES, [ROW, {**ROW, "id": "b"}], {"pool": "p"})

    assert records.read_parquet(path, schemas.TRACES) == [ROW, {**ROW, "id": "b"}]
    assert records.read_names(path) == {"pool": "p"}
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    """A selection that picks the same ids must not rerun what follows."""
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        records.write_parquet(path, schemas.TRACES, [ROW] * 3, {"b": "1", "a": "2"})

    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_stream_is_written_and_checked_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never held as a whole, and an error counts rows from its beginning."""
    monkeypatch.setattr(records, "ROW_GROUP_ROWS", 4)
    path = tmp_path / "x.parquet"
    rows = [{**ROW, "id": str(n)} for n in range(8)]

    for num in (4, 7, 8):
        records.write_parquet(path, schemas.TRACES, (row for row in rows[:num]))

        assert records.read_parquet(path, schemas.TRACES) == rows[:num]
        assert pq.ParquetFile(path).num_row_groups == -(-num // 4)
    with pytest.raises(ValueError, match="row 8 has columns"):
        records.write_parquet(path, schemas.TRACES, (row for row in [*rows, {"id": "8"}]))
    assert records.read_parquet(path, schemas.TRACES) == rows


def test_stream_reads_what_is_wanted_and_refuses_another_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "STREAM_ROWS", 2)
    path = tmp_path / "x.parquet"
    rows = [{**ROW, "id": str(n)} for n in range(7)]
    records.write_parquet(path, schemas.TRACES, rows)

    for first, behind, wanted in [("", None, rows), ("2", "5", rows[2:5]), ("6", None, rows[6:]),
                                  ("", "0", []), ("7", None, [])]:  # fmt: skip
        assert list(records.stream_parquet(path, schemas.TRACES, first, behind)) == wanted
    with pytest.raises(
        ValueError, match="not written by this version of this project; these columns"
    ):
        list(records.stream_parquet(path, schemas.PROMPTS))


def test_stream_reads_only_the_row_groups_of_its_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    rows = [{**ROW, "id": f"{n:02}"} for n in range(40)]
    records.write_parquet(path, schemas.TRACES, rows, group_rows=10)
    asked: list[list[int]] = []
    read = pq.ParquetFile.iter_batches

    def iter_batches(self: pq.ParquetFile, size: int, row_groups: list[int], **given: Any) -> Any:
        asked.append(row_groups)
        return read(self, size, row_groups=row_groups, **given)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)

    assert list(records.stream_parquet(path, schemas.TRACES, "10", "20")) == rows[10:20]
    assert list(records.stream_parquet(path, schemas.TRACES, "19", "31")) == rows[19:31]
    assert asked == [[1], [1, 2, 3]]


def test_stream_does_not_hold_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows as random as these do not get smaller by compression."""
    monkeypatch.setattr(records, "ROW_GROUP_ROWS", 100)
    monkeypatch.setattr(records, "STREAM_ROWS", 50)
    path = tmp_path / "x.parquet"
    draw = rng("stream test")
    rows = ({**ROW, "id": str(n), "reasoning": draw.randbytes(10_000).hex()} for n in range(2000))
    records.write_parquet(path, schemas.TRACES, rows)
    held = []
    before = pa.total_allocated_bytes()
    for _ in records.stream_parquet(path, schemas.TRACES):
        held.append(pa.total_allocated_bytes() - before)

    assert len(held) == 2000
    assert path.stat().st_size > 15e6
    assert max(held) < 10e6


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"

    records.write_parquet(path, schemas.EXAMPLES, [])

    assert records.read_parquet(path, schemas.EXAMPLES) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": None}, "column 'id' must not be null"),
        ({"extra": 1}, "row 1 has columns"),
        ({"prompt_tokens": "7"}, "does not fit"),
        ({"prompt_tokens": 1.5}, "does not fit"),
        ({"prompt_tokens": True}, "does not fit"),
        ({"prompt_tokens": 2**70}, "does not fit"),
        ({"answer": 3}, "does not fit"),
        ({"answer": "\ud800"}, "does not fit"),
    ],
)
def test_bad_row_is_refused_and_the_old_file_stays(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "x.parquet"
    records.write_parquet(path, schemas.TRACES, [ROW])

    with pytest.raises(ValueError, match=rf"x\.parquet.*{message}"):
        records.write_parquet(path, schemas.TRACES, [ROW, {**ROW, **changes}])

    assert records.read_parquet(path, schemas.TRACES) == [ROW]


def test_missing_column_is_refused(tmp_path: Path) -> None:
    row = {key: value for key, value in ROW.items() if key != "error"}

    with pytest.raises(ValueError, match="row 0 has columns"):
        records.write_parquet(tmp_path / "x.parquet", schemas.TRACES, [row])


@pytest.mark.parametrize("keep", [0, 3, 0.5, -1])
def test_cut_off_file_is_named(tmp_path: Path, keep: float) -> None:
    """Nothing, less than the magic number, half, all but the last byte."""
    path = tmp_path / "x.parquet"
    records.write_parquet(path, schemas.TRACES, [ROW], {"pool": "p"})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])

    with pytest.raises(ValueError, match=r"x\.parquet cannot be read.*Move it elsewhere and run"):
        records.read_parquet(path, schemas.TRACES)
    with pytest.raises(ValueError, match=r"x\.parquet cannot be read.*Move it elsewhere and run"):
        records.read_names(path)


def test_missing_file_stays_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        records.read_parquet(tmp_path / "x.parquet", schemas.TRACES)


def test_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    records.write_parquet(path, schemas.DROPPED, [])

    with pytest.raises(
        ValueError, match=r"not written by(?s:.*)  reason: string, not null, expected absent"
    ):
        records.read_parquet(path, schemas.TRACES)


def test_nullable_file_is_not_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    loose = pa.schema([pa.field(f.name, f.type) for f in schemas.TRACES])
    pq.write_table(pa.Table.from_pylist([{**ROW, "id": None}], schema=loose), path)

    with pytest.raises(ValueError, match="expected"):
        records.read_parquet(path, schemas.TRACES)


def test_a_file_without_nulls_may_stand_where_some_may_be(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    strict = pa.schema([field.with_nullable(False) for field in schemas.GRADES])
    row = {"question_id": "q", "repeat": 0, "answer": "", "extracted": "a", "is_correct": True}
    pq.write_table(pa.Table.from_pylist([row], schema=strict), path)

    assert records.read_parquet(path, schemas.GRADES) == [row]


def test_file_without_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    records.write_parquet(path, schemas.TRACES, [ROW])

    with pytest.raises(ValueError, match=r"x\.parquet was not .* it does not say"):
        records.read_names(path)


def shards(folder: Path, *shards_ids: str) -> list[Path]:
    """Write shards of rows, each with the ids that are the letters of a word."""
    paths = [folder / f"{at}-{ids}" for at, ids in enumerate(shards_ids)]
    for path, ids in zip(paths, shards_ids, strict=True):
        rows = [{**ROW, "id": each} for each in ids]
        records.write_parquet(path, schemas.TRACES, rows, group_rows=2)
    return paths


def rows_of(paths: list[Path], ids: str) -> str:
    """Return the ids of the rows that are found, "-" for each that is not."""
    wanted = pa.array(list(ids), pa.string())
    found = list(records.rows_of(paths, schemas.TRACES, wanted, ["id", "answer"]))
    assert all(row is None or row.keys() == {"id", "answer"} for row in found)
    return "".join(row["id"] if row else "-" for row in found)


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_each_wanted_id_has_its_row_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """However the rows are spread over shards and batches, and in whichever order shards come."""
    monkeypatch.setattr(records, "_BATCH_ROWS", batch)
    whole = shards(tmp_path, "abdefhijk")
    parts = shards(tmp_path, "fhi", "", "abde", "jk")

    for ids in ("abdefhijk", "adgk", "c", "z", "", "0abz"):
        expected = "".join(each if each in "abdefhijk" else "-" for each in ids)
        assert rows_of(whole, ids) == expected
        assert rows_of(parts, ids) == expected
    assert rows_of([], "ab") == "--"


def test_rows_of_shards_in_disorder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0-ba was not .*: id a is behind b.*run the same"):
        rows_of(shards(tmp_path, "ba"), "ab")
    with pytest.raises(ValueError, match=r"id b is behind c"):
        rows_of(shards(tmp_path, "ac", "bd"), "abcd")


def test_id_in_two_shards_is_refused(tmp_path: Path) -> None:
    for name in "ab":
        records.write_parquet(tmp_path / name, schemas.TRACES, [ROW])

    with pytest.raises(ValueError, match="id a is in two of 2 shards"):
        rows_of([tmp_path / "a", tmp_path / "b"], "a")
    with pytest.raises(ValueError, match="id a is in two of 2 shards"):
        records.read_columns([tmp_path / "a", tmp_path / "b"], schemas.TRACES, ["id"])


def test_columns_of_shards_come_ordered_by_id(tmp_path: Path) -> None:
    paths = [tmp_path / "x", tmp_path / "y"]
    records.write_parquet(paths[0], schemas.TRACES, [{**ROW, "id": i} for i in "da"])
    records.write_parquet(paths[1], schemas.TRACES, [{**ROW, "id": "b", "status": "failed"}])

    found = records.read_columns(paths, schemas.TRACES, ["id", "status"])

    assert found.to_pydict() == {"id": ["a", "b", "d"], "status": ["ok", "failed", "ok"]}
    with pytest.raises(ValueError, match="Move it elsewhere and run the same command again"):
        records.read_columns(paths, schemas.PROMPTS, ["id"])


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("\ud83d", "\ufffd"),
        ("a\ude00b", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        (["\ud83d", 1, None], ["\ufffd", 1, None]),
        ({"\ud83d": {"x": ["\udfff"]}}, {"\ufffd": {"x": ["\ufffd"]}}),
        ("\U0001f600 \x00 \ufffe", "\U0001f600 \x00 \ufffe"),
        (True, True),
        (1.5, 1.5),
    ],
    ids=ascii,
)
def test_half_a_character_is_repaired(value: object, stored: object) -> None:
    assert json_files.storable(value) == stored
    json.dumps(json_files.storable(value), ensure_ascii=False).encode()


def test_texts_of_several_shards_may_have_more_than_2_gib(tmp_path: Path) -> None:
    """Offsets of 32 bits end there; 1.7 million vectors have more."""
    row = {"id": "a", "status": "ok", "value": '"x"', "error": None}
    records.write_parquet(tmp_path / "a", schemas.ANNOTATIONS, [row])

    table = records.read_columns([tmp_path / "a"], schemas.ANNOTATIONS, ["id", "value"])

    assert [str(field.type) for field in table.schema] == ["large_string"] * 2
