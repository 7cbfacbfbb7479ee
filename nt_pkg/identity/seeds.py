"""Random generators seeded by their purpose, never by global state."""

import hashlib
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def digest_int(*parts: object) -> int:
    """Return a 64-bit integer that depends only on the text of `parts`."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def digest_ints(texts: Iterable[str], *parts: object) -> "np.ndarray":
    """Return `digest_int(*parts, text)` of every text, as unsigned 64-bit integers, shape (n,)."""
    import numpy as np

    before = hashlib.sha256("".join(f"{part}\x1f" for part in parts).encode())

    def digest(text: str) -> bytes:
        found = before.copy()
        found.update(text.encode())
        return found.digest()[:8]

    return np.frombuffer(b"".join(map(digest, texts)), dtype=">u8").astype(np.uint64)


def rng(*parts: object) -> random.Random:
    """Return a generator for one purpose, for example `rng("subset", name, seed)`."""
    return random.Random(digest_int(*parts))


def generator(*parts: object) -> "np.random.Generator":
    """Return the numpy generator for one purpose; see `rng`."""
    import numpy as np

    return np.random.default_rng(digest_int(*parts))


def order_key(seed: int, row_id: str) -> int:
    """Return a pseudo-random sort key of a row that does not depend on other rows.

    Sorting by it gives the same order for any input order and sharding, and smaller prefixes are
    contained in larger ones.
    """
    return digest_int("order", seed, row_id)


def order_keys(seed: int, row_ids: Iterable[str]) -> "np.ndarray":
    """Return the `order_key` of every row, shape (n,)."""
    return digest_ints(row_ids, "order", seed)
