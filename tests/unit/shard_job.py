"""A job of rule `generate_traces` whose teacher is a server of the tests."""

import json
from pathlib import Path
from typing import Any

from nt_pkg.files.parquet import write_parquet
from nt_pkg.files.schemas import PROMPTS
from tests.unit.fake_openai import MODEL, Fake

KEY = "sk-very-secret"


def write_prompts(path: Path, number: int) -> None:
    rows = [
        {"id": f"{n:032x}", "question": f"q{n}", "reference_answer": None, "second_answer": None,
         "replay": None, "columns": None, "source_row": 0}
        for n in range(number)
    ]  # fmt: skip
    write_parquet(path, PROMPTS, rows)


def arguments(folder: Path, fake: Fake, batch: int, **runtime: Any) -> list[str]:
    """Return the command line of a shard, as the rule has it."""
    teacher = {"engine": "openai", "params": {"model": MODEL}, "sampling": {"max_tokens": 50}}
    server = {"base_url": fake.url, "key_env": "NT_TEST_KEY"}
    return [
        *("--spec", json.dumps({"teacher": teacher, "engine": {}, "version": 1})),
        *("--names", "{}", "--runtime", json.dumps({"batch": batch, "server": server, **runtime})),
        *("--prompts", str(folder / "prompts.parquet"), "--out", str(folder / "traces.parquet")),
    ]
