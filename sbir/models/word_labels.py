"""Texts and photos mapped to their labels by two linear maps: what image-text networks have to beat first."""

import re
import zlib

import torch
from torch import Tensor
from torch.nn import functional

from sbir.models.closed_form import Blocks
from sbir.models.method import Method
from sbir.models.settings import check_positive
from sbir.models.texts import texts_of
from sbir.types import DataSpec, Rows, TrainRows, Views

BUCKETS = 4096  # of words
SIDE = 32  # pixels that are looked at, at most
_WORD = re.compile(r"\w+")


class WordLabels(Method):
    """Ranks by the cosine between the labels that a ridge regression predicts of each side.

    Texts are bags of words (each word in one of 4096 buckets by its CRC-32), photos their pixels, averaged down to 32 x
    32 where there are more; both are centred on their training mean, as are the labels (the class, of data that have
    one). Solved in float64; `penalty` is relative, as in `LinearMap`. It sees the labels that the networks see.
    """

    query_columns = ("text",)
    gallery_columns = ("image",)
    query_domain = "text"
    gallery_domain = "photo"

    def __init__(self, spec: DataSpec, *, penalty: float = 1.0) -> None:
        super().__init__()
        check_positive(penalty=penalty)
        self.penalty, self.num_classes = penalty, spec.num_classes
        self.side = min(SIDE, spec.gallery["image"][0])
        for name, width in (("text", BUCKETS), ("image", 3 * self.side**2)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_weight", torch.zeros(width, spec.num_labels or spec.num_classes))

    def fit(self, rows: TrainRows) -> None:
        """Solve for both maps."""
        sides = {
            "text": (_bags(rows.query["text"]), self._targets(rows.labels, rows.tags)),
            "image": (self._pixels(rows.gallery["image"]), self._targets(rows.gallery_labels, rows.gallery_tags)),
        }
        for name, (seen, wanted) in sides.items():
            mean = seen.mean(0)
            self.get_buffer(f"{name}_mean").copy_(mean)
            self.get_buffer(f"{name}_weight").copy_(_ridge(seen - mean, wanted - wanted.mean(0), self.penalty))

    def embed_query(self, rows: Rows) -> Views:
        """Predicted labels (n, L) of texts, centred."""
        return {"labels": self._predict("text", _bags(rows["text"]))}

    def embed_gallery(self, rows: Rows) -> Views:
        """Predicted labels (n, L) of photos, centred."""
        return {"labels": self._predict("image", self._pixels(rows["image"]))}

    @property
    def given(self) -> str:
        """The labels of both sides."""
        return "labels"

    def _predict(self, name: str, seen: Tensor) -> Tensor:
        return (seen - self.get_buffer(f"{name}_mean")) @ self.get_buffer(f"{name}_weight")

    def _pixels(self, images: Tensor) -> Tensor:
        """Images (n, S, S, 3) uint8 -> (n, s · s · 3) in [0, 1]."""
        parts = [
            functional.adaptive_avg_pool2d(some.permute(0, 3, 1, 2).float() / 255, self.side)
            for some in torch.split(images, 256)
        ]
        return torch.cat(parts).flatten(1)

    def _targets(self, labels: Tensor, tags: Tensor | None) -> Tensor:
        return functional.one_hot(labels, self.num_classes).float() if tags is None else tags.float()


def _ridge(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    def make(some: Tensor) -> tuple[Tensor, Tensor]:
        return x[some].double(), y[some].double()

    return Blocks(torch.arange(len(x), device=x.device), x.shape[1], make).ridge(penalty).float()


def _bags(column: Tensor) -> Tensor:
    """Bags of words (n, 4096) of texts (n, bytes), each of length 1."""
    bags = torch.zeros(len(column), BUCKETS)
    for row, text in enumerate(texts_of(column)):
        for word in _WORD.findall(text.lower()):
            bags[row, zlib.crc32(word.encode()) % BUCKETS] += 1
    return functional.normalize(bags).to(column.device)
