"""What `semantic` recovers of clusters that are known, and what it costs.

    python -m benchmarks.clusters
    python -m benchmarks.clusters --rows 40000 --components 16 32 64
    python -m benchmarks.clusters --quick

Generates vectors of 300 clusters whose sizes fall as one over their rank, each spread over 20
directions of its own and a little over all, around one direction that all share, as vectors of
language models do. A fifth of the rows are noise: halfway between two others. Prints a table and as
its last line one JSON object.
"""

import argparse
import json
import resource
import time
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from nt_pkg.identity.seeds import generator
from nt_pkg.selectors.semantic import NOISE, SemanticParams, clusters_of
from tests.workflow.sandbox import table

_CLUSTERS, _DIMENSIONS, _DIRECTIONS = 300, 384, 20
_NOISE_SHARE = 0.2
_BLOCK_ROWS = 20_000
_QUICK_ROWS = 5000


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--components", type=int, nargs="+", default=[SemanticParams().components])
    parser.add_argument("--quick", action="store_true", help="5,000 rows, whatever --rows says")
    args = parser.parse_args()
    vectors, truth = _world(_QUICK_ROWS if args.quick else args.rows)
    found = [
        _recovered(vectors, truth, components, noise)
        for components in args.components
        for noise in ("apart", "join")
    ]
    print(table(list(found[0]), [[str(value) for value in row.values()] for row in found]))
    print(json.dumps(found[-1]))


def _world(num_rows: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return vectors and their clusters."""
    draw = generator("clusters", num_rows)
    shares = 1 / np.arange(1, _CLUSTERS + 1)
    truth = draw.choice(_CLUSTERS, num_rows, p=shares / shares.sum())
    centres = draw.normal(size=(_CLUSTERS, _DIMENSIONS)) / np.sqrt(_DIMENSIONS)
    axes = draw.normal(size=(_CLUSTERS, _DIRECTIONS, _DIMENSIONS)) / np.sqrt(_DIMENSIONS)
    common = draw.normal(size=_DIMENSIONS) / np.sqrt(_DIMENSIONS)
    vectors = np.empty((num_rows, _DIMENSIONS), np.int8)
    for start in range(0, num_rows, _BLOCK_ROWS):
        rows = truth[start : start + _BLOCK_ROWS]
        everywhere = draw.normal(size=(len(rows), _DIMENSIONS)) / np.sqrt(_DIMENSIONS)
        along = draw.normal(size=(len(rows), _DIRECTIONS)) / np.sqrt(_DIRECTIONS)
        block = centres[rows] + 0.5 * everywhere + 2 * common
        for cluster in np.unique(rows):
            is_in = rows == cluster
            block[is_in] += along[is_in] @ axes[cluster]
        is_noise = draw.random(len(rows)) < _NOISE_SHARE
        block[is_noise] += block[draw.permutation(len(rows))[: is_noise.sum()]]
        vectors[start : start + len(rows)] = np.rint(
            127 * block / np.abs(block).max(axis=1, keepdims=True)
        )
        rows[is_noise] = NOISE  # a view
    return vectors, truth


def _recovered(
    vectors: NDArray[np.int8],
    truth: NDArray[np.int64],
    components: int,
    noise: Literal["join", "apart"],
) -> dict[str, float | str]:
    params = SemanticParams(components=components, noise=noise)
    order = generator("sample").permutation(len(vectors))
    sample = np.sort(order[: params.sample_rows])
    start = time.process_time()
    found = clusters_of(vectors, sample, params)
    seconds = time.process_time() - start
    is_noise = truth == NOISE
    both = (found != NOISE) & ~is_noise
    in_sample = np.bincount(truth[sample][truth[sample] != NOISE], minlength=_CLUSTERS)
    return {
        "rows": len(vectors),
        "components": components,
        "noise": noise,
        "clusters large enough": int((in_sample >= params.min_share * len(sample)).sum()),
        "found": int(found.max()) + 1,
        "adjusted Rand index": round(float(adjusted_rand_score(truth[both], found[both])), 3),
        "noise found": round(float((found[is_noise] == NOISE).mean()), 2),
        "others called noise": round(float((found[~is_noise] == NOISE).mean()), 2),
        "CPU s": round(seconds, 1),
        "peak GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


if __name__ == "__main__":
    main()
