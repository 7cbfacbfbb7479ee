"""Where artifacts of a study stand, for code that looks for them outside a job.

The rules own these patterns (`output:` of rules/*.smk), and jobs are told their paths. A test holds
the patterns here against those of the rules.
"""

import re
from pathlib import Path

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
    """Return the path of one artifact; further names are ignored.

    Args:
        pattern: one of this module.
        folder: the folder in which the workflow runs.
        names: its wildcards.
    """
    return folder / pattern.format(**names)


def artifacts(pattern: str, folder: Path = Path(), **names: object) -> list[Path]:
    """Return the paths of all artifacts that exist, sorted; wildcards left out vary."""
    given = re.sub(r"{(\w+)}", lambda found: str(names.get(found[1], "*")), pattern)
    return sorted(folder.glob(given))
