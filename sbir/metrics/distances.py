"""Distances between queries and a gallery, exact and the same for every chunk size, and the two ways to fuse them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sbir.types import Distance

FUSIONS = ("0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0", "min")
"""Late fusion of two views: lambda (weight of the first view's distance), or the element-wise minimum ("Com")."""

_BLOCK = 64  # rows of one matrix product
_AT_ONCE = 16  # rows that are sorted together: what is made on the way stays in the processor's caches


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
        if distance != "cosine":
            self._mean = gallery.mean(0)
        self.query, self.gallery = self._placed(query), self._placed(gallery)
        if distance != "cosine":
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
        return _order(distances)[:, :k]
    near = distances <= _kth(distances, k)[:, None]
    positions = torch.empty(len(distances), k, dtype=torch.int64, device=distances.device)
    plain = near.sum(1) == k  # in the other rows the k-th distance ties with further ones: these are ranked in full
    positions[~plain] = _order(distances[~plain])[:, :k]
    found = near[plain].nonzero()[:, 1].view(-1, k)  # in row order, which ties keep
    positions[plain] = found.gather(1, _order(distances[plain].gather(1, found)))
    return positions


def _kth(distances: Tensor, k: int) -> Tensor:
    """The k-th smallest of each row (B, G), (B,)."""
    if distances.device.type == "cpu":  # numpy has vector instructions for it, torch 2 has not
        return torch.from_numpy(np.partition(distances.numpy(), k - 1, axis=1)[:, k - 1])
    return distances.topk(k, dim=1, largest=False).values[:, -1]


def _order(distances: Tensor) -> Tensor:
    """Positions (B, G) by distance, equal ones in gallery row order.

    On a CPU a float's bits and its position make one integer, since numpy sorts integers with vector instructions: six
    times faster than torch's stable sort, and the same order.
    """
    if distances.device.type != "cpu":
        return distances.sort(dim=1, stable=True).indices
    order = torch.empty(distances.shape, dtype=torch.int64)
    position = torch.arange(distances.shape[1])
    for some, keys in zip(torch.split(distances, _AT_ONCE), torch.split(order, _AT_ONCE), strict=True):
        bits = (some + 0.0).view(torch.int32)  # the sum makes -0.0 the 0.0 that it equals
        keys.copy_(bits ^ ((bits >> 31) & 0x7FFFFFFF))  # bits of negative floats fall as the floats rise
        keys.bitwise_left_shift_(32).bitwise_or_(position)
        keys.numpy().sort(axis=1)
        keys.bitwise_and_(0xFFFFFFFF)
    return order


def chunks(num_queries: int, chunk: int) -> Iterator[tuple[int, int]]:
    """Bounds of about `chunk` queries each, on multiples of 64."""
    size = max(_BLOCK, chunk // _BLOCK * _BLOCK)
    for start in range(0, num_queries, size):
        yield start, min(start + size, num_queries)
