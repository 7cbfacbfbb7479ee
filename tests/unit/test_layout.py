"""Where artifacts stand is said once by the rules, and the same way for code outside a job."""

import re
from pathlib import Path

from nt_pkg.files import layout

RULES = Path(__file__).parents[2] / "rules"
PATTERNS = {name: value for name, value in vars(layout).items() if name.isupper() and "{" in value}


def test_patterns_are_those_of_the_rules() -> None:
    outputs = {
        path
        for file in RULES.glob("*.smk")
        for path in re.findall(r'"(results/[^"\s]+)"', file.read_text())
    }
    assert len(PATTERNS) > 5
    assert set(PATTERNS.values()) <= outputs


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
