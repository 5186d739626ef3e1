"""The baselines that stand in every table, fitted and scored as every other method is."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sbir.data.feed import Columns, Indices, has_pairs, make_feed
from sbir.data.protocol import Part, Partition, Protocol, partition
from sbir.data.splits import Split
from sbir.data.transform import TransformSettings
from sbir.metrics.retrieval import Retrieval
from sbir.models.linear_map import LinearMap
from sbir.models.mean_removed import MeanRemoved
from sbir.models.method import Method
from sbir.models.pixels import LinearPixels, Pixels
from sbir.models.raw import Raw
from sbir.models.rca import Rca
from sbir.models.word_labels import WordLabels
from sbir.training.evaluate import evaluate
from sbir.training.run import build
from sbir.training.settings import Settings
from sbir.training.train_settings import TrainSettings

PIXEL_ROWS = 10_000  # training rows of a side that the linear map between pixels is fitted on, at most
PENALTIES = (1e-2, 1e-1, 1.0, 10.0, 100.0)  # relative to the mean eigenvalue; chosen on validation


@dataclass(frozen=True)
class Baseline:
    """A row of the table that no trial produced."""

    row: str
    given: str
    val: Mapping[str, float]
    test: Retrieval
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Untrained:
    """A network whose first weights are a row of the table: what its architecture retrieves by itself."""

    row: str
    method: type[Method]
    settings: Mapping[str, Any]  # of its constructor
    given: str = "nothing"  # what its first weights come from


@dataclass(frozen=True)
class _Candidates:
    """One row before it is scored: the best of its settings on validation is taken."""

    row: str
    given: str
    method: type[Method]
    settings: Sequence[Mapping[str, Any]] = ({},)
    transforms: TransformSettings = field(default_factory=TransformSettings)


def score_baselines(
    columns: Columns,
    split: Split,
    protocol: Protocol,
    feature_dim: int | None = None,
    untrained: Sequence[Untrained] = (),
    *,
    each: Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]] = map,
) -> list[Baseline]:
    """What needs no training, each row on validation and, fitted on train + val, on test.

    On features: raw, per-domain mean removed, and the linear maps, or relevant component analysis where photos retrieve
    photos; of sides whose features have different widths the ridge alone. Where the protocol centres all embeddings,
    raw features are mean removed: they have no row of their own. Where `untrained` networks are given, they stand
    first, and with them the raw pixels and a linear map between those, or the linear maps from words and pixels to
    labels where they take texts. Fits are scored through `each`, which is as `map` and may do several at once.
    """

    def score(candidates: _Candidates, settings: Mapping[str, Any], part: Part) -> Retrieval:
        method, transforms = candidates.method, candidates.transforms
        rows = partition(columns.items, split, protocol, part)
        if method is LinearPixels:
            rows = replace(rows, train_query=_some(rows.train_query), train_gallery=_some(rows.train_gallery))
        feed = make_feed(columns, rows, method.query_columns, method.gallery_columns, transforms)
        return evaluate(build(method, feed, Settings(settings, TrainSettings(), transforms), 0), feed, protocol)

    def means(fit: tuple[_Candidates, Mapping[str, Any]]) -> Mapping[str, float]:
        return score(*fit, "val").means

    def test(fit: tuple[_Candidates, Mapping[str, Any]]) -> Retrieval:
        return score(*fit, "test")

    rows = partition(columns.items, split, protocol, "val")
    candidates = list(_candidates(columns, rows, protocol, feature_dim, untrained))
    fits = [(one, settings) for one in candidates for settings in one.settings]
    scored = list(zip(fits, each(means, fits), strict=True))
    best = [
        max((pair for pair in scored if pair[0][0] is one), key=lambda pair: pair[1][protocol.select])
        for one in candidates
    ]
    return [
        Baseline(one.row, one.given, val, retrieval, settings)
        for ((one, settings), val), retrieval in zip(best, each(test, [fit for fit, _ in best]), strict=True)
    ]


def _candidates(
    columns: Columns, rows: Partition, protocol: Protocol, feature_dim: int | None, untrained: Sequence[Untrained]
) -> Iterator[_Candidates]:
    """The rows in their order in the table."""
    given = f"{protocol.query}-photo pairs" if has_pairs(columns.items, rows) else "class labels"
    ridges = [{"penalty": penalty} for penalty in PENALTIES]
    domains = {protocol.query, protocol.gallery}
    seen = untrained[0].method.query_columns if untrained else ()
    if "image" in seen:
        yield _Candidates("raw pixels", "nothing", Pixels)
    for network in untrained:
        yield _Candidates(network.row, network.given, network.method, [network.settings])
    if "image" in seen and domains == {"sketch", "photo"}:
        yield _Candidates("ridge on pixels", given, LinearPixels, ridges)
    if "text" in seen:
        yield _Candidates("words and pixels, ridge", "labels", WordLabels, ridges)
    if not columns.has_features(rows.train_query):
        return
    transforms = TransformSettings(feature_dim=feature_dim)
    comparable = columns.width(rows.query) == columns.width(rows.gallery)
    if comparable and not protocol.centre:
        yield _Candidates("raw", "nothing", Raw, transforms=transforms)
    if comparable:
        yield _Candidates("mean removed", "domains", MeanRemoved, transforms=transforms)
    if domains == {"photo"}:  # no map from one side to the other
        shrinkages = [{"shrinkage": amount} for amount in PENALTIES]
        yield _Candidates("RCA", "class labels", Rca, shrinkages, transforms)
    else:
        yield _Candidates("ridge", given, LinearMap, [{"kind": "ridge", **one} for one in ridges], transforms)
        if comparable:
            yield _Candidates("Procrustes", given, LinearMap, [{"kind": "procrustes"}], transforms)


def _some(rows: Indices) -> Indices:
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), PIXEL_ROWS)).astype(np.int64)]
