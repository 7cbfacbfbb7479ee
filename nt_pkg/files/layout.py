"""Paths of a study's artifacts, for code that looks for them outside a job.

The rules define these patterns (`output:` in rules/*.smk) and pass the paths to jobs. A test
compares the patterns here with those of the rules.
"""

import re
from collections import Counter
from pathlib import Path

from nt_pkg.files.json_files import read_fields

RESULTS = "results"
ASSET = "assets/{kind}/{name}/manifest.json"
POOL = "results/prompts/{pool}/pool.json"
PROMPTS = "results/prompts/{pool}/all.parquet"
TRACES = "results/traces/{pool}/{teacher}/shard-{shard}-of-{num_shards}.parquet"
TRACE_STATISTICS = "results/traces/{pool}/{teacher}/statistics.json"
LABELS = "results/annotations/{pool}/{teacher}/{annotator}/shard-{shard}-of-{num_shards}.parquet"
QUESTION_LABELS = "results/question_labels/{pool}/{annotator}/shard-{shard}-of-{num_shards}.parquet"
SUBSET = "results/subsets/{pool}/{teacher}/{subset}/seed{seed}.parquet"
SUBSET_MANIFEST = "results/subsets/{pool}/{teacher}/{subset}/seed{seed}.json"
EXAMPLES = "results/sft_data/{student}/{subset}/{format}/seed{seed}.json"
TRAINING = "results/sft/{student}/{subset}/{format}/seed{seed}/run.json"
SAMPLES = (
    "results/evals/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.samples{part}.parquet"
)
SCORE = "results/evals/{student}/{subset}/{format}/seed{seed}/{benchmark}/{mode}.json"
REPORT = "results/report/{study}/index.html"
SUMMARY = "results/report/{study}/summary.json"


def artifact(pattern: str, folder: Path = Path(), **names: object) -> Path:
    """Return the path of one artifact; other names are ignored.

    Args:
        pattern: a pattern of this module.
        folder: folder in which the workflow runs.
        names: wildcards of the pattern.
    """
    return folder / pattern.format(**names)


def artifacts(pattern: str, folder: Path = Path(), **names: object) -> list[Path]:
    """Return the paths of all existing artifacts, sorted; wildcards left out match anything."""
    given = re.sub(r"{(\w+)}", lambda found: str(names.get(found[1], "*")), pattern)
    return sorted(folder.glob(given))


def part_name(shard: int, num_shards: int) -> str:
    """Return the wildcard `part` of one shard of the answers; that of the only one is empty."""
    return f".{shard}-of-{num_shards}" if num_shards > 1 else ""


def shard_of(name: str) -> tuple[int, int]:
    """Return the shard and the number of shards in a name that ends `3-of-8`; (0, 1) of others."""
    found = re.search(r"(\d+)-of-(\d+)$", name)
    return (int(found[1]), int(found[2])) if found else (0, 1)


def complete_sets(pattern: str, folder: Path = Path(), **names: object) -> set[int]:
    """Return the numbers of shards of which all shards exist.

    Args:
        pattern: a pattern with `shard` and `num_shards`, or `part`.
        folder: folder in which the workflow runs.
        names: its other wildcards.
    """
    found = Counter(shard_of(path.stem)[1] for path in artifacts(pattern, folder, **names))
    return {number for number, count in found.items() if count == number}


def samples_of(score: Path) -> list[str]:
    """Return the names of the files next to a score that hold its answers."""
    found: list[str] = read_fields(score).get("samples", [f"{score.stem}.samples.parquet"])
    return found
