"""Rank a gallery for every query and score the ranking: exact, chunked, deterministic on ties.

Equal distances are ranked by gallery row order (stores keep their rows in a seeded random order, so this favours no
class); of Hamming distances, where most are equal, figures are the expectation over all orders. Relevance is the class,
or a shared tag (`Identity.tags`); instance accuracy looks for the query's own instance; agreement is with what people
chose (`metrics.choices`). A query that stands in the gallery itself is not ranked for itself. A query without any
relevant item scores 0 and is counted; how many there are is in `Retrieval.num_without_relevant`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sbir.metrics import choices, hamming, ranked, tied
from sbir.metrics.distances import FUSIONS, GalleryDistances, chunks, fuse, nearest
from sbir.metrics.identity import (
    AGREEMENT,
    Identity,
    chosen_positions,
    count_relevant,
    metric_names,
    num_candidates,
    own_position,
    share_a_tag,
)
from sbir.types import Distance, Views

AT_ONCE = 2**24  # distances on a GPU: 64 MB


@dataclass(frozen=True)
class Retrieval:
    """The scored ranking of Q queries against G gallery items."""

    fusion: str | None  # the chosen one of FUSIONS; None with one view
    curve: dict[str, dict[str, float]]  # fusion -> {select metric: mean}; empty with one view or a given fusion
    per_query: dict[str, Tensor]  # metric -> (Q,) float64, on the CPU
    means: dict[str, float]
    top: Tensor  # (Q, min(keep, G)) int64: gallery positions, best first, on the CPU
    zero_vectors: int  # all-zero rows over both sides and all views: their cosine distance is 1 to everything
    num_without_relevant: int  # queries with no relevant gallery item, scored 0
    codes: hamming.CodeScores | None = None  # with Hamming distance


def retrieve(
    query: Views,
    gallery: Views,
    query_ids: Identity,
    gallery_ids: Identity,
    *,
    distance: Distance,
    k: int,
    select: str,
    fusion: str | None = None,
    keep: int = 200,
    chunk: int | None = None,
    recall: Sequence[int] = (),
) -> Retrieval:
    """Score Q queries against G gallery items, embedded into the same one or two views, (Q, d) and (G, d) each.

    Two views are fused late: the whole grid FUSIONS is scored by `select` in one pass over the distances and the best
    is taken (the first of equals), unless `fusion` fixes it; then nothing else is looked at. `keep` is the length of
    the `top` lists; `chunk` bounds the memory to about `chunk` x G floats a view and changes no figure (default 128;
    on a GPU, which small pieces of work keep waiting, up to 1024). With "hamming" the entries of the one view are -1
    and +1. `recall` are further ranks n, none of them beyond the gallery: whether something relevant is among the first
    n (Recall@n of deep metric learning).
    """
    if distance == "hamming":
        return _retrieve_codes(
            query, gallery, query_ids, gallery_ids, k=k, select=select, fusion=fusion, keep=keep, recall=recall
        )
    _check_views(query, gallery, query_ids, gallery_ids)
    _check_ranks(k, recall, num_candidates(query_ids, gallery_ids))
    if chunk is None:
        on_cpu = next(iter(query.values())).device.type == "cpu"
        chunk = 128 if on_cpu else max(128, min(1024, AT_ONCE // len(gallery_ids.labels)))
    ranking = _Ranking(query, gallery, query_ids, gallery_ids, distance=distance, k=k, chunk=chunk, recall=recall)
    _check_metric(select, ranking.names)
    if fusion is not None and len(query) == 1:
        raise ValueError(f"fusion must be None for a method with one view, got {fusion!r}")
    if fusion is not None and fusion not in FUSIONS:
        raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, got {fusion!r}")
    curve = {}
    if len(query) == 2 and fusion is None:
        curve = ranking.curve(select)
        fusion = max(FUSIONS, key=lambda name: curve[name])  # max keeps the first of equals
    per_query, top = ranking.full(fusion, keep)
    views = (*query.values(), *gallery.values())
    return Retrieval(
        fusion=fusion,
        curve={name: {select: value} for name, value in curve.items()},
        per_query=per_query,
        means={name: values.mean().item() for name, values in per_query.items()},
        top=top,
        zero_vectors=sum(int((~view.any(1)).sum()) for view in views),
        num_without_relevant=int((ranking.num_relevant == 0).sum()),
    )


class _Ranking:
    """The distances of one retrieval, and what is asked of them chunk by chunk."""

    def __init__(
        self,
        query: Views,
        gallery: Views,
        query_ids: Identity,
        gallery_ids: Identity,
        *,
        distance: Distance,
        k: int,
        chunk: int,
        recall: Sequence[int],
    ) -> None:
        device = next(iter(query.values())).device
        self.query_ids, self.gallery_ids = query_ids.to(device), gallery_ids.to(device)
        self.num_queries, self.num_gallery = len(query_ids.labels), len(gallery_ids.labels)
        self.num_relevant = count_relevant(self.query_ids, self.gallery_ids)
        self.itself = own_position(self.query_ids, self.gallery_ids)
        self.num_ranked = num_candidates(query_ids, gallery_ids)
        self.chosen = chosen_positions(self.query_ids, self.gallery_ids)
        self.names = metric_names(self.query_ids, self.gallery_ids, k, recall)
        self.k, self.chunk = k, chunk
        self.views = [GalleryDistances(query[name], gallery[name], distance) for name in query]

    def curve(self, select: str) -> dict[str, float]:
        """Mean of one metric for every fusion of two views."""
        score, depth = self._metric(select)
        values: dict[str, list[Tensor]] = {name: [] for name in FUSIONS}
        for start, stop in chunks(self.num_queries, self.chunk):
            first, second = (view.rows(start, stop) for view in self.views)
            relevant = self._relevant(start, stop)
            for name in FUSIONS:
                ranked_ones = self._ranked(fuse(first, second, name), relevant, start, depth)
                values[name].append(score(ranked_ones))
        return {name: torch.cat(parts).cpu().mean().item() for name, parts in values.items()}

    def full(self, fusion: str | None, keep: int) -> tuple[dict[str, Tensor], Tensor]:
        """All metrics, (Q,) each, and the top lists of one fusion."""
        scores = {name: self._metric(name) for name in self.names}
        keep = min(keep, self.num_ranked)
        deepest = max(keep, *(depth for _, depth in scores.values()))
        values: dict[str, list[Tensor]] = {name: [] for name in self.names}
        top = []
        for start, stop in chunks(self.num_queries, self.chunk):
            distances = [view.rows(start, stop) for view in self.views]
            fused = distances[0] if fusion is None else fuse(distances[0], distances[1], fusion)
            ranked_ones = self._ranked(fused, self._relevant(start, stop), start, deepest)
            top.append(ranked_ones.positions[:, :keep].clone())
            for name, (score, _) in scores.items():
                values[name].append(score(ranked_ones))
        return {name: torch.cat(parts).cpu() for name, parts in values.items()}, torch.cat(top).cpu()

    def _metric(self, name: str) -> tuple[Callable[["_Ranked"], Tensor], int]:
        """A metric of ranked queries, and how many ranks it needs."""
        k, num_relevant = self.k, self.num_relevant
        by_class: dict[str, Callable[[_Ranked], Tensor]] = {
            f"precision_at_{k}": lambda of: ranked.precision_at_k(of.hits, k),
            f"map_at_{k}_k": lambda of: ranked.map_at_k_k(of.hits, k),
            f"map_at_{k}_hits": lambda of: ranked.map_at_k_hits(of.hits, k),
            f"map_at_{k}_min": lambda of: ranked.map_at_k_min(of.hits, k, num_relevant[of.queries]),
        }
        if name in by_class:
            return by_class[name], k
        if name == "map_all":
            return lambda of: ranked.map_all(of.hits), self.num_gallery
        if name.startswith("recall_at_"):
            depth = int(name.removeprefix("recall_at_"))
            return lambda of: ranked.recall_at_k(of.hits, depth), depth
        if name == AGREEMENT:
            assert self.chosen is not None
            chosen = self.chosen
            return lambda of: choices.agreement(of.positions, chosen[of.queries]), self.num_gallery
        depth = min(int(name.removeprefix("acc_at_")), self.num_gallery)
        return lambda of: ranked.acc_at_k(of.own(depth), depth), depth

    def _relevant(self, start: int, stop: int) -> Tensor:
        """Which gallery items are relevant to some queries, (B, G) bool; a query is not to itself."""
        if self.query_ids.tags is None or self.gallery_ids.tags is None:
            relevant = self.gallery_ids.labels == self.query_ids.labels[start:stop, None]
        else:
            relevant = share_a_tag(self.query_ids.tags[start:stop], self.gallery_ids.tags)
        relevant[self._itself(start, stop)] = False
        return relevant

    def _ranked(self, distances: Tensor, relevant: Tensor, start: int, depth: int) -> "_Ranked":
        stop = start + len(distances)
        distances[self._itself(start, stop)] = torch.inf  # behind all others
        return _Ranked(nearest(distances, depth), relevant, slice(start, stop), self.query_ids, self.gallery_ids)

    def _itself(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Where some queries stand in the gallery: those that do, and their places."""
        place = self.itself[start:stop]
        there = (place >= 0).nonzero()[:, 0]
        return there, place[there]


@dataclass(frozen=True)
class _Ranked:
    """The nearest gallery items of some queries, and what metrics ask of them, worked out once for all."""

    positions: Tensor  # (B, depth)
    relevant: Tensor  # (B, G) bool
    queries: slice
    query_ids: Identity
    gallery_ids: Identity

    @cached_property
    def hits(self) -> Tensor:
        """Whether the item at each of these ranks is relevant, (B, depth)."""
        return self.relevant.gather(1, self.positions)

    def own(self, depth: int) -> Tensor:
        """Whether the item at each of the first ranks is the query's own instance, (B, depth)."""
        instances = self.query_ids.instances[self.queries, None]
        return (self.gallery_ids.instances[self.positions[:, :depth]] == instances) & (instances >= 0)


def _check_views(query: Views, gallery: Views, query_ids: Identity, gallery_ids: Identity) -> None:
    if len(query) not in {1, 2} or list(query) != list(gallery):
        raise ValueError(f"both sides must have the same one or two views, got {list(query)} and {list(gallery)}")
    for side, views, ids in (("query", query, query_ids), ("gallery", gallery, gallery_ids)):
        if len(ids.labels) == 0:
            raise ValueError(f"retrieval needs at least one {side} item, got 0")
        for name, view in views.items():
            if len(view) != len(ids.labels) or len(ids.instances) != len(ids.labels):
                rows = f"{len(view)} rows, {len(ids.labels)} labels and {len(ids.instances)} instances"
                raise ValueError(f"{side} view {name!r} must have one row per label and instance, got {rows}")
            if not bool(view.sum().isfinite()) and not bool(view.isfinite().all()):  # the sum alone is cheap
                count = int((~view.isfinite()).any(1).sum())
                raise ValueError(f"{side} view {name!r} must be finite, got NaN or infinity in {count} rows")


def _check_ranks(k: int, recall: Sequence[int], size: int) -> None:
    if not 1 <= k <= size:
        raise ValueError(f"k must be between 1 and the gallery size {size}, got {k}")
    if wrong := [n for n in recall if not 1 <= n <= size]:
        raise ValueError(f"ranks of recall must be between 1 and the gallery size {size}, got {wrong[0]}")


def _check_metric(select: str, names: tuple[str, ...]) -> None:
    if select not in names:
        raise ValueError(f"select must be one of {', '.join(names)}, got {select!r}")


def _retrieve_codes(
    query: Views,
    gallery: Views,
    query_ids: Identity,
    gallery_ids: Identity,
    *,
    k: int,
    select: str,
    fusion: str | None,
    keep: int,
    recall: Sequence[int],
) -> Retrieval:
    """As `retrieve`, on packed codes on the CPU, wherever the views are."""
    _check_views(query, gallery, query_ids, gallery_ids)
    if len(query) != 1 or fusion is not None:
        raise ValueError(f"codes are ranked by one view, got {list(query)} and fusion {fusion!r}; fuse before the code")
    names = metric_names(query_ids, gallery_ids, k, recall)
    _check_ranks(k, recall, num_candidates(query_ids, gallery_ids))
    _check_metric(select, names)
    (of_queries,), (of_gallery,) = query.values(), gallery.values()
    packed = hamming.pack(of_gallery)
    counted = hamming.count(hamming.pack(of_queries), packed, query_ids, gallery_ids, keep)
    per_query = {name: _tied_metric(name, counted, k) for name in names if name != AGREEMENT}
    if (chosen := chosen_positions(query_ids, gallery_ids)) is not None:
        per_query[AGREEMENT] = choices.tied_agreement(of_queries, of_gallery, chosen.to(of_queries.device)).cpu()
    return Retrieval(
        fusion=None,
        curve={},
        per_query=per_query,
        means={name: values.mean().item() for name, values in per_query.items()},
        top=counted.top,
        zero_vectors=0,
        num_without_relevant=int((counted.relevant.sum(1) == 0).sum()),
        codes=hamming.score_codes(counted, packed, k),
    )


def _tied_metric(name: str, counted: hamming.Counted, k: int) -> Tensor:
    if name.startswith("acc_at_"):
        return tied.acc_at_k(counted.items, counted.own, int(name.removeprefix("acc_at_")))
    if name.startswith("recall_at_"):
        return tied.acc_at_k(counted.items, counted.relevant, int(name.removeprefix("recall_at_")))
    by_class: dict[str, Callable[[tied.Groups], Tensor]] = {
        f"precision_at_{k}": lambda of: tied.precision_at_k(of, k),
        f"map_at_{k}_k": lambda of: tied.map_at_k_k(of, k),
        f"map_at_{k}_hits": lambda of: tied.map_at_k_hits(of, k),
        f"map_at_{k}_min": lambda of: tied.map_at_k_min(of, k),
        "map_all": tied.map_all,
    }
    parts = zip(torch.split(counted.items, 512), torch.split(counted.relevant, 512), strict=True)  # bounds the memory
    return torch.cat([by_class[name](tied.groups(*part)) for part in parts])
