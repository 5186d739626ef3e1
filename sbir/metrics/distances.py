"""Distances between queries and a gallery, exact and the same for every chunk size, and the two ways to fuse them."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from sbir.types import Distance

FUSIONS = ("0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0", "min")
"""Late fusion of two views: lambda (weight of the first view's distance), or the element-wise minimum ("Com")."""

_BLOCK = 64  # rows of one matrix product


class GalleryDistances:
    """Distances of queries (Q, D) to a gallery (G, D) of one view, in float32.

    Matrix products choose their summation by shape, so every product here has 64 query rows (the last one padded), and
    a query always lies at the same place in its product: the figures do not depend on how many queries are scored at
    once. `cosine` clamps the norm at 1e-12, so that an all-zero row has the distance 1 to everything; `euclidean` is
    taken about the gallery's mean, since |q|² + |g|² - 2qg loses digits far from the origin (error near equal rows:
    about 1e-3 of their distance to that mean).
    """

    def __init__(self, query: Tensor, gallery: Tensor, distance: Distance) -> None:
        query, gallery = query.detach().float(), gallery.detach().float()
        self.distance = distance
        self._mean = gallery.mean(0)
        self.query, self.gallery = self._placed(query), self._placed(gallery)
        self._square = self.gallery.square().sum(1)  # G

    def rows(self, start: int, stop: int) -> Tensor:
        """Distances of queries start..stop, (stop - start, G); `start` is a multiple of 64."""
        return torch.cat([self._block(self.query[i : min(i + _BLOCK, stop)]) for i in range(start, stop, _BLOCK)])

    def of(self, query: Tensor) -> Tensor:
        """Distances (G,) of another query (D,), the same as if it stood among the queries."""
        return self._block(self._placed(query.detach().float()[None]))[0]

    def _placed(self, rows: Tensor) -> Tensor:
        return F.normalize(rows, dim=1, eps=1e-12) if self.distance == "cosine" else rows - self._mean

    def _block(self, query: Tensor) -> Tensor:
        padded = F.pad(query, (0, 0, 0, _BLOCK - len(query)))
        product = (padded @ self.gallery.T)[: len(query)]
        if self.distance == "cosine":
            return product.neg_().add_(1)
        squares = query.square().sum(1, keepdim=True) + self._square
        return product.mul_(-2).add_(squares).clamp_(min=0).sqrt_()


def fuse(first: Tensor, second: Tensor, fusion: str) -> Tensor:
    """lambda * first + (1 - lambda) * second, or their element-wise minimum.

    >>> fuse(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.5]), "0.5").tolist()
    [0.5, 0.75]
    >>> fuse(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.5]), "min").tolist()
    [0.0, 0.5]
    """
    if fusion == "min":
        return torch.minimum(first, second)
    weight = float(fusion)
    return weight * first + (1 - weight) * second


def nearest(distances: Tensor, k: int) -> Tensor:
    """Positions (B, k) of the k smallest of each row (B, G), nearest first, equal distances in gallery row order.

    >>> nearest(torch.tensor([[0.5, 0.1, 0.5, 0.5, 0.1]]), 3).tolist()
    [[1, 4, 0]]
    """
    num_gallery = distances.shape[1]
    if 4 * k >= num_gallery:
        return distances.sort(dim=1, stable=True).indices[:, :k]
    values, positions = distances.topk(k + 1, dim=1, largest=False)
    cut_through_tie = values[:, k - 1] == values[:, k]
    positions = positions[:, :k].sort(dim=1).values  # topk orders ties as it likes: row order first, then by distance
    positions = positions.gather(1, distances.gather(1, positions).sort(dim=1, stable=True).indices)
    if cut_through_tie.any():  # which of the equal ones topk kept is open too: rank these rows in full
        positions[cut_through_tie] = distances[cut_through_tie].sort(dim=1, stable=True).indices[:, :k]
    return positions


def chunks(num_queries: int, chunk: int) -> Iterator[tuple[int, int]]:
    """Bounds of about `chunk` queries each, on multiples of 64."""
    size = max(_BLOCK, chunk // _BLOCK * _BLOCK)
    for start in range(0, num_queries, size):
        yield start, min(start + size, num_queries)
