"""Topics: the same number from every domain (paper, section 3.2)."""

from collections import defaultdict
from collections.abc import Sequence

from nt_pkg.seeds import order_key
from nt_pkg.selectors._base import Candidate, NoParams, Picked, Selector


def select_topics(
    params: NoParams, candidates: Sequence[Candidate], size: int, seed: int
) -> list[Picked]:
    """Return one random row of each domain in turn; a domain that runs out drops out.

    The paper's 10k set has about 850 rows of each of 12 domains, so a domain that is too small does
    not lower the others.
    """
    domains: dict[str, list[str]] = defaultdict(list)
    for candidate in candidates:
        domains[candidate.labels["domain"]].append(candidate.id)
    turns: list[tuple[int, int, str, float]] = []
    for domain, ids in domains.items():
        ids.sort(key=lambda row_id: order_key(seed, row_id))
        share = 1 / len(ids)
        turns.extend(
            (turn, order_key(seed, domain), row_id, share) for turn, row_id in enumerate(ids)
        )
    turns.sort()
    return [Picked(row_id, share) for _, _, row_id, share in turns[:size]]


SELECTOR = Selector(params=NoParams, requires=("domain",), select=select_topics)
