"""Paths of a study's artifacts, for code that looks for them outside a job.

The rules define these patterns (`output:` in rules/*.smk) and pass the paths to jobs. A test
compares the patterns here with those of the rules.
"""

import re
from pathlib import Path

RESULTS = "results"
POOL = "results/prompts/{pool}/pool.json"
TRACES = "results/traces/{pool}/{teacher}/shard-{shard}-of-{num_shards}.parquet"
TRACE_STATISTICS = "results/traces/{pool}/{teacher}/statistics.json"
LABELS = "results/annotations/{pool}/{teacher}/{annotator}/shard-{shard}-of-{num_shards}.parquet"
QUESTION_LABELS = "results/question_labels/{pool}/{annotator}/shard-{shard}-of-{num_shards}.parquet"
EXAMPLES = "results/sft_data/{student}/{subset}/{format}/seed{seed}.json"
TRAINING = "results/sft/{student}/{subset}/{format}/seed{seed}/run.json"
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
