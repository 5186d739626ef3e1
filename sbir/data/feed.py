"""From store rows to tensors on a device: training batches, and whole sides for evaluation."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbir.data.items import TEXT_FEATURE, Items
from sbir.data.protocol import Partition
from sbir.data.sampler import IndexBatch, Sampler, first_of
from sbir.data.transform import Transform, TransformSettings, check_width, fit_transform, output_width
from sbir.types import Batch, DataSpec, Role, Rows, TrainRows

Indices = NDArray[np.int64]
FLAGS = {"--backbone vgg16": {"feature"}, "--images 64": {"image"}, "--strokes 100": {"strokes", "num_points"}}
SIGN_ROWS = 256  # of a side, that show whether features have negative entries


class Columns:
    """Payload columns of a store as tensors on a device.

    On the CPU rows are gathered from the shared blocks; on a GPU a column moves to the device once, when it is first
    used, and every trial of the process indexes it there.
    """

    def __init__(self, items: Items, device: torch.device | str = "cpu") -> None:
        self.items, self.device = items, torch.device(device)
        self._resident: dict[str, Tensor] = {}

    def stored(self, column: str, rows: Indices) -> str:
        """The store's column behind a method's at rows of one domain: texts have features of a width of their own."""
        of_texts = column == "feature" and len(rows) and self.items.domain[rows[0]] == "text"
        return TEXT_FEATURE if of_texts and TEXT_FEATURE in self.items.payload else column

    def width(self, rows: Indices) -> int:
        """Entries of the stored feature at rows of one domain."""
        return int(self.items.payload[self.stored("feature", rows)].shape[0])

    def has_features(self, rows: Indices) -> bool:
        """Whether rows of one domain have features: where photos alone were extracted, those of texts are zeros."""
        if "feature" not in self.items.payload:
            return False
        seen = rows[:SIGN_ROWS]
        return not len(seen) or self.items.domain[seen[0]] != "text" or bool(self.take("feature", seen).any())

    def take(self, column: str, rows: Indices) -> Tensor:
        """Rows (n, ...) of one domain of a column, floating-point ones as float32."""
        column = self.stored(column, rows)
        if self.device.type == "cpu":
            return _gather(self.items, column, rows)
        return self.resident(column).index_select(0, torch.from_numpy(rows).to(self.device))

    def resident(self, column: str) -> Tensor:
        """A whole column of the store on the device, (n, ...), moved there when it is first asked for."""
        if column not in self._resident:
            everything = np.arange(len(self.items.class_id))
            self._resident[column] = _gather(self.items, column, everything).to(self.device)
        return self._resident[column]


def _gather(items: Items, column: str, rows: Indices) -> Tensor:
    payload = items.payload[column]
    out = torch.empty((len(rows), *payload.shape), dtype=getattr(torch, np.dtype(payload.dtype).name))
    payload.take(rows, out=out.numpy())
    return out.float() if out.is_floating_point() else out


@dataclass(frozen=True)
class Feed:
    """One trial's sight of the data: columns, transforms fitted on its training rows, and labels."""

    columns: Columns
    partition: Partition
    query_columns: tuple[str, ...]
    gallery_columns: tuple[str, ...]
    transforms: Mapping[str, Transform]  # "query" and "gallery", for the column `feature`
    label_of: Tensor  # (classes of the store,) int64: position among the training classes, -1 elsewhere

    def query(self, rows: Indices, only: Collection[str] | None = None) -> Rows:
        """Query columns at store rows, all or `only` some."""
        return self._side("query", self.query_columns, rows, only)

    def gallery(self, rows: Indices, only: Collection[str] | None = None) -> Rows:
        """Gallery columns at store rows, all or `only` some."""
        return self._side("gallery", self.gallery_columns, rows, only)

    def _side(self, side: str, columns: tuple[str, ...], rows: Indices, only: Collection[str] | None) -> Rows:
        wanted = [column for column in columns if only is None or column in only]
        return self._transformed(side, {column: self.columns.take(column, rows) for column in wanted})

    def _transformed(self, side: str, taken: dict[str, Tensor]) -> Rows:
        if "feature" in taken:
            taken["feature"] = self.transforms[side](taken["feature"])
        return taken

    def labels(self, rows: Indices) -> Tensor:
        """Labels (n,) int64 of store rows, in [0, num_classes) for training rows."""
        return self.label_of[torch.from_numpy(self.columns.items.class_id[rows])].to(self.columns.device)

    def tags(self, rows: Indices) -> Tensor | None:
        """Several labels of each store row, (n, L) bool, where the store has them."""
        return self.columns.take("labels", rows).bool() if "labels" in self.columns.items.payload else None

    def batches(self, sampler: Sampler, epoch: int, start: int) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start` on."""
        return (self._batch(batch) for batch in sampler.epoch(epoch, start))

    def gathered(self, rows: Tensor, roles: Sequence[Role]) -> Batch:
        """The batch of store rows (1 + roles, B) that lie on the device as all columns do: the host waits for nothing.

        Equal to what `batches` gives of the same rows.
        """
        query, *of_roles = rows.unbind()
        found = dict(zip(roles, of_roles, strict=True))
        tagged = "labels" in self.columns.items.payload
        return Batch(
            self._gather("query", self.query_columns, self.partition.train_query, query),
            {
                role: self._gather("gallery", self.gallery_columns, self.partition.train_gallery, one)
                for role, one in found.items()
            },
            self._numbers["label"].index_select(0, query),
            {role: self._numbers["label"].index_select(0, one) for role, one in found.items()},
            self.columns.resident("labels").index_select(0, query).bool() if tagged else None,
            self._numbers["instance"].index_select(0, query),
        )

    def _gather(self, side: str, columns: tuple[str, ...], of_side: Indices, rows: Tensor) -> Rows:
        stored = {column: self.columns.stored(column, of_side) for column in columns}
        taken = {column: self.columns.resident(name).index_select(0, rows) for column, name in stored.items()}
        return self._transformed(side, taken)

    @cached_property
    def _numbers(self) -> dict[str, Tensor]:
        """Label and instance of every store row, (n,) int64 each, on the device."""
        items, device = self.columns.items, self.columns.device
        labels = self.label_of[torch.tensor(items.class_id)]
        return {"label": labels.to(device), "instance": torch.tensor(items.instance_id, device=device)}

    def _batch(self, batch: IndexBatch) -> Batch:
        if self.columns.device.type != "cpu":
            rows = torch.from_numpy(np.stack([batch.query, *batch.gallery.values()]))
            return self.gathered(rows.to(self.columns.device), tuple(batch.gallery))
        gallery: dict[Role, Rows] = {role: self.gallery(rows) for role, rows in batch.gallery.items()}
        labels: dict[Role, Tensor] = {role: self.labels(rows) for role, rows in batch.gallery.items()}
        instances = torch.from_numpy(self.columns.items.instance_id[batch.query]).to(self.columns.device)
        tags = self.tags(batch.query)
        return Batch(self.query(batch.query), gallery, self.labels(batch.query), labels, tags, instances)

    def train_queries(self, chunk: int = 256) -> Iterator[tuple[Rows, Tensor]]:
        """All training queries with their labels, `chunk` rows at a time."""
        for rows in _parts(self.partition.train_query, chunk):
            yield self.query(rows), self.labels(rows)

    def train_gallery(self, chunk: int = 256) -> Iterator[tuple[Rows, Tensor]]:
        """All training gallery rows with their labels, `chunk` rows at a time."""
        for rows in _parts(self.partition.train_gallery, chunk):
            yield self.gallery(rows), self.labels(rows)

    def train_rows(self, only: Collection[str] | None = None) -> TrainRows:
        """Every training row at once, with all columns or `only` some."""
        query, gallery = self.partition.train_query, self.partition.train_gallery
        return TrainRows(
            query=self.query(query, only),
            labels=self.labels(query),
            gallery=self.gallery(gallery, only),
            gallery_labels=self.labels(gallery),
            pairs=torch.from_numpy(own_photos(self.columns.items, query, gallery)).to(self.columns.device),
            tags=self.tags(query),
            gallery_tags=self.tags(gallery),
        )

    def spec(self) -> DataSpec:
        """What a method may know."""
        return self._spec({side: transform.out_features for side, transform in self.transforms.items()}, self.signed)

    def spec_of(self, settings: TransformSettings) -> DataSpec:
        """What a method would know behind other transforms, without fitting them."""
        widths = {side: output_width(settings, transform.out_features) for side, transform in self.transforms.items()}
        return self._spec(widths, self.signed or settings.centre or settings.pca is not None)

    def _spec(self, widths: Mapping[str, int], signed: bool) -> DataSpec:
        def shapes(side: str, columns: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
            found = {column: tuple(self.columns.items.payload[column].shape) for column in columns}
            return found | ({"feature": (widths[side],)} if "feature" in found else {})

        return DataSpec(
            query=shapes("query", self.query_columns),
            gallery=shapes("gallery", self.gallery_columns),
            num_classes=int(self.label_of.max()) + 1,
            paired=self.paired,
            signed=signed,
            num_labels=self.num_labels,
        )

    @property
    def num_labels(self) -> int | None:
        """Width of the store's column `labels`, where it has one."""
        payload = self.columns.items.payload
        return payload["labels"].shape[0] if "labels" in payload else None

    @cached_property
    def paired(self) -> bool:
        """Whether training queries have their own photo."""
        return has_pairs(self.columns.items, self.partition)

    @cached_property
    def signed(self) -> bool:
        """Whether features have negative entries, judged by some training rows of both sides."""
        if not self.transforms:
            return False
        some = {"query": self.partition.train_query, "gallery": self.partition.train_gallery}
        seen = [
            self.transforms[side](self.columns.take("feature", rows[:: max(1, len(rows) // SIGN_ROWS)]))
            for side, rows in some.items()
        ]
        return any(bool((feature < 0).any()) for feature in seen)


def _parts(rows: Indices, chunk: int) -> Iterator[Indices]:
    return (rows[start : start + chunk] for start in range(0, len(rows), chunk))


def make_feed(
    columns: Columns,
    partition: Partition,
    query_columns: tuple[str, ...],
    gallery_columns: tuple[str, ...],
    settings: TransformSettings,
) -> Feed:
    """Fit the transforms on the partition's training rows; raises where the store lacks a column."""
    items, wanted = columns.items, {*query_columns, *gallery_columns}
    check_columns(wanted, items)
    if "feature" in query_columns and not columns.has_features(partition.train_query):
        raise ValueError(
            "the method needs features of texts, the store has none; write one that has them: sbir features "
            "DATASET_ROOT --variant text=en --backbone vgg16 --text-backbone hf:NAME --out STORE"
        )
    sides = {"query": partition.train_query, "gallery": partition.train_gallery}
    transforms = {side: _fit(settings, columns, rows) for side, rows in sides.items()} if "feature" in wanted else {}
    classes = np.unique(np.concatenate([items.class_id[rows] for rows in sides.values()]))
    label_of = np.full(len(items.class_names), -1)
    label_of[classes] = np.arange(len(classes))
    return Feed(columns, partition, query_columns, gallery_columns, transforms, torch.from_numpy(label_of))


def check_columns(wanted: Collection[str], items: Items) -> None:
    """Refuse rows that lack a payload column, with the command that writes it."""
    missing = sorted(set(wanted) - set(items.payload))
    if missing:
        flags = " ".join(flag for flag, names in FLAGS.items() if names & set(missing))
        raise ValueError(
            f"the method needs the columns {', '.join(missing)}, the store has {', '.join(sorted(items.payload))}; "
            f"write a store that has them: sbir features DATASET_ROOT {flags} --out STORE"
        )


def _fit(settings: TransformSettings, columns: Columns, rows: Indices) -> Transform:
    if not settings.fitted:
        return Transform(check_width(settings, columns.width(rows)))
    return fit_transform(settings, columns.take("feature", rows))


def own_photos(items: Items, query: Indices, gallery: Indices) -> Indices:
    """For each query row the position in `gallery` of its own photo (the first), -1 where there is none."""
    return first_of(items.instance_id[query], items.instance_id[gallery])


def has_pairs(items: Items, partition: Partition) -> bool:
    """Whether most training queries have their own photo in the training gallery."""
    own = own_photos(items, partition.train_query, partition.train_gallery)
    return partition.paired and bool((own >= 0).sum() > len(own) / 2)
