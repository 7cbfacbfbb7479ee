"""Semantic: the same number of questions from every cluster of their vectors (paper, section 3.2).

The paper clusters embeddings of the questions by density and takes as many from each cluster; it
names no algorithm and no numbers. Ours: a sample that the seed draws is centred, reduced to its
principal components, and clustered by HDBSCAN (Campello et al. 2013), of whose tree the leaves are
taken; every other row belongs with the sampled row that is nearest to it. Clusters take turns, in
an order that the seed draws, with one random row each; an exhausted one is skipped.

Density leaves most rows of a real pool in no cluster: of 2,000 questions of GSM8K two thirds to
nine tenths at all settings that were tried. A selector that takes none of these chooses among the
rest. So by default a row of no cluster belongs with the nearest sampled row that is in one. With
`noise: apart` clusters are those of density alone: the other rows are noise and follow when all
clusters have run out. The manifest counts them.

The clusters do not depend on `size`, so that sizes are nested. Principal components are rounded by
the machine's arithmetic, so another one may put rows at the edge of a cluster elsewhere.
"""

import logging
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from nt_pkg.config.base import Strict
from nt_pkg.files.vectors import decode
from nt_pkg.jobs.progress import Progress
from nt_pkg.selectors._base import Candidates, Picks, Selector, groups_in_turns, in_random_order

if TYPE_CHECKING:  # a start of Snakemake imports the selectors of its study
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_BLOCK_ROWS = 16_384  # compared with the sample at a time: 50 MB of float64 at 384 dimensions
_FEWEST_ROWS = 20  # of a cluster in the sample, or a fiftieth of a small one, and 5
NOISE = -1


class SemanticParams(Strict):
    """Settings of the clustering; the paper states none of them."""

    sample_rows: int = Field(
        20_000, ge=100, description="Rows that are clustered; the others join the nearest (ours)."
    )
    components: int = Field(
        64, ge=2, le=256, description="Principal components of the vectors (ours)."
    )
    min_share: float = Field(
        0.001,
        gt=0,
        lt=0.5,
        description="Share of the sampled rows that the smallest cluster has, but 20 rows at "
        "least, or a fiftieth of fewer than 1,000 (ours).",
    )
    min_samples: int = Field(
        5, ge=1, description="Neighbours that say how dense it is around a row; fewer: less noise."
    )
    noise: Literal["join", "apart"] = Field(
        "join",
        description="What becomes of rows in no cluster: join that of the nearest sampled row that "
        "is in one, or stay apart and be picked last (ours; the paper is silent).",
    )


def select_semantic(params: SemanticParams, candidates: Candidates, size: int, seed: int) -> Picks:
    """Return one row of each cluster in turn, and noise last.

    The score is one over the number of rows in the cluster, and 0 for noise.
    """
    import numpy as np

    vectors = decode("embedding", candidates.labels["embedding"])
    sample = np.sort(np.argsort(candidates.order(seed), kind="stable")[: params.sample_rows])
    clusters = clusters_of(vectors, sample, params)
    num_clusters, is_noise = int(clusters.max()) + 1, clusters == NOISE
    counts = {"num_clusters": num_clusters, "num_noise": int(is_noise.sum())}
    found = f"{num_clusters} clusters; {counts['num_noise']} of {len(vectors)} rows are in none"
    if num_clusters:
        logger.info(found)
    else:
        logger.warning(
            "%s, and these are drawn uniformly: lower `min_share` or `min_samples`", found
        )
    names = [f"cluster {number}" for number in range(num_clusters)]
    first = groups_in_turns(candidates, clusters, names, ~is_noise, size, seed)
    rest = in_random_order(candidates, is_noise, size - len(first.positions), seed)
    return Picks(
        np.concatenate((first.positions, rest.positions)),
        np.concatenate((first.scores, np.zeros(len(rest.positions)))),
        counts,
    )


def clusters_of(
    vectors: "NDArray[np.int8]", sample: "NDArray[np.int64]", params: SemanticParams
) -> "NDArray[np.int64]":
    """Return the cluster of every row, shape (n,), -1 where it is in none.

    Args:
        vectors: shape (n, d); none is all zeros.
        sample: positions of the rows that are clustered, in order.
        params: how; with `noise: join` every row is in one, if there is any.
    """
    import numpy as np
    from sklearn.cluster import HDBSCAN
    from sklearn.metrics import pairwise_distances_argmin

    drawn = _unit(vectors[sample])
    centre = drawn.mean(axis=0)
    # The largest are the last.
    _, axes = np.linalg.eigh(np.cov(drawn - centre, rowvar=False))
    axes = axes[:, -params.components :]
    points = ((drawn - centre) @ axes).astype(np.float32)
    fewest = min(_FEWEST_ROWS, max(5, len(sample) // 50))
    smallest = max(fewest, round(params.min_share * len(sample)))
    if len(sample) <= max(smallest, params.min_samples):
        return np.full(len(vectors), NOISE)
    # Leaves of the tree of clusters: by excess of mass, HDBSCAN's default, two clusters near the
    # root may hold everything.
    search = HDBSCAN(
        min_cluster_size=smallest,
        min_samples=params.min_samples,
        cluster_selection_method="leaf",
        algorithm="kd_tree",
        copy=True,
    )
    of_sample = search.fit(points).labels_
    if params.noise == "join" and np.any(of_sample != NOISE):
        is_in = of_sample != NOISE
        sample, points, of_sample = sample[is_in], points[is_in], of_sample[is_in]
    logger.info("clustered %d rows", len(drawn))
    clusters = np.empty(len(vectors), np.int64)
    progress = Progress("rows given to clusters", len(vectors))
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = ((_unit(vectors[start : start + _BLOCK_ROWS]) - centre) @ axes).astype(np.float32)
        clusters[start : start + len(block)] = of_sample[pairwise_distances_argmin(block, points)]
        progress.add(len(block))
    clusters[sample] = of_sample  # also where another row is at the same place
    return clusters


def _unit(vectors: "NDArray[np.int8]") -> "NDArray[np.float64]":
    """Return vectors of length 1."""
    import numpy as np

    floats = vectors.astype(np.float64)
    return np.asarray(floats / np.linalg.norm(floats, axis=1, keepdims=True))


SELECTOR = Selector(params=SemanticParams, requires=("embedding",), select=select_semantic)
