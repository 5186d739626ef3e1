"""The few types that the rooms of the package share.

Shapes in this project: `B` batch, `Q` queries, `G` gallery, `D` embedding or feature, `C` classes, `K` bits, `T`
points.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor

Rows = Mapping[str, Tensor]
"""Column -> (n, ...): items as a method takes them in, for example `feature` (n, D)."""

Views = Mapping[str, Tensor]
"""Name -> (n, d): what a method embeds items into. Most methods have one view; two are fused late, the first weighted
by lambda."""

Role = Literal["positive", "same_class", "other_instance", "negative"]
Domain = Literal["sketch", "photo", "text"]
Distance = Literal["cosine", "euclidean", "hamming"]
Pairing = Literal["paired", "unpaired"]


@dataclass(frozen=True)
class Sampling:
    """Which gallery rows a method wants beside each query of a batch.

    `positive` is the query's own photo when `pairing` is "paired" (a photo of its class where it has none), and a
    uniform draw from the query's class when it is "unpaired". `same_class` is a uniform draw from the class (it may be
    the own photo), `other_instance` one that is not the own photo, `negative` a uniform photo of a uniform other class.
    `per_class` K makes every batch one of P x K queries: K of each of P classes (P-K sampling of deep metric learning).
    """

    roles: tuple[Role, ...]
    pairing: Pairing = "paired"
    per_class: int | None = None


@dataclass(frozen=True)
class Batch:
    """One training batch: row i of every role belongs to query row i."""

    query: Rows  # B rows
    gallery: Mapping[Role, Rows]  # only the roles that the method asks for, B rows each
    labels: Tensor  # (B,) int64 in [0, num_classes), of the query
    gallery_labels: Mapping[Role, Tensor]  # (B,) int64 each
    tags: Tensor | None = None  # (B, L) bool, of the query, where the store has several labels an item
    instances: Tensor | None = None  # (B,) int64: which queries show one thing, -1 where that is not known


@dataclass(frozen=True)
class DataSpec:
    """All that a method may know before it sees data."""

    query: Mapping[str, tuple[int, ...]]  # column -> shape of one row
    gallery: Mapping[str, tuple[int, ...]]
    num_classes: int  # classes with training rows
    paired: bool  # whether training queries have their own photo in the training gallery
    signed: bool = False  # whether features have negative entries
    num_labels: int | None = None  # of data with several labels an item
    class_vectors: Tensor | None = None  # (C, d) class semantics, where the store has them


@dataclass(frozen=True)
class TrainRows:
    """All training rows at once, for what is fitted in closed form."""

    query: Rows  # Q rows
    labels: Tensor  # (Q,) int64
    gallery: Rows  # G rows
    gallery_labels: Tensor  # (G,) int64
    pairs: Tensor  # (Q,) int64: the gallery row that shows the query's own instance, -1 where there is none
    tags: Tensor | None = None  # (Q, L) bool, of the queries, where the store has several labels an item
    gallery_tags: Tensor | None = None  # (G, L) bool


class Player(NamedTuple):
    """Who steps which parameters on which loss: one for most methods, two for adversarial ones."""

    name: str
    parameters: list[Any]  # as torch.optim takes it: tensors, or groups, with `lr_scale` a factor on the learning rate
    loss: Callable[[Batch], dict[str, Tensor]]


class Stage(NamedTuple):
    """A part of the training with its own players and learning rate, for methods that are trained step by step."""

    name: str
    share: float  # of all steps; the shares of a method's stages sum to 1
    players: list[Player]
    lr: float = 1.0  # factor on every learning rate
    begin: Callable[[Iterator[tuple[Rows, Tensor]]], None] | None = None
    """Called before the stage's first step with all training queries, some rows and their labels at a time. What it
    computes belongs into buffers."""
