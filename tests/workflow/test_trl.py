"""TRL trains on an exported subset as it is, in the environment that `make bench-sft` has made."""

import json
import math
import os
import subprocess
from pathlib import Path

import pytest

from scripts import export_subset
from tests.unit.test_export_subset import ROWS, STUDY, make_subset

ROOT = Path(__file__).parents[2]
PEERS = Path(os.environ.get("NT_PEERS_SFT", ROOT / ".venv-peers-sft")) / "bin" / "python"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not PEERS.exists(), reason="no .venv-peers-sft: envs/install.sh makes it")
def test_trl_trains_on_the_export_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NT_WORK", str(tmp_path / "work"))
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    make_subset(STUDY)
    shapes = ("messages", "prompt_completion")
    for shape in shapes:
        export_subset.main(
            ["--configfile", "mine.yaml", "--subset", "longest", "--seed", "3", "--shape", shape,
             "--out", shape]
        )  # fmt: skip

    done = subprocess.run(
        [PEERS, "-m", "tests.workflow.train_with_trl", *(tmp_path / shape for shape in shapes)],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )

    found = [json.loads(line) for line in done.stdout.splitlines() if '"steps"' in line]
    assert len(found) == len(shapes)
    for each in found:
        assert each["steps"] == 3 and len(each["losses"]) == 3  # five rows, two a step
        assert all(map(math.isfinite, each["losses"]))
        assert len(each["texts"]) == 5
        assert all("<think>" in text and "</think>" in text for text in each["texts"])
