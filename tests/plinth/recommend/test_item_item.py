"""The item-item models hold what their definitions say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from plinth.recommend.item_item import ease, truncated


@pytest.mark.parametrize("items", [40, 700], ids=["less than a block", "several blocks"])
def test_ease_is_the_inverse_of_its_definition(items: int) -> None:
    random = np.random.default_rng(1)
    weights = sparse.random(3 * items, items, 0.2, format="csr", dtype=np.float32, random_state=random)
    found = ease(weights, penalty=0.5, most=items, row_items=items).toarray()
    gram = (weights.T @ weights).toarray().astype(np.float64)
    inverse = np.linalg.inv(gram + 0.5 * np.trace(gram) / items * np.eye(items))
    wanted = -inverse / np.diag(inverse)
    np.fill_diagonal(wanted, 0.0)
    assert np.allclose(found, wanted, atol=1e-4)
    assert np.abs(wanted).max() > 0.01


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_the_largest_of_a_row_stay_and_of_equal_ones_those_of_the_lower_column(count: int) -> None:
    random = np.random.default_rng(2)
    matrix = sparse.random(30, 60, 0.5, format="csr", dtype=np.float32, random_state=random)
    matrix.data = np.round(matrix.data * 4) - 1  # many are equal, some below zero, and some a stored zero
    found = truncated(matrix, count)
    for row in range(30):
        columns = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
        values = matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
        best = sorted(zip(-values, columns, strict=True))[:count]
        kept = found.indices[found.indptr[row] : found.indptr[row + 1]].tolist()
        assert kept == sorted(int(column) for _, column in best)
