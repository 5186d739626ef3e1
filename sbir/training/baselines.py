"""The baselines that stand in every table, fitted and scored as every other method is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sbir.data.feed import Columns, Indices, has_pairs, make_feed
from sbir.data.protocol import Part, Protocol, partition
from sbir.data.splits import Split
from sbir.data.transform import TransformSettings
from sbir.metrics.retrieval import Retrieval
from sbir.models.linear_map import LinearMap
from sbir.models.mean_removed import MeanRemoved
from sbir.models.method import Method
from sbir.models.pixels import LinearPixels, Pixels
from sbir.models.raw import Raw
from sbir.models.word_labels import WordLabels
from sbir.training.evaluate import evaluate
from sbir.training.loop import TrainSettings
from sbir.training.run import build
from sbir.training.settings import Settings

PIXEL_ROWS = 10_000  # training rows of a side that the linear map between pixels is fitted on, at most
PENALTIES = (1e-2, 1e-1, 1.0, 10.0, 100.0)  # of the ridge, relative to the mean eigenvalue; chosen on validation


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
    """A network whose random weights are a row of the table: what its architecture retrieves by itself."""

    row: str
    method: type[Method]
    settings: Mapping[str, Any]  # of its constructor


def score_baselines(
    columns: Columns,
    split: Split,
    protocol: Protocol,
    feature_dim: int | None = None,
    untrained: Sequence[Untrained] = (),
) -> list[Baseline]:
    """Raw feature, per-domain mean removed, and the linear maps, each on validation and, fitted on train + val, on
    test. Where the protocol centres all embeddings, raw features are mean removed: they have no row of their own. A
    store without features has none of these rows. Where `untrained` networks are given, they stand first, and with them
    the raw pixels and a linear map from sketches' pixels to photos', or the linear maps from words and from pixels to
    labels where they take texts.
    """

    def score(
        method: type[Method], settings: Mapping[str, Any], part: Part, transforms: TransformSettings
    ) -> Retrieval:
        rows = partition(columns.items, split, protocol, part)
        if method is LinearPixels:
            rows = replace(rows, train_query=_some(rows.train_query), train_gallery=_some(rows.train_gallery))
        feed = make_feed(columns, rows, method.query_columns, method.gallery_columns, transforms)
        return evaluate(build(method, feed, Settings(settings, TrainSettings(), transforms), 0), feed, protocol)

    def baseline(
        row: str, given: str, method: type[Method], choices: list[dict[str, Any]], transforms: TransformSettings
    ) -> Baseline:
        scored = [(score(method, settings, "val", transforms), settings) for settings in choices]
        val, settings = max(scored, key=lambda pair: pair[0].means[protocol.select])
        return Baseline(row, given, val.means, score(method, settings, "test", transforms), settings)

    as_they_are = TransformSettings()
    columns_seen = untrained[0].method.query_columns if untrained else ()
    networks = [Untrained("raw pixels", Pixels, {})] * ("image" in columns_seen) + list(untrained)
    first = [
        Baseline(
            one.row,
            "nothing",
            score(one.method, one.settings, "val", as_they_are).means,
            score(one.method, one.settings, "test", as_they_are),
        )
        for one in networks
    ]
    paired = has_pairs(columns.items, partition(columns.items, split, protocol, "val"))
    to = "sketch-photo pairs" if paired else "class labels"

    ridges: list[dict[str, Any]] = [{"penalty": penalty} for penalty in PENALTIES]
    if "text" in columns_seen:
        first.append(baseline("words and pixels, ridge", "labels", WordLabels, ridges, as_they_are))
    if "image" in columns_seen and {protocol.query, protocol.gallery} == {"sketch", "photo"}:
        first.append(baseline("ridge on pixels", to, LinearPixels, ridges, as_they_are))
    if "feature" not in columns.items.payload:
        return first
    transforms = TransformSettings(feature_dim=feature_dim)
    ridges = [{"kind": "ridge", **settings} for settings in ridges]
    raw = [] if protocol.centre else [baseline("raw", "nothing", Raw, [{}], transforms)]
    return [
        *first,
        *raw,
        baseline("mean removed", "domains", MeanRemoved, [{}], transforms),
        baseline("ridge", to, LinearMap, ridges, transforms),
        baseline("Procrustes", to, LinearMap, [{"kind": "procrustes"}], transforms),
    ]


def _some(rows: Indices) -> Indices:
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), PIXEL_ROWS)).astype(np.int64)]
