"""The one interface that every method implements; the trainer knows no method by name."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor, nn

from sbir.types import Batch, Distance, Domain, Player, Rows, Sampling, Stage, TrainRows, Views


class Method(nn.Module, ABC):
    """A retrieval method: it embeds queries and gallery items into one space.

    A subclass's constructor is its configuration: `__init__(self, spec: DataSpec, *, latent: int = 1024, ...)`,
    keyword-only settings with the paper's values as defaults; a bad value raises `ValueError` there. A method without
    parameters is a closed form: `fit` does all of its work and no step is taken.
    """

    sampling: Sampling = Sampling(roles=())
    distance: Distance = "cosine"
    query_columns: ClassVar[tuple[str, ...]] = ("feature",)
    gallery_columns: ClassVar[tuple[str, ...]] = ("feature",)
    query_domain: ClassVar[Domain] = "sketch"
    gallery_domain: ClassVar[Domain] = "photo"  # what it retrieves for a query

    capturable: ClassVar[bool] = False
    """Whether a step of its players does no work on the host, so that a CUDA graph can repeat it: no `.item()`, no
    branch on a tensor's value, no shape that depends on one, no random numbers but torch's on the device. A subclass
    that overrides a loss inherits the promise."""

    fit_columns: ClassVar[tuple[str, ...] | None] = None  # what `fit` looks at; all columns where it is None

    def check_files(self) -> None:
        """Raise `ValueError` where a file or download that `fit` needs cannot be had.

        Asked once before a run begins, for every setting that it may take; the constructor itself reads no weights.
        """

    def fit(self, rows: TrainRows) -> None:
        """See all training rows once, before the first step. Fitted tensors belong into buffers."""

    def begin_epoch(
        self, queries: Iterator[tuple[Rows, Tensor]], gallery: Iterator[tuple[Rows, Tensor]]
    ) -> dict[str, float]:
        """Called before the first step of every pass over the training queries, with all training rows and labels, some
        at a time: for closed-form steps between the optimiser's. What it computes belongs into buffers; figures that it
        returns go to the log."""
        return {}

    def pictures(self, query: Rows, gallery: Rows) -> dict[str, Tensor]:
        """What a method that draws makes of n queries and n gallery items: title -> (n, 3, S, S) in [0, 1]. A final
        training saves them at several steps."""
        return {}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar loss terms by name, already weighted; their sum is minimised."""
        raise NotImplementedError(f"{type(self).__name__} has parameters and so must define a loss")

    def metrics(self) -> dict[str, float]:
        """Further figures of the last training batch for the log, such as the KL divergence in nats."""
        return {}

    @abstractmethod
    def embed_query(self, rows: Rows) -> Views:
        """Views of n queries, each (n, d); deterministic in eval mode."""

    @abstractmethod
    def embed_gallery(self, rows: Rows) -> Views:
        """The same views of n gallery items, each (n, d)."""

    @property
    def given(self) -> str:
        """What training is told, for the line that stands beside every figure: pairs, class labels, or both."""
        roles = self.sampling.roles
        paired = self.sampling.pairing == "paired" and "positive" in roles
        told = ["sketch-photo pairs"] * paired + ["class labels"] * (bool(roles) and (not paired or len(roles) > 1))
        return " and ".join(told) or "nothing"

    @property
    def pretrained(self) -> str:
        """Which weights from elsewhere training begins with, for the same line; empty for random ones."""
        return ""

    def players(self) -> list[Player]:
        """Who trains: by default all parameters on `loss`, and nobody where there are no parameters."""
        parameters = list(self.parameters())
        return [Player("model", parameters, self.loss)] if parameters else []

    def stages(self) -> list[Stage]:
        """What is trained when: by default one stage, in which `players` play from the first step to the last."""
        return [Stage("train", 1.0, self.players())]
