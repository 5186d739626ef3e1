"""Embed both sides with a method and rank: the same few lines for trials, finalists, baselines and saved models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from sbir.data.feed import Feed, Indices
from sbir.data.protocol import Partition, Protocol, reverse
from sbir.metrics.identity import Identity
from sbir.metrics.retrieval import Retrieval, retrieve
from sbir.models.method import Method
from sbir.types import Rows, Views

Value = TypeVar("Value")
CHUNK = 256  # rows embedded at once
CENTRE_ROWS = 2000  # training rows that a side's mean embedding is taken over, at most


@dataclass(frozen=True)
class Embedded:
    """Both sides as they are ranked."""

    query: Views
    gallery: Views
    query_centre: Views  # view -> (d,): what was subtracted from `query`; empty where the protocol does not centre


@torch.inference_mode()
def evaluate(
    method: Method, feed: Feed, protocol: Protocol, *, fusion: str | None = None, keep: int = 200
) -> Retrieval:
    """Score the feed's queries against its gallery.

    `fusion` fixes how two views are combined ("0.0" to "1.0", "min"); None takes the best by the protocol's metric.
    Of texts and photos each query has the figures `reverse_...` too: those of the photo (or text) that belongs to it,
    retrieving the other way round.
    """
    embedded = embed(method, feed, protocol)

    def score(query: Views, gallery: Views, of: tuple[Indices, Indices], fusion: str | None) -> Retrieval:
        return retrieve(
            query,
            gallery,
            *(identity(feed, rows) for rows in of),
            distance=method.distance,
            k=protocol.k,
            select=protocol.select,
            fusion=fusion if len(query) > 1 else None,
            keep=keep,
            recall=protocol.recall,
        )

    rows = feed.partition
    found = score(embedded.query, embedded.gallery, (rows.query, rows.gallery), fusion)
    back = reverse(feed.columns.items, rows, protocol)
    if back is None:
        return found
    same = [np.array_equal(np.sort(one), np.sort(two)) for one, two in zip(_sides(rows), _sides(back), strict=True)]
    again = _reordered(embedded, rows, back) if all(same) else embed(method, replace(feed, partition=back), protocol)
    other = score(again.gallery, again.query, (back.gallery, back.query), found.fusion)
    return replace(found, means=found.means | _named(other.means), per_query=found.per_query | _named(other.per_query))


def _sides(rows: Partition) -> tuple[Indices, Indices]:
    return rows.query, rows.gallery


def _reordered(embedded: Embedded, rows: Partition, wanted: Partition) -> Embedded:
    """The same items in the order of `wanted`."""
    query, gallery = (
        torch.from_numpy(np.argsort(one)[np.argsort(np.argsort(two))])
        for one, two in zip(_sides(rows), _sides(wanted), strict=True)
    )
    return Embedded(
        {name: view[query.to(view.device)] for name, view in embedded.query.items()},
        {name: view[gallery.to(view.device)] for name, view in embedded.gallery.items()},
        embedded.query_centre,
    )


def _named(figures: Mapping[str, Value]) -> dict[str, Value]:
    return {f"reverse_{name}": value for name, value in figures.items()}


@torch.inference_mode()
def embed(method: Method, feed: Feed, protocol: Protocol) -> Embedded:
    """Embed the feed's queries and gallery, centred where the protocol says so."""
    method.eval()
    query = _embed(method.embed_query, feed.query, feed.partition.query)
    gallery = _embed(method.embed_gallery, feed.gallery, feed.partition.gallery)
    if not protocol.centre:
        return Embedded(query, gallery, {})
    query_centre = _centre(_embed(method.embed_query, feed.query, _some(feed.partition.train_query)))
    gallery_centre = _centre(_embed(method.embed_gallery, feed.gallery, _some(feed.partition.train_gallery)))
    return Embedded(_centred(query, query_centre), _centred(gallery, gallery_centre), query_centre)


def identity(feed: Feed, rows: Indices) -> Identity:
    """Classes, instances, labels and people's choices of store rows, as the metrics take them."""
    items = feed.columns.items
    device = feed.columns.device
    instances = items.instance_id[rows] if feed.partition.paired else np.full(len(rows), -1)
    return Identity(
        torch.from_numpy(items.class_id[rows]),
        torch.from_numpy(instances),
        torch.from_numpy(items.payload["labels"].take(rows) > 0) if "labels" in items.payload else None,
        torch.from_numpy(rows),
        torch.from_numpy(items.payload["choices"].take(rows)).long() if "choices" in items.payload else None,
    ).to(device)


def _embed(embed: Callable[[Rows], Views], take: Callable[[Indices], Rows], rows: Indices) -> Views:
    parts = [embed(take(rows[start : start + CHUNK])) for start in range(0, len(rows), CHUNK)]
    return {view: torch.cat([part[view] for part in parts]) for view in parts[0]}


def _some(rows: Indices) -> Indices:
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), CENTRE_ROWS)).astype(np.int64)]


def _centre(train: Views) -> Views:
    return {name: view.mean(0) for name, view in train.items()}


def _centred(views: Views, centre: Views) -> Views:
    return {name: view - centre[name] for name, view in views.items()}
