"""Vectors as labels: a short text for each vector, and a matrix for a column of them.

A vector is stored as a JSON text of signed bytes in base64; only its direction counts. So vectors
use the same schema and the same paths as other annotations, and 384 numbers take 512 bytes. A JSON
list would take three times as much, and a Python object per number when parsed.

We store bytes and not float16, because a float32 sum of products of bytes is exact for up to 1,024
numbers (127 * 127 * 1,026 < 2 ** 24) in any order. So a selector computes the same from vectors on
every processor and with any number of threads. The cost is an error of about half a degree in the
direction.
"""

import binascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a start of Snakemake imports the plugins of its study
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MAX_DIMENSIONS = 1024
_LARGEST = 127
_BLOCK_ROWS = 65_536
_SOME_ROWS = 100  # that tell vectors from names


def encode(vectors: "NDArray[np.float64]") -> list[str | None]:
    """Return the label of every vector, None for a zero vector, which has no direction.

    Args:
        vectors: shape (n, d), d at most `MAX_DIMENSIONS`. Each is scaled to a largest value of 127.
    """
    import numpy as np

    num_rows, dimensions = vectors.shape
    assert 1 <= dimensions <= MAX_DIMENSIONS, dimensions
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    scale = np.divide(_LARGEST, largest, out=np.zeros(num_rows), where=largest > 0)
    # Zeros up to a multiple of three, so that no text has base64 padding and all decode at once.
    signed = np.zeros((num_rows, -(-dimensions // 3) * 3), np.int8)
    signed[:, :dimensions] = np.rint(vectors * scale[:, None])
    return [
        binascii.b2a_base64(row, newline=False).decode() if is_some else None
        for row, is_some in zip(signed, (largest > 0).tolist(), strict=True)
    ]


def are_vectors(labels: "pa.Array") -> bool:
    """Return whether some labels, as the JSON texts that files hold, are vectors and no names.

    They are of one length, and the largest number of each is what `encode` made it.
    """
    import numpy as np
    import pyarrow.compute as pc

    some = labels.slice(0, _SOME_ROWS)
    try:
        vectors = decode("", pc.utf8_trim(some, characters='"'))
    except ValueError:
        return False
    return bool((np.abs(vectors.astype(int)).max(axis=1) == _LARGEST).all())


def decode(name: str, column: "pa.Array") -> "NDArray[np.int8]":
    """Return the vectors of a column of labels, shape (n, d), d a multiple of three.

    Memory is one byte per number.

    Args:
        name: name of the annotator, for messages.
        column: texts that `encode` returned.

    Raises:
        ValueError: the labels are not vectors, or have different lengths.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    refusal = f"annotation {name} holds no vectors of one length"
    advice = "give the annotator of this name a kind whose labels are vectors, such as hashed_words"
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(f"{refusal}, but labels of type {column.type}: {advice}")
    lengths = pc.min_max(pc.binary_length(column)).as_py()
    width = lengths["min"]
    is_one_length = width and width == lengths["max"] and not column.null_count
    if not is_one_length or width % 4 or width // 4 * 3 > MAX_DIMENSIONS + 2:
        raise ValueError(f"{refusal}: {advice}")
    vectors = np.empty((len(column), width // 4 * 3), np.int8)
    for start in range(0, len(column), _BLOCK_ROWS):
        texts = "".join(column.slice(start, _BLOCK_ROWS).to_pylist())
        try:
            block = np.frombuffer(binascii.a2b_base64(texts, strict_mode=True), np.int8)
            vectors[start : start + _BLOCK_ROWS] = block.reshape(-1, vectors.shape[1])
        except ValueError as error:  # binascii.Error is one
            raise ValueError(f"{refusal} ({error}): {advice}") from error
    if not vectors.any(axis=1).all():
        raise ValueError(f"{refusal}, but one that is all zeros: {advice}")
    return vectors
