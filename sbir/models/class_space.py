"""What zero-shot learners in closed form have in common here: classes are known by the mean of their sketches."""

import torch
from torch import Tensor

from sbir.models.closed_form import Blocks, class_means
from sbir.models.method import Method
from sbir.models.settings import feature_widths
from sbir.types import DataSpec, Rows, TrainRows


class ClassSpace(Method):
    """A method that was made for attributes or word vectors of classes, with sketches in their place.

    The vector of a class is the mean feature of its training sketches (zero for a class without any), and at retrieval
    a query's feature is the vector of the class that is looked for. `centre` subtracts each side's training mean.
    """

    query_mean: Tensor
    gallery_mean: Tensor

    def __init__(self, spec: DataSpec, *, centre: bool) -> None:
        super().__init__()
        self.centre, self.num_classes = centre, spec.num_classes
        query, gallery = feature_widths(spec)
        self.register_buffer("query_mean", torch.zeros(query))
        self.register_buffer("gallery_mean", torch.zeros(gallery))

    @property
    def given(self) -> str:
        """The classes of both sides."""
        return "class labels"

    def fit_means(self, rows: TrainRows) -> None:
        """Take the means that `centre` asks for."""
        if self.centre:
            self.query_mean.copy_(rows.query["feature"].mean(0))
            self.gallery_mean.copy_(rows.gallery["feature"].mean(0))

    def class_vectors(self, rows: TrainRows) -> Tensor:
        """(C, D) in float64."""
        means, known = class_means(rows.query["feature"], rows.labels, self.num_classes)
        return (means - self.query_mean.double()) * known[:, None]

    def photos(self, rows: TrainRows, of_classes: Tensor) -> Blocks:
        """Photo features and the row of `of_classes` (C, E) that belongs to each one's class."""

        def make(some: Tensor) -> tuple[Tensor, Tensor]:
            x = rows.gallery["feature"][some].double() - self.gallery_mean.double()
            return x, of_classes[rows.gallery_labels[some]]

        every = torch.arange(len(rows.gallery_labels), device=rows.gallery_labels.device)
        return Blocks(every, rows.gallery["feature"].shape[1], make)

    def query(self, rows: Rows) -> Tensor:
        """Query features (n, D), centred or not."""
        return rows["feature"] - self.query_mean

    def gallery(self, rows: Rows) -> Tensor:
        """Gallery features (n, D), centred or not."""
        return rows["feature"] - self.gallery_mean
