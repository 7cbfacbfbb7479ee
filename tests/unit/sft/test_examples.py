"""Which examples a subset gives, in which order, and how they are counted."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nt_pkg.config.students import Format, Training
from nt_pkg.dialogue.formats import target_kind, training_pair
from nt_pkg.dialogue.rendering import render
from nt_pkg.files import parquet, schemas
from nt_pkg.files.json_files import read_json, sha256_file, write_json
from nt_pkg.identity.seeds import rng
from nt_pkg.packing.steps import Steps
from nt_pkg.sft import data
from nt_pkg.sft import examples as file
from nt_pkg.sft.examples import Examples
from nt_pkg.sft.preview import preview
from nt_pkg.sft.selected import Selected, selected_rows
from tests.unit.sft.templates import MICRO, tokenizer_of

pytestmark = pytest.mark.filterwarnings("ignore")

Build = Callable[..., tuple[Examples, dict[str, Any]]]


def names(examples: Examples) -> list[str]:
    return [examples.name(n) for n in range(len(examples))]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., tuple[Examples, dict[str, Any]]]:
    """Return a function that builds examples of rows of which number n has a trace of n words."""

    def built(form: Format, num: int = 10, **limits: int) -> tuple[Examples, dict[str, Any]]:
        rows = {
            f"r{n}": Selected(f"r{n}", "Where?", " ".join(["May"] * n), "So", n % 2 == 0)
            for n in range(num)
        }
        place, out = tmp_path / f"work{len(list(tmp_path.iterdir()))}", tmp_path / "examples.arrow"
        place.mkdir()
        counts = data.build_examples(
            MICRO,
            form,
            Training(**limits),
            0,
            pa.array(list(rows)),
            lambda ids: (rows[each.as_py()] for each in ids),
            place,
            out,
        )
        return Examples(out), counts

    return built


SYSTEM2 = Format(kind="system2", think_words=40)


def test_examples_are_counted_and_ordered(build: Build) -> None:
    found, counts = build(SYSTEM2)

    assert names(found) == [f"r{n}" for n in range(10)]
    responses = found.loss_lengths.tolist()
    # <think>, n words, </think>, the answer, the end.
    assert responses == [n + 4 for n in range(10)]
    assert counts["num_examples"] == counts["num_system2"] == 10
    assert counts["num_response_tokens"] == sum(responses)
    assert counts["num_tokens"] == sum(len(found.ids(n)) for n in range(10))
    assert counts["longest_tokens"] == max(found.lengths)
    assert counts["dropped"] == {}
    assert counts["preview"]["loss"].replace(" ", "").endswith("</think>So<|end|>")


def test_long_responses_are_left_out_whole_and_counted(build: Build) -> None:
    found, counts = build(SYSTEM2, max_response_tokens=9)

    assert names(found) == [f"r{n}" for n in range(6)]
    assert counts["dropped"] == {"response over 9 tokens": 4}
    assert all(found.ids(n)[-1] == 3 for n in range(6))  # none is cut


def test_long_examples_are_left_out_and_counted(build: Build) -> None:
    whole = int(max(build(SYSTEM2)[0].lengths))

    found, counts = build(SYSTEM2, max_example_tokens=whole - 3)

    assert len(found) == 7
    assert counts["dropped"] == {f"example over {whole - 3} tokens": 3}


def test_nothing_left_is_an_error(build: Build, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"all 10 examples were left out.*raise the limits"):
        build(SYSTEM2, max_response_tokens=3)
    assert not (tmp_path / "examples.arrow").exists()


def test_difficulty_mix_of_examples(build: Build) -> None:
    found, counts = build(Format(kind="difficulty_mix"))

    assert [found.target(n) for n in range(10)] == ["system2", "system1"] * 5
    assert found.numbers_of("system2") == [0, 2, 4, 6, 8]
    assert counts["num_system2"] == 5
    assert {int(found.loss_lengths[n]) for n in found.numbers_of("system1")} == {2}


def test_preview_marks_what_bears_loss(build: Build) -> None:
    found, _ = build(Format(kind="difficulty_mix", think_words=40))
    first = Steps(found.lengths, found.loss_lengths, Training(tokens_per_step=64), 0)[0]

    text = preview(tokenizer_of("micro"), found, first, 0)

    marked = [line for line in text.splitlines() if "[[" in line and line.startswith("<s>")]
    assert len(marked) == 10 + len(first.examples)  # five of each kind, and the step
    for line in marked:
        prompt, _, rest = line.partition("[[")
        assert "Where?" in prompt
        assert prompt.endswith("<|assistant|>")
        assert rest.endswith("So <|end|>]]")
        assert ("<think>" in rest) == ("Think" in prompt)
    assert f"first step: {len(first.examples)} documents, {first.num_tokens} tokens" in text


ROWS = 37
TRACE = {
    "status": "ok", "prompt_tokens": 1, "completion_tokens": 1, "finish_reason": "stop",
    "error": None,
}  # fmt: skip
PROMPT = {
    "reference_answer": None,
    "second_answer": None,
    "replay": None,
    "columns": None,
    "source_row": 0,
}


def pool(num: int) -> dict[str, list[dict[str, Any]]]:
    """Return prompts, traces and labels of a pool, ordered by id; some labels are missing."""
    draw = rng("pool")
    ids = sorted(f"{draw.getrandbits(64):016x}" for _ in range(num))
    words = ["May", "Where", "So", "Take", "does"]
    return {
        "prompts": [
            {"id": each, "question": " ".join(draw.choices(words, k=3)), **PROMPT} for each in ids
        ],
        "traces": [
            {
                "id": each,
                "reasoning": " ".join(draw.choices(words, k=draw.randint(1, 60))),
                "answer": draw.choice(words),
                **TRACE,
            }
            for each in ids
        ],
        "labels": [
            {"id": each, "status": "ok", "value": json.dumps(draw.random() < 0.5), "error": None}
            for each in ids
        ],
    }


def test_streamed_examples_are_those_made_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However rows are spread over shards, batches of reading, of tokenising and of the file."""
    given, form, limits = pool(ROWS), Format(kind="difficulty_mix", think_words="per_trace"), 50
    chosen = [row["id"] for row in given["prompts"][::2]]
    tokenizer, expected, dropped = tokenizer_of("micro"), [], 0
    for at in range(0, ROWS, 2):
        prompt, trace, label = (given[name][at] for name in ("prompts", "traces", "labels"))
        target = target_kind(form.kind, form.p, 0, prompt["id"], label["value"] == "false")
        [(ids, cut)] = render(
            tokenizer,
            [training_pair(prompt["question"], trace["reasoning"], trace["answer"], target,
                           form.think_words)],
        )  # fmt: skip
        if len(ids) - cut > limits:
            dropped += 1
        else:
            expected.append((prompt["id"], target, ids, cut))

    found = {}
    for num_shards, rows in [(1, 1000), (1, 4), (5, 3), (ROWS, 1)]:
        monkeypatch.setattr(parquet, "_BATCH_ROWS", rows)
        monkeypatch.setattr(data, "_TOGETHER", rows)
        monkeypatch.setattr(file, "BATCH_TOKENS", 10 * rows)
        folder = tmp_path / f"{num_shards}-{rows}"
        shards = {
            name: [folder / f"{name}-{n}" for n in range(num_shards)]
            for name in ("traces", "labels")
        }
        for name, paths in shards.items():
            schema = {"traces": schemas.TRACES, "labels": schemas.ANNOTATIONS}[name]
            for at, path in enumerate(paths):
                part = given[name][at * ROWS // num_shards : (at + 1) * ROWS // num_shards]
                parquet.write_parquet(path, schema, part, group_rows=rows)
        prompts, out = folder / "prompts", folder / "out.arrow"
        parquet.write_parquet(prompts, schemas.PROMPTS, given["prompts"], group_rows=rows)
        monkeypatch.setattr(data, "_PART", 7 * rows)
        counts = data.build_examples(
            MICRO,
            form,
            Training(max_response_tokens=limits),
            0,
            pa.array(chosen),
            partial(
                selected_rows,
                prompts=prompts,
                traces=shards["traces"],
                labels=shards["labels"],
            ),
            folder,
            out,
        )
        assert counts["dropped"] == {f"response over {limits} tokens": dropped}
        examples = Examples(out)
        found[num_shards, rows] = counts, [
            (examples.name(n), examples.target(n), examples.ids(n).tolist(),
             int(examples.num_prompt_tokens[n]))
            for n in range(len(examples))
        ]  # fmt: skip

    first, *others = found.values()
    assert first[1] == expected
    assert 0 < dropped < len(expected)
    assert 0 < first[0]["num_system2"] < len(expected)
    assert all(each == first for each in others)


def test_killed_build_goes_on_at_the_part_that_it_was_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second call asks for no finished row, and ends with the same file."""
    monkeypatch.setattr(data, "_PART", 4)
    ids = pa.array([f"r{n}" for n in range(10)])
    asked: list[str] = []

    def select(some: pa.Array, dies_at: str = "") -> Any:
        for row_id in some.to_pylist():
            asked.append(row_id)
            if row_id == dies_at:
                raise KeyboardInterrupt
            yield Selected(row_id, "Where?", "May " * int(row_id[1]), "So")

    def build(name: str, select: Any) -> dict[str, Any]:
        work = tmp_path / name
        work.mkdir(exist_ok=True)
        limits = Training(max_response_tokens=9)
        return data.build_examples(MICRO, SYSTEM2, limits, 0, ids, select, work, work / "out")

    expected = build("whole", select)
    with pytest.raises(KeyboardInterrupt):
        build("killed", partial(select, dies_at="r6"))
    assert not (tmp_path / "killed" / "out").exists()
    asked.clear()

    assert build("killed", select) == expected
    assert asked == [f"r{n}" for n in range(4, 10)]
    assert expected["dropped"] == {"response over 9 tokens": 4}
    assert sha256_file(tmp_path / "killed" / "out") == sha256_file(tmp_path / "whole" / "out")


def test_row_without_its_trace_is_named(tmp_path: Path) -> None:
    given = pool(3)
    parquet.write_parquet(tmp_path / "prompts", schemas.PROMPTS, given["prompts"])
    parquet.write_parquet(tmp_path / "traces", schemas.TRACES, given["traces"][:2])
    ids = pa.array([row["id"] for row in given["prompts"]])

    with pytest.raises(
        ValueError, match=rf"row {ids[2]} of the subset has no trace in .*--forcerun"
    ):
        list(selected_rows(ids, tmp_path / "prompts", [tmp_path / "traces"], []))


def test_reading_and_writing_hold_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the texts nor the tokens of all rows are ever in memory."""
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 200)
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 100)
    draw = rng("text")
    text = (draw.randbytes(10_000).hex() for n in range(3000))
    traces = [tmp_path / f"{n}" for n in range(3)]
    ids = [f"{n:04}" for n in range(3000)]
    for at, path in enumerate(traces):
        own = ids[at * 1000 : (at + 1) * 1000]
        parquet.write_parquet(
            path,
            schemas.TRACES,
            ({"id": each, "reasoning": next(text), "answer": "", **TRACE} for each in own),
        )
    prompts = tmp_path / "prompts"
    parquet.write_parquet(
        prompts, schemas.PROMPTS, ({"id": each, "question": "", **PROMPT} for each in ids)
    )
    before, held = pa.total_allocated_bytes(), []

    def rows() -> Any:
        for row in selected_rows(pa.array(ids), prompts, traces, []):
            held.append(pa.total_allocated_bytes() - before)
            yield {
                "id": row.id,
                "target": "system2",
                "input_ids": np.frombuffer(row.reasoning.encode(), np.int32),
                "num_prompt_tokens": 1,
            }

    file.write_examples(tmp_path / "out", rows())

    assert (tmp_path / "out").stat().st_size > 60e6
    assert max(held) < 20e6


def test_examples_come_in_the_order_of_ids_and_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "examples"
    rows = [
        {"id": each, "target": "system1", "input_ids": list(range(at, 9)), "num_prompt_tokens": 2}
        for at, each in enumerate("cadb")
    ]
    file.write_examples(path, rows)

    found = Examples(path)

    assert names(found) == ["a", "b", "c", "d"]
    assert [found.ids(n).tolist()[0] for n in range(4)] == [1, 3, 0, 2]
    assert found.lengths.tolist() == [8, 6, 9, 7]
    assert found.loss_lengths.tolist() == [6, 4, 7, 5]
    assert found.lengths.dtype == found.ids(0).dtype == np.int32
    assert not found.ids(0).flags.owndata and not found.ids(0).flags.writeable


def spoil(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-20],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:400] + bytes(len(data) - 800) + data[-400:],
        lambda data: bytes(len(data)),
    ],
)
def test_damaged_file_is_one_clear_error(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "examples"
    file.write_examples(path, [EXAMPLE])
    spoil(path, change)

    with pytest.raises(ValueError, match=r"examples is no file of examples.*Move it elsewhere"):
        Examples(path)


EXAMPLE = {"id": "a", "target": "system2", "input_ids": [5, 6, 7], "num_prompt_tokens": 1}


def test_foreign_file_is_one_clear_error(tmp_path: Path) -> None:
    other, twice, long = (tmp_path / name for name in ("other", "twice", "long"))
    with pa.ipc.new_file(str(other), schemas.PROMPTS):
        pass
    file.write_examples(twice, [EXAMPLE, EXAMPLE])
    file.write_examples(long, [{**EXAMPLE, "num_prompt_tokens": 4}])

    for path, message in [
        (other, "columns"),
        (twice, "id a is there twice"),
        (long, "a prompt is"),
    ]:
        with pytest.raises(ValueError, match=message):
            Examples(path)
    with pytest.raises(FileNotFoundError):
        Examples(tmp_path / "missing")


def test_digest_is_taken_from_the_manifest_unless_the_file_was_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, manifest = tmp_path / "examples", tmp_path / "manifest.json"
    file.write_examples(path, [EXAMPLE])
    digest = sha256_file(path)
    write_json(manifest, {"file": file.file_record(path)})
    with monkeypatch.context() as patch:
        patch.setattr(file, "sha256_file", lambda path: pytest.fail("it reads the whole file"))
        assert file.recorded_sha256(path, manifest) == digest

    later = manifest.stat().st_mtime_ns + 1
    os.utime(path, ns=(later, later))
    assert file.recorded_sha256(path, manifest) == digest  # touched, or copied, and read again

    spoil(path, lambda data: data.replace(b"system2", b"system1"))
    os.utime(path, ns=(later, later))
    with pytest.raises(ValueError, match=r"not the file that .*manifest.json describes.*Move both"):
        file.recorded_sha256(path, manifest)
    file.write_examples(path, [EXAMPLE] * 1000)
    os.utime(path, ns=(0, 0))
    with pytest.raises(ValueError, match="not the file that"):
        file.recorded_sha256(path, manifest)


def test_tokenizer_larger_than_the_embedding_is_refused(tmp_path: Path) -> None:
    """One id too many would be an index error in the training, long after."""
    student = shutil.copytree(MICRO, tmp_path / "student")
    config = read_json(student / "config.json")
    row = Selected("r0", "Ann starts at May with oak. Where?", "Take oak: May.", "May")
    largest = max(ids_of(student, row, tmp_path / "first"))
    write_json(student / "config.json", {**config, "vocab_size": largest})

    with pytest.raises(ValueError, match=rf"row r0 has token {largest}, .* has {largest} rows"):
        ids_of(student, row, tmp_path / "second")


def ids_of(student: Path, row: Selected, work: Path) -> list[int]:
    """Return the token ids of a row's example."""
    work.mkdir()
    ids = pa.array([row.id])
    data.build_examples(student, SYSTEM2, Training(), 0, ids, lambda _: [row], work, work / "out")
    return Examples(work / "out").ids(0).tolist()
