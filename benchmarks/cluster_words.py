"""What `semantic` finds among questions: its clusters, each with the words that set it apart.

    python -m benchmarks.cluster_words --prompts results/prompts/POOL/all.parquet \
        --labels results/question_labels/POOL/embedding/*.parquet
    ... --set '{"min_samples": 3}'                                 # other settings

A word's weight in a cluster is the share of its questions that have the word, against the share of
all questions. Prints a table and as its last line one JSON object.
"""

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from nt_pkg.files.vectors import decode
from nt_pkg.identity.seeds import order_keys
from nt_pkg.selectors.semantic import NOISE, SemanticParams, clusters_of
from tests.workflow.sandbox import table

_NUM_WORDS, _MOST_SHOWN = 6, 40


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--labels", type=Path, nargs="+", required=True)
    parser.add_argument("--set", type=json.loads, default={}, help="parameters of semantic, JSON")
    args = parser.parse_args()
    params = SemanticParams(**args.set)
    texts = {row["id"]: row["question"] for row in pq.read_table(args.prompts).to_pylist()}
    rows = [row for path in args.labels for row in pq.read_table(path).to_pylist()]
    rows = sorted((r for r in rows if r["status"] == "ok"), key=lambda row: str(row["id"]))
    ids = [row["id"] for row in rows]
    import pyarrow as pa

    vectors = decode("embedding", pa.array([json.loads(row["value"]) for row in rows]))
    sample = np.sort(np.argsort(order_keys(0, ids), kind="stable")[: params.sample_rows])
    found = clusters_of(vectors, sample, params)
    questions = [texts[each] for each in ids]
    print(table(("rows", "words that set it apart", "a question"), _describe(found, questions)))
    noise = int((found == NOISE).sum())
    print(json.dumps({"rows": len(ids), "clusters": int(found.max()) + 1, "noise": noise}))


def _describe(found: np.ndarray, questions: Sequence[str]) -> list[tuple[int, str, str]]:
    words = [frozenset(re.findall(r"[a-z]{3,}", text.lower())) for text in questions]
    everywhere = Counter(word for each in words for word in each)
    sizes = Counter(found.tolist())
    sizes.pop(NOISE, None)
    lines = []
    for cluster, size in sizes.most_common(_MOST_SHOWN):
        members = np.flatnonzero(found == cluster)
        own = Counter(word for at in members for word in words[at])
        weight = {
            word: count / size * math.log(count / size * len(words) / everywhere[word])
            for word, count in own.items()
            if count > 1
        }
        best = sorted(weight, key=lambda word: (-weight[word], word))[:_NUM_WORDS]
        lines.append((size, " ".join(best), questions[members[0]][:60]))
    return lines


if __name__ == "__main__":
    main()
