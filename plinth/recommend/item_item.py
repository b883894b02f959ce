"""Which item says what about which other: EASE, baskets in common, and descriptions alike.

What belongs here: sparse item-item matrices with truncated rows; row `i` says what the purchase of item `i` speaks for. What does not:
customers, and how the matrices are combined.

EASE: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019. With the Gram matrix G of the decayed purchases and
P = (G + lambda I)^-1, the weights are B = I - P / diag(P), whose diagonal is zero.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy import linalg, sparse

from plinth.recommend.log import Array

_TEXT_FLOOR = 0.08  # of the cosine: below it two descriptions have no more than "SET OF" in common
_MIRRORED = 512  # rows and columns of a block


def ease(weights: sparse.csr_matrix, *, penalty: float, most: int, row_items: int) -> sparse.csr_matrix:
    """EASE's weights; rows and columns of items outside the `most` with the greatest weight are empty.

    Args:
        weights: customers by items, decayed.
        penalty: the ridge, as a multiple of the mean diagonal of the Gram matrix.
        most: the inverse is dense: its cost grows with the third power of this.
        row_items: entries kept of each row.
    """
    items = weights.shape[1]
    popularity = np.bincount(weights.indices, weights.data, items)
    chosen = np.sort(np.argsort(-popularity, kind="stable")[: min(most, int((popularity > 0).sum()))])
    if len(chosen) < 2:
        return sparse.csr_matrix((items, items), dtype=np.float32)
    part = weights[:, chosen].tocsr()
    gram = np.asarray((part.T @ part).toarray(order="F"), dtype=np.float32)
    ridge = penalty * float(np.trace(gram)) / len(chosen)
    gram[np.diag_indices_from(gram)] += ridge
    inverse = _inverse(gram)
    inverse /= -np.diag(inverse)
    np.fill_diagonal(inverse, 0.0)
    return _spread(truncated_dense(inverse, row_items), chosen, items)


def _inverse(positive: Array) -> Array:
    """The inverse of a symmetric positive matrix in Fortran's order, which it overwrites; in C's order.

    Half the work of a general inverse. scipy keeps Python for itself meanwhile, which does good where cut-offs are learnt side by side: the others wait
    instead of taking the processors from BLAS's own threads, which would wait for each other actively (10 CPU seconds more of 35, tried).
    """
    # The other half of the factor is not read, so that it need not be cleared: 0.1 s for 3,500 items.
    factor, info = linalg.lapack.spotrf(positive, lower=1, overwrite_a=1, clean=0)
    if info == 0:
        factor, info = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"the item-item matrix is not positive definite (LAPACK says {info})")
    # Row by row the lower half of the columns is an upper one; it is mirrored in blocks that stay in a processor's cache, in a third of the time.
    inverse: Array = factor.T
    for first in range(0, len(inverse), _MIRRORED):
        end = first + _MIRRORED
        inverse[first:end, :first] = inverse[:first, first:end].T
        upper = np.triu(inverse[first:end, first:end])
        inverse[first:end, first:end] = upper + np.triu(upper, 1).T
    return inverse


class Common(Protocol):
    """How baskets in common are counted: `baskets_in_common`, or the same by an engine that holds more."""

    def __call__(self, baskets: sparse.csr_matrix, *, row_items: int, shrink: float = 10.0) -> sparse.csr_matrix:
        """The matrix of items by items, of each row the `row_items` largest entries."""
        ...


def baskets_in_common(baskets: sparse.csr_matrix, *, row_items: int, shrink: float = 10.0) -> sparse.csr_matrix:
    """Cosine of the items over the baskets that hold them, shrunk where the baskets in common are few.

    The weight of (i, j) is n_ij / sqrt(n_i n_j) x n_ij / (n_ij + shrink).
    """
    # As doubles: a product of two counts is beyond what a float holds exactly from 4,096 baskets on.
    counts = np.asarray(baskets.sum(axis=0), dtype=np.float64).ravel()
    common = (baskets.T @ baskets).tocsr()
    common.setdiag(0.0)
    common.eliminate_zeros()
    rows = np.repeat(np.arange(common.shape[0]), np.diff(common.indptr))
    together = common.data.astype(np.float64)
    scale = np.sqrt(counts[rows] * counts[common.indices])
    common.data = (together / scale * together / (together + shrink)).astype(np.float32)
    return truncated(common, row_items)


def descriptions_alike(descriptions: Array, *, row_items: int) -> sparse.csr_matrix:
    """Cosine of the TF-IDF of the descriptions' words and word parts, without what is too far to mean anything.

    This is how an item that nobody has bought yet has neighbours.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    items = len(descriptions)
    words = TfidfVectorizer(
        analyzer="word", token_pattern=r"(?u)[^\W\d_]{2,}|\d+", ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32
    )
    analyze = words.build_analyzer()
    if not any(analyze(text.lower()) for text in descriptions):
        return sparse.csr_matrix((items, items), dtype=np.float32)
    vectors = words.fit_transform([text.lower() for text in descriptions]).tocsr()
    blocks = []
    for first in range(0, items, 1024):
        alike = (vectors[first : first + 1024] @ vectors.T).tocsr()
        rows = np.repeat(np.arange(alike.shape[0]), np.diff(alike.indptr))
        alike.data[(alike.data < _TEXT_FLOOR) | (alike.indices == rows + first)] = 0.0
        alike.eliminate_zeros()
        blocks.append(truncated(alike, row_items))
    return sparse.vstack(blocks, format="csr")


def truncated(matrix: sparse.csr_matrix, row_items: int) -> sparse.csr_matrix:
    """The entries of each row that are largest; of equal ones those of the lower column."""
    if not matrix.has_sorted_indices:
        matrix = matrix.sorted_indices()
    keep = np.ones(matrix.nnz, dtype=bool)
    for row in np.flatnonzero(np.diff(matrix.indptr) > row_items).tolist():
        low, high = matrix.indptr[row], matrix.indptr[row + 1]
        keep[low:high] = _largest(matrix.data[low:high], row_items)
    pointer = np.concatenate([[0], np.cumsum(keep)])[matrix.indptr]
    return sparse.csr_matrix((matrix.data[keep], matrix.indices[keep], pointer), shape=matrix.shape)


def _largest(values: Array, count: int) -> Array:
    """Which of more than `count` values are the largest. A partition and not a sort: of a thousand values it takes a tenth of the time."""
    if count < 1:
        return np.zeros(len(values), dtype=bool)
    least = np.partition(values, len(values) - count)[len(values) - count]
    chosen: Array = values > least
    chosen[np.flatnonzero(values == least)[: count - int(chosen.sum())]] = True
    return chosen


def truncated_dense(matrix: Array, row_items: int) -> sparse.csr_matrix:
    """The entries of each row of a dense matrix that are farthest from zero, as a sparse one."""
    size = matrix.shape[1]
    if row_items >= size:
        return sparse.csr_matrix(matrix, dtype=np.float32)
    columns = np.empty((matrix.shape[0], row_items), dtype=np.int32)
    for first in range(0, matrix.shape[0], 512):
        block = -np.abs(matrix[first : first + 512])
        columns[first : first + 512] = np.sort(np.argpartition(block, row_items, axis=1)[:, :row_items], axis=1)
    values = np.take_along_axis(matrix, columns.astype(np.int64), axis=1).astype(np.float32)
    pointer = np.arange(matrix.shape[0] + 1) * row_items
    return sparse.csr_matrix((values.ravel(), columns.ravel(), pointer), shape=matrix.shape)


def _spread(part: sparse.csr_matrix, chosen: Array, items: int) -> sparse.csr_matrix:
    """The matrix of the chosen items as one of all items."""
    lengths = np.zeros(items, dtype=np.int64)
    lengths[chosen] = np.diff(part.indptr)
    pointer = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_matrix((part.data, chosen[part.indices].astype(np.int32), pointer), shape=(items, items))
