"""Where artifacts stand is said once by the rules, and the same way for code outside a job."""

import re
from pathlib import Path

import pytest

from nt_pkg.files import layout
from nt_pkg.files.json_files import write_json

RULES = Path(__file__).parents[2] / "rules"
PATTERNS = {name: value for name, value in vars(layout).items() if name.isupper() and "{" in value}


def test_patterns_are_those_of_the_rules() -> None:
    outputs = {
        path
        for file in RULES.glob("*.smk")
        for path in re.findall(r'"((?:results|assets)/[^"\s]+)"', file.read_text())
    }
    assert len(PATTERNS) > 5
    assert set(PATTERNS.values()) <= outputs


def test_the_log_of_a_job_is_found_from_its_timing() -> None:
    text = "".join(file.read_text() for file in RULES.glob("*.smk"))
    logs, timings = (
        re.findall(rf'"{folder}/([^"\s]+)\.{suffix}"', text)
        for folder, suffix in (("logs", "log"), ("timings", "jsonl"))
    )
    assert logs == timings and len(logs) > 10


def test_artifact_has_its_names_in_place() -> None:
    path = layout.artifact(layout.POOL, Path("there"), pool="micro", teacher="not in the path")
    assert path == Path("there/results/prompts/micro/pool.json")


def test_artifacts_vary_in_what_is_not_named(tmp_path: Path) -> None:
    names = {"student": "llama", "subset": "random", "format": "system2", "benchmark": "exam"}
    expected = []
    for seed in (10, 2):
        for mode in ("think", "no_think"):
            path = layout.artifact(layout.SCORE, tmp_path, seed=seed, mode=mode, **names)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            expected.append(path)
            other = layout.artifact(
                layout.SCORE, tmp_path, seed=seed, mode=mode, **{**names, "student": "qwen"}
            )
            other.parent.mkdir(parents=True, exist_ok=True)
            other.touch()
    assert layout.artifacts(layout.SCORE, tmp_path, student="llama") == sorted(expected)
    assert not layout.artifacts(layout.TRAINING, tmp_path)


@pytest.mark.parametrize("num_shards", [1, 2, 12])
def test_a_part_says_which_shard_it_is(num_shards: int) -> None:
    for shard in range(num_shards):
        assert layout.shard_of(layout.part_name(shard, num_shards)) == (shard, num_shards)
    assert layout.part_name(0, 1) == ""


def test_complete_sets_have_every_shard(tmp_path: Path) -> None:
    """Of several sets in one folder; files beside them are none."""
    names = {"student": "s", "subset": "x", "format": "f", "seed": 0, "benchmark": "b"}
    for mode, made in (
        ("think", ["", ".0-of-3", ".2-of-3", ".0-of-2", ".1-of-2"]),
        ("no_think", [""]),
    ):
        for part in made:
            path = layout.artifact(layout.SAMPLES, tmp_path, mode=mode, part=part, **names)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            path.with_suffix(".json").touch()
            path.with_name("think.grades.parquet").touch()
    assert layout.complete_sets(layout.SAMPLES, tmp_path, mode="think", **names) == {1, 2}
    assert layout.complete_sets(layout.SAMPLES, tmp_path, mode="no_think", **names) == {1}
    assert layout.complete_sets(layout.SAMPLES, tmp_path, mode="adaptive", **names) == set()
    pattern, of = layout.QUESTION_LABELS, {"pool": "p", "annotator": "a"}
    for shard in range(4):
        path = layout.artifact(pattern, tmp_path, shard=shard, num_shards=4, **of)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert layout.complete_sets(pattern, tmp_path, **of) == ({4} if shard == 3 else set())


def test_a_score_names_its_answers(tmp_path: Path) -> None:
    """One of an earlier version names none: all its answers are in one file."""
    write_json(tmp_path / "think.json", {"accuracy": 1})
    assert layout.samples_of(tmp_path / "think.json") == ["think.samples.parquet"]
    write_json(tmp_path / "think.json", {"samples": ["a", "b"]})
    assert layout.samples_of(tmp_path / "think.json") == ["a", "b"]
