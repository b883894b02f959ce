"""Customers alike.

What belongs here: the nearest customers of a block of customers. What does not: what they bought (`snapshot`), and items alike.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from plinth.recommend.item_item import truncated
from plinth.recommend.log import Array


def unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The rows scaled to length 1, each item damped by the root of how many customers have it."""
    popularity = np.bincount(matrix.indices, minlength=matrix.shape[1])
    scaled = matrix.copy()
    scaled.data = scaled.data / np.sqrt(np.maximum(popularity, 1))[scaled.indices].astype(np.float32)
    length = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    return sparse.csr_matrix(sparse.diags(scale.astype(np.float32)) @ scaled)


def nearest(units: sparse.csr_matrix, pool: Array, customers: Array, neighbours: int) -> sparse.csr_matrix:
    """The nearest customers of each customer, by their place in the pool; the weights of a row have the sum 1.

    Args:
        units: rows of length 1 of all customers (`unit_rows`).
        pool: customers among whom neighbours are looked for.
        customers: whose neighbours are asked for; nobody is his own neighbour.
        neighbours: how many.
    """
    near = (units[customers] @ units[pool].T).tocsr()
    rows = np.repeat(np.arange(len(customers)), np.diff(near.indptr))
    near.data[pool[near.indices] == customers[rows]] = 0.0
    near.eliminate_zeros()
    near = truncated(near, neighbours)
    total = np.maximum(np.asarray(near.sum(axis=1)).ravel(), 1e-9)
    return sparse.csr_matrix(sparse.diags((1.0 / total).astype(np.float32)) @ near)
