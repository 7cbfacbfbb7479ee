"""Vectors as labels."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nt_pkg.files.vectors import MAX_DIMENSIONS, are_vectors, decode, encode
from nt_pkg.identity.seeds import generator


@pytest.mark.parametrize("dimensions", [1, 2, 3, 384, MAX_DIMENSIONS])
def test_directions_come_back(dimensions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all rows, from several blocks and from a part of a column."""
    monkeypatch.setattr("nt_pkg.files.vectors._BLOCK_ROWS", 7)
    given = generator("test", dimensions).normal(size=(40, dimensions))
    column = pa.array(encode(given))[10:]

    found = decode("embedding", column).astype(float)

    assert found.shape == (30, -(-dimensions // 3) * 3)
    assert not found[:, dimensions:].any()
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(given[10:], axis=1)
    cosines = np.einsum("nd,nd->n", found[:, :dimensions], given[10:]) / lengths
    assert cosines.min() > 0.9998  # about a degree


def test_only_the_direction_counts() -> None:
    given = generator("test").normal(size=(3, 9))

    assert encode(given) == encode(given * 0.25)


def test_no_direction_no_label() -> None:
    assert encode(np.array([[0.0, 0.0], [0.0, -1.0]]))[0] is None


def test_products_are_exact_in_float32() -> None:
    """The largest sum that there can be."""
    vectors = decode("embedding", pa.array(encode(np.ones((2, MAX_DIMENSIONS)))))

    products = vectors.astype(np.float32) @ vectors.astype(np.float32).T

    assert products.tolist() == [[127**2 * MAX_DIMENSIONS] * 2] * 2


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (encode(generator("test").normal(size=(300, 384))), True),
        (["Engineerings"] * 300, False),  # three bytes for every four letters
        (["law", "medicine"], False),
        ([3.5, 4], False),
        ([], False),
    ],
)
def test_vectors_are_told_from_names(labels: list[Any], expected: bool) -> None:
    texts = pa.array(map(json.dumps, labels), pa.string())

    assert are_vectors(texts) is expected


@pytest.mark.parametrize(
    "labels",
    [[3, 4], ["law", "medicine"], ["AAAA", "f4CB"], ["f4CB", "f4CBf4CB"], ["f4==", "f4=="]],
)
def test_other_labels_are_refused(labels: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"annotation embedding holds no vectors .*hashed_words"):
        decode("embedding", pa.array(labels))
