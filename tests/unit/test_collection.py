"""What the report is given, gathered from files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nt_pkg.config.report import Report
from nt_pkg.files.json_files import digest, read_json, write_json
from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import ANNOTATIONS, SUBSET
from nt_pkg.files.vectors import encode
from nt_pkg.identity.seeds import rng
from nt_pkg.report.collect import collect
from nt_pkg.report.labels import Labels
from nt_pkg.report.parts.rows_lost_table import tabulate_lost
from nt_pkg.report.records import Histograms, Sample, Source, Study, TraceSet
from tests.unit.report_study import make_material

NAMES = {"pool": "p", "teacher": "t"}
RUN = {"student": "s", "subset": "long", "format": "system2", "seed": "1"}
ANSWER: Any = {"question": "q", "reasoning": "r", "answer": "a", "gold": "g", "is_correct": False}


def write_labels(path: Path, annotator: str, values: dict[str, Any]) -> Path:
    """Write labels; an exception in place of a value is a failed row, None a skipped one."""
    rows = []
    for row_id, value in values.items():
        if value is None:
            row = {"id": row_id, "status": "skipped", "value": None, "error": "incomplete"}
        elif isinstance(value, Exception):
            row = {"id": row_id, "status": "failed", "value": None, "error": str(value)}
        else:
            row = {"id": row_id, "status": "ok", "value": json.dumps(value), "error": None}
        rows.append(row)
    write_parquet(path, ANNOTATIONS, rows, {**NAMES, "annotator": annotator})
    return path


def lengths(**tokens: int) -> dict[str, Any]:
    return {row_id: {"num_tokens": num, "num_steps": 1} for row_id, num in tokens.items()}


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    """Return the arguments of `collect` for a study of five rows in two shards."""
    files: dict[str, Any] = {}
    write_json(
        tmp_path / "pool.json",
        {"pool": "p", "read": 7, "kept": 5, "duplicate": 2, "spec": {"kind": "micro"}},
    )
    statistics = {
        **{"num_rows": 5, "failed": {"no text": 1}, "incomplete": {"no answer": 1}},
        "num_tokens": {"mean": 20.0},
    }
    write_json(tmp_path / "statistics.json", {**NAMES, **statistics})
    files["traces"] = [tmp_path / "statistics.json"]
    files["labels"] = [
        write_labels(tmp_path / "l0", "length", {**lengths(a=10, b=20), "c": None}),
        write_labels(tmp_path / "l1", "length", {**lengths(d=30), "e": None}),
        write_labels(tmp_path / "d0", "domain", {"a": "days", "b": "days", "d": "winds"}),
        write_labels(tmp_path / "s0", "strategies", {"a": ["x", "y"], "b": ["x"], "d": []}),
        write_labels(tmp_path / "g0", "agreement", {"a": True, "b": ValueError("why"), "d": False}),
    ]
    subset = tmp_path / "subset.parquet"
    write_parquet(subset, SUBSET, [{"rank": n, "id": i, "score": 1.0} for n, i in enumerate("da")])
    write_json(
        tmp_path / "subset.json",
        {**NAMES, "subset": "long", "seed": "1", "num_candidates": 3, "unusable": {"x": 2},
         "spec": {"selector": "long", "params": {"power": 2.0}, "size": 2}},
    )  # fmt: skip
    write_json(tmp_path / "examples.json", {**RUN, "dropped": {"long": 1}, "spec": {}})
    run = {"num_examples": 2, "num_tokens": 9, "num_steps": 1, "final_loss": 0.5}
    run |= {"loss_curve": [[1, 0.5]], "wall_seconds": 1.0, "tokens_per_second": 9.0}
    run |= {"world_size": 1, "zero_stage": 2, "spec": {"training": {}}}
    write_json(tmp_path / "run.json", {**RUN, **run})
    score = {**RUN, "benchmark": "m", "mode": "think", "accuracy": 0.5, "spec": {}}
    score |= {"num_questions": 2, "repeats": 1, "standard_error": None, "failed": 2}
    score |= {"mean_tokens": None, "median_tokens": None, "truncation_rate": 0.0}
    score |= {"no_answer_rate": 1.0, "thinking_rate": 0.0}
    score |= {"token_histogram": {"edges": [0, 1], "counts": [0]}}
    write_json(tmp_path / "score.json", {**score, "examples": [ANSWER]})
    return {
        "study": Study("s", Report(title="T")),
        "pools": [tmp_path / "pool.json"],
        **files,
        "subsets": [(subset, tmp_path / "subset.json")],
        "examples": [tmp_path / "examples.json"],
        "runs": [tmp_path / "run.json"],
        "scores": [tmp_path / "score.json"],
    }


def test_traces_are_counted_by_what_became_of_them(study: dict[str, Any]) -> None:
    assert collect(**study).traces == [
        TraceSet(
            **NAMES,
            num_rows=5,
            failed={"no text": 1},
            incomplete={"no answer": 1},
            mean_tokens=20.0,
        )
    ]


def test_several_answers_are_rows_and_their_questions_are_counted(
    study: dict[str, Any], tmp_path: Path
) -> None:
    choice = {"answers": 9, "questions": 4, "chosen": 3, "questions_by_right": {"0": 1, "2": 3}}
    more = {"pool.json": {"samples": 3, "prompts": 15}, "subset.json": {"one_per_question": choice}}
    for name, fields in more.items():
        write_json(tmp_path / name, {**read_json(tmp_path / name), **fields})

    found = collect(**study)

    [pool], [subset] = found.pools, found.subsets
    assert (pool.num_rows_in, pool.num_kept, pool.samples) == (7, 15, 3)
    assert pool.dropped == {"duplicate": 2}
    lost = tabulate_lost(make_material([], pools=[pool], subsets=[subset]))
    assert lost is not None
    assert [(r["where"], r["reason"], r["num_lost"], r["num_rows"]) for r in lost.rows] == [
        (f"{NAMES['pool']}, each then asked 3 times", "duplicate", 2, 7),
        ("long, questions, over all seeds", "no right answer", 1, 4),
    ]


def test_pool_says_what_was_dropped(study: dict[str, Any]) -> None:
    [pool] = collect(**study).pools

    assert (pool.num_rows_in, pool.num_kept, pool.dropped) == (7, 5, {"duplicate": 2})
    assert pool.histograms.domain == {"days": 2, "winds": 1}
    assert pool.histograms.strategies == {"x": 2, "y": 1}
    assert pool.histograms.num_tokens is not None
    assert sum(pool.histograms.num_tokens.counts) == 3


def test_subset_has_the_histograms_of_its_own_rows(study: dict[str, Any]) -> None:
    [subset] = collect(**study).subsets

    assert (subset.size, subset.num_available, subset.unusable) == (2, 3, {"x": 2})
    assert (subset.selector, subset.params, subset.seed) == ("long", {"power": 2.0}, 1)
    assert subset.histograms.domain == {"days": 1, "winds": 1}
    assert subset.histograms.strategies == {"x": 1, "y": 1}
    histogram = subset.histograms.num_tokens
    assert histogram is not None
    for tokens in (10, 30):
        at = next(n for n, edge in enumerate(histogram.edges) if edge > tokens) - 1
        assert histogram.counts[at] == 1
    assert sum(histogram.counts) == 2


def test_annotators_are_counted_with_their_failures(study: dict[str, Any]) -> None:
    found = {each.annotator: each for each in collect(**study).annotations}

    assert found["agreement"].num_rows == 3
    assert found["agreement"].failed == {"why": 1}
    assert found["length"].num_rows == 3


def test_runs_and_scores_say_where_they_come_from(study: dict[str, Any], tmp_path: Path) -> None:
    found = collect(**study)

    [run], [score], [sample] = found.runs, found.scores, found.samples
    assert (run.seed, run.dropped, run.final_loss) == (1, {"long": 1}, 0.5)
    assert (score.seed, score.accuracy) == (1, 0.5)
    names: Any = {**RUN, "seed": 1, "benchmark": "m", "mode": "think"}
    assert sample == Sample(**names, **ANSWER)
    path = (tmp_path / "run.json").as_posix()
    assert run.source == Source(path, digest({"training": {}}), f"snakemake {path}")


@pytest.mark.parametrize(
    ("file", "field", "value", "message"),
    [
        ("score.json", "accuracy", None, r"score.json is not a Score .*accuracy: Input should be"),
        ("score.json", "repeats", ..., r"score.json is not a Score .*repeats: Field required"),
        ("run.json", "world_size", ..., r"run.json is not a Run .*world_size: Field required"),
        ("run.json", "loss_curve", [[1]], r"run.json is not a Run .*loss_curve.0.1"),
        ("subset.json", "pool", ..., r"subset.json is not a Subset .*pool: Field required"),
        ("statistics.json", "failed", 3, r"statistics.json is not a TraceSet .*failed: Input"),
        ("pool.json", "kept", "many", r"pool.json is not a Pool .*num_kept: Input should be"),
        ("examples.json", "seed", ..., r"examples.json is not a RunName .*seed: Field required"),
    ],
)
def test_a_missing_or_wrong_field_is_named_with_its_file(
    study: dict[str, Any], tmp_path: Path, file: str, field: str, value: Any, message: str
) -> None:
    found = read_json(tmp_path / file)
    found[field] = value
    write_json(tmp_path / file, {key: each for key, each in found.items() if each is not ...})

    with pytest.raises(ValueError, match=message):
        collect(**study)


def test_annotator_that_failed_on_every_row(study: dict[str, Any], tmp_path: Path) -> None:
    study["labels"] = [
        write_labels(tmp_path / f"f{name}", name, dict.fromkeys("abd", ValueError("down")))
        for name in ("length", "domain")
    ]

    found = collect(**study)

    assert found.annotations[1].failed == {"down": 3}
    assert found.subsets[0].histograms == Histograms()


def test_labels_of_two_teachers_are_kept_apart(tmp_path: Path) -> None:
    paths = []
    for teacher in ("t", "u"):
        row = {"id": "a", "status": "ok", "value": json.dumps(teacher), "error": None}
        names = {"pool": "p", "teacher": teacher, "annotator": "domain"}
        write_parquet(tmp_path / teacher, ANNOTATIONS, [row], names)
        paths.append(tmp_path / teacher)

    labels = Labels(paths)

    places = labels.places("p", pa.array(["a"]))
    assert labels.histograms(("p", "t"), places).domain == {"t": 1}
    assert labels.histograms(("p", "u"), None).domain == {"u": 1}


def test_columns_count_what_rows_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels in three shards, read some rows at a time; every annotator lacks other rows."""
    monkeypatch.setattr("nt_pkg.report.labels._BATCH_ROWS", 7)
    draw = rng("labels")
    ids = [f"{at:032x}" for at in range(90)]
    values: dict[str, dict[str, Any]] = {
        "length": {i: {"num_tokens": draw.randint(1, 99), "num_steps": 2} for i in ids},
        "domain": {i: draw.choice(["days", "winds"]) for i in draw.sample(ids, 70)},
        "strategies": {i: draw.sample(["x", "y", "z"], 2) for i in draw.sample(ids, 60)},
        "surprisal": {i: draw.random() for i in draw.sample(ids, 50)},
        "agreement": {i: draw.random() < 0.5 for i in draw.sample(ids, 80)},
    }
    paths = [
        write_labels(tmp_path / f"{name}{part}", name, {i: own.get(i) for i in ids[part::3]})
        for part in (2, 0, 1)
        for name, own in values.items()
    ]
    labels = Labels(paths)
    chosen = [*draw.sample(ids, 40), "of no annotator"]
    places = labels.places("p", pa.array(chosen))

    found, whole = labels.histograms(("p", "t"), places), labels.histograms(("p", "t"), None)

    assert found.domain == Counter(values["domain"].get(i, "unlabelled") for i in chosen)
    assert whole.domain == Counter(values["domain"].values())
    several = (values["strategies"].get(i, ["unlabelled"]) for i in chosen)
    assert found.strategies == Counter(each for own in several for each in own)
    assert found.num_tokens is not None and whole.num_tokens is not None
    width = found.num_tokens.edges[1]
    tokens = (values["length"][i]["num_tokens"] // width for i in chosen if i in ids)
    assert Counter(dict(enumerate(found.num_tokens.counts))) == Counter(tokens)
    assert sum(whole.num_tokens.counts) == len(ids)
    numbers = [values["surprisal"][i] for i in chosen if i in values["surprisal"]]
    means = labels.means("p", "t", places)
    assert means["surprisal"].mean == np.mean(numbers)
    assert means["surprisal"].num_rows == len(numbers)
    assert means["number of strategies"].mean == 2.0
    rights = [values["agreement"][i] for i in chosen if i in values["agreement"]]
    assert means["agreement"].mean == pytest.approx(sum(rights) / len(rights))
    assert "domain" not in means and "length.num_steps" in means


def test_vectors_of_questions_are_counted_and_have_no_means(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    texts = map(json.dumps, encode(np.eye(9)))
    rows = [
        {"id": str(at), "status": "ok", "value": text, "error": None}
        for at, text in enumerate(texts)
    ]
    write_parquet(path, ANNOTATIONS, rows, {"pool": "p", "annotator": "embedding"})

    labels = Labels([path])

    assert [each.num_rows for each in labels.summaries()] == [9]
    assert labels.means("p", "t", labels.places("p", pa.array(["3"]))) == {}


def test_spellings_of_one_strategy_are_counted_together(tmp_path: Path) -> None:
    path = tmp_path / "s"
    labels = Labels([write_labels(path, "strategies", {"a": ["verify", "Verifying"], "b": []})])

    assert labels.histograms(("p", "t"), None).strategies == {"verify": 1}


def test_label_with_half_an_emoji_can_be_shown(tmp_path: Path) -> None:
    """An earlier version stored it."""
    path = write_labels(tmp_path / "s0", "strategies", {"a": ["\ud83d"], "b": ["x"]})

    found = Labels([path]).histograms(("p", "t"), None)

    json.dumps(found.strategies, ensure_ascii=False).encode()
