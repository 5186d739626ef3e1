"""Solvers that closed forms share: in float64, over blocks of rows, in the smaller of primal and dual form."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sbir.types import TrainRows

ROWS_AT_ONCE = 4096  # in float64, so that a whole training set need not be


class Blocks:
    """Training rows as blocks of x (n, D) and y (n, E) in float64, made anew in every pass.

    `make` gives x and y of some of `rows`; D is `width`.
    """

    def __init__(self, rows: Tensor, width: int, make: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        self._rows, self._make, self._device = rows, make, rows.device
        self.is_wide = len(rows) < width

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self._make(some) for some in torch.split(self._rows, ROWS_AT_ONCE))

    def stacked(self) -> tuple[Tensor, Tensor]:
        """All of x and y at once, for sides with fewer rows than features."""
        xs, ys = zip(*self, strict=True)
        return torch.cat(xs), torch.cat(ys)

    def gram(self) -> Tensor:
        """Xᵀ X, (D, D)."""
        return sum((x.T @ x for x, _ in self), self._zero())

    def cross(self) -> Tensor:
        """Xᵀ Y, (D, E)."""
        return sum((x.T @ y for x, y in self), self._zero())

    def mean_target(self) -> Tensor:
        """Mean of y, (E,)."""
        return sum((y.sum(0) for _, y in self), self._zero()) / len(self._rows)

    def ridge(self, penalty: float) -> Tensor:
        """W (D, E) of least |XW - Y|² + penalty · s · |W|², where s is the mean eigenvalue of the smaller Gram matrix.

        So `penalty` means the same on every data set.
        """
        if self.is_wide:
            x, y = self.stacked()
            # W is stored in float32; its large last product in that precision costs half the time.
            return x.T.float() @ solve(x @ x.T, y, penalty).float()
        return solve(self.gram(), self.cross(), penalty)

    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (r,) and eigenvectors (D, r) of Xᵀ X, at least all those that are not zero."""
        if self.is_wide:
            _, values, vectors = torch.linalg.svd(self.stacked()[0], full_matrices=False)
            return values.square(), vectors.T
        values, vectors = torch.linalg.eigh(self.gram())
        return values.clamp(min=0), vectors

    def _zero(self) -> Tensor:
        return torch.zeros((), dtype=torch.float64, device=self._device)


def pairs(rows: TrainRows, query_mean: Tensor | None) -> Blocks:
    """Query features, and what they are to be mapped to: the own photo, or the class's mean photo where there is none.

    A query without own photo whose class has no training photo is left out. With a `query_mean`, it is subtracted from
    the queries, and the targets are centred on their own mean.
    """
    num_classes = 1 + int(torch.cat([rows.labels, rows.gallery_labels]).max())
    means, known = class_means(rows.gallery["feature"], rows.gallery_labels, num_classes)
    usable = torch.nonzero((rows.pairs >= 0) | known[rows.labels])[:, 0]
    if not len(usable):
        raise ValueError("a linear map needs a query with its own photo or a photo of its class, got none in train")
    shift = torch.zeros_like(means[0])

    def make(some: Tensor) -> tuple[Tensor, Tensor]:
        own_row = rows.pairs[some]
        own = rows.gallery["feature"][own_row.clamp(min=0)].double()
        y = torch.where((own_row >= 0)[:, None], own, means[rows.labels[some]])
        x = rows.query["feature"][some].double()
        return (x if query_mean is None else x - query_mean.double()), y - shift

    blocks = Blocks(usable, rows.query["feature"].shape[1], make)
    if query_mean is not None:
        shift = blocks.mean_target()
    return blocks


def class_sums(features: Tensor, labels: Tensor, count: int) -> Tensor:
    """Sum of the features of every class, (n, D), (n,) -> (C, D), float64."""
    sums = torch.zeros(count, features.shape[1], dtype=torch.float64, device=features.device)
    for some, which in zip(torch.split(features, ROWS_AT_ONCE), torch.split(labels, ROWS_AT_ONCE), strict=True):
        sums.index_add_(0, which, some.double())
    return sums


def class_means(features: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean feature of every class (C, D), float64 and zero where there is none, and which classes have one (C,)."""
    sizes = torch.bincount(labels, minlength=count)
    return class_sums(features, labels, count) / sizes.clamp(min=1)[:, None], sizes > 0


def solve(gram: Tensor, target: Tensor, penalty: float) -> Tensor:
    """(gram + penalty · mean eigenvalue · I)⁻¹ target; changes `gram`."""
    mean_eigenvalue = gram.diagonal().mean()
    tiny = torch.finfo(gram.dtype).tiny  # constant features: the map is zero, not an error
    gram.diagonal().add_(penalty * mean_eigenvalue + tiny)
    return torch.cholesky_solve(target, torch.linalg.cholesky(gram))
