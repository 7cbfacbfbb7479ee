"""`make bench-quick`, which CI runs, has a quick form of every benchmark that make knows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_benchmark_is_left_out() -> None:
    text = (ROOT / "Makefile").read_text()
    known = set(re.findall(r"python3? -m benchmarks\.(\w+)", text))
    [run] = re.findall(r"for each in ([a-z_ ]+); do .*\n.*benchmarks\.\$\$each --quick", text)

    assert set(run.split()) == known and len(known) > 5
