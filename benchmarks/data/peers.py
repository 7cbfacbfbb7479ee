"""Other tools for the same work, in an environment of their own (`make peers`).

    .venv-peers/bin/python -m benchmarks.data.peers STAGE ...    # prints one JSON object

Each is used as its documentation says. Only the two loops of open-r1 are written here, from the
description of its script, since it is a script and no package: n-grams as strings, a set per
benchmark, a set per row, a `datasets.map` per benchmark in one process. It is spared the pickling
of its sets, by which `datasets` names a result. Seconds are CPU seconds, without reading the rows.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.data.rows import (
    NUM_BENCHMARKS,
    PEER_ROWS,
    part_path,
)

_NGRAM = 8


class OpenR1:
    """The n-gram decontamination of open-r1, from its description."""

    def __init__(self, benchmarks: dict[str, list[str]]) -> None:
        """Index the benchmarks."""
        self._known = {
            name: {gram for text in texts for gram in self._grams(text)}
            for name, texts in benchmarks.items()
        }

    def hits(self, texts: list[str]) -> list[int]:
        """Return the rows that share an n-gram with a benchmark."""
        import datasets

        datasets.disable_progress_bars()
        found = datasets.Dataset.from_dict({"problem": texts})
        for name in self._known:
            found = found.map(self._finder(name), new_fingerprint=f"in{name}")
        columns = [found[f"in_{name}"] for name in self._known]
        return [row for row, marks in enumerate(zip(*columns, strict=True)) if any(marks)]

    def bare_hits(self, texts: list[str]) -> list[int]:
        """Return the same, without `datasets`."""
        found = {
            row
            for name in self._known
            for row, text in enumerate(texts)
            if self._finder(name)({"problem": text})[f"in_{name}"]
        }
        return sorted(found)

    def _finder(self, name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        known = self._known[name]

        def find(row: dict[str, Any]) -> dict[str, Any]:
            grams = set(self._grams(row["problem"]))
            return {**row, f"in_{name}": any(gram in known for gram in grams)}

        return find

    @staticmethod
    def _grams(text: str) -> list[str]:
        words = text.lower().split()
        return [" ".join(words[at : at + _NGRAM]) for at in range(len(words) - _NGRAM + 1)]


def open_r1(folder: str, bare: str = "") -> dict[str, Any]:
    """Measure open-r1's way, or its loop without `datasets`."""
    texts, begun = _questions(Path(folder)), time.process_time()
    index = OpenR1(_benchmarks(Path(folder)))
    index_s, begun = time.process_time() - begun, time.process_time()
    hits = index.bare_hits(texts) if bare else index.hits(texts)
    seconds = time.process_time() - begun
    return {"tool": _name("datasets"), "index_s": index_s, "s": seconds, "hits": hits}


def datatrove_ngrams(folder: str) -> dict[str, Any]:
    """Measure datatrove's filter; its own indexer wants lighteval's tasks, so the index is ours.

    Its words are spaCy's, behind its own normalisation of the text.
    """
    import numpy as np
    from datatrove.data import Document
    from datatrove.pipeline.decont import n_grams

    texts, config = _questions(Path(folder)), n_grams.NGramsDecontConfig(n_grams=_NGRAM)
    with tempfile.TemporaryDirectory() as index:
        found = n_grams.NGramsDecontFilter(index, config)
        begun = time.process_time()
        for name, questions in _benchmarks(Path(folder)).items():
            hashes = {
                found.hash_func(" ".join(gram))
                for text in questions
                for gram in n_grams.ngrams(
                    found.tokenizer.word_tokenize(n_grams.simplify_text(text, config.norm_config)),
                    _NGRAM,
                )
            }
            np.array(list(hashes), config.hash_config.np_descr).tofile(
                Path(index) / f"{name}.index.hashes"
            )
        index_s, begun = time.process_time() - begun, time.process_time()
        documents = [Document(text=text, id=str(at)) for at, text in enumerate(texts)]
        hits = [at for at, each in enumerate(documents) if found.filter(each) is not True]
        seconds = time.process_time() - begun
    return {"tool": _name("datatrove"), "index_s": index_s, "s": seconds, "hits": hits}


def k_centre(matrix: str, size: str) -> dict[str, Any]:
    """Measure k-centre greedy with scikit-learn's distances: each pick against all rows."""
    import numpy as np
    from sklearn.metrics import pairwise_distances
    from sklearn.preprocessing import normalize

    rows = normalize(np.load(matrix).astype(np.float32))
    begun, nearest, pick = time.process_time(), np.full(len(rows), np.inf, np.float32), 0
    for _ in range(int(size)):
        distances = pairwise_distances(rows, rows[pick : pick + 1], metric="euclidean")[:, 0]
        nearest = np.minimum(nearest, distances)
        pick = int(np.argmax(nearest))
    return {"tool": _name("scikit-learn"), "s": time.process_time() - begun}


def facility_location(matrix: str, num_rows: str, size: str) -> dict[str, Any]:
    """Measure apricot's facility location, lazy greedy; it holds all pairs of rows."""
    import numpy as np
    from apricot import FacilityLocationSelection

    rows = np.load(matrix)[: int(num_rows)].astype(np.float64)
    FacilityLocationSelection(5, metric="cosine", optimizer="lazy").fit(rows[:50])  # compiles
    begun = time.process_time()
    FacilityLocationSelection(int(size), metric="cosine", optimizer="lazy").fit(rows)
    return {"tool": _name("apricot-select"), "s": time.process_time() - begun}


def nearest(matrix: str, num_rows: str) -> dict[str, Any]:
    """Measure scikit-learn's exact search of the nearest of all rows to some of them."""
    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    rows = np.load(matrix).astype(np.float32)
    begun = time.process_time()
    found = NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cosine")
    found.fit(rows[: int(num_rows)]).kneighbors(rows)
    return {"tool": _name("scikit-learn"), "s": time.process_time() - begun}


def semantic(matrix: str, num_rows: str) -> dict[str, Any]:
    """Measure scikit-learn's HDBSCAN on the vectors as they are."""
    import numpy as np
    from sklearn.cluster import HDBSCAN
    from sklearn.preprocessing import normalize

    rows = normalize(np.load(matrix)[: int(num_rows)].astype(np.float32))
    begun = time.process_time()
    HDBSCAN(min_cluster_size=max(5, len(rows) // 1000), min_samples=5, copy=True).fit(rows)
    return {"tool": _name("scikit-learn"), "s": time.process_time() - begun}


def _questions(folder: Path) -> list[str]:
    with part_path(folder, 0).open("rb") as file:
        return [json.loads(line)["question"] for line in islice(file, PEER_ROWS)]


def _benchmarks(folder: Path) -> dict[str, list[str]]:
    found = {}
    for at in range(NUM_BENCHMARKS):
        lines = (folder / f"benchmark-{at}" / "test.jsonl").read_text().splitlines()
        found[f"b{at}"] = [json.loads(line)["problem"] for line in lines]
    return found


def _name(package: str) -> str:
    return f"{package} {version(package)}"


if __name__ == "__main__":
    stages = {
        each.__name__: each
        for each in (
            open_r1,
            datatrove_ngrams,
            k_centre,
            facility_location,
            nearest,
            semantic,
        )
    }
    print(json.dumps(stages[sys.argv[1]](*sys.argv[2:])))
