"""Retrieval against its definition as slow loops, on sets with many exact ties."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from sbir.metrics.distances import FUSIONS
from sbir.metrics.identity import Identity
from sbir.metrics.retrieval import Retrieval, retrieve
from sbir.types import Views

K = 7
Q, G, D = 70, 90, 5


def one_hot_gallery(generator: torch.Generator) -> Tensor:
    """Rows ±e_i: cosine distances to them are exact in every implementation and tie wherever rows are equal."""
    axis, sign = torch.randint(D, (G,), generator=generator), torch.randint(2, (G,), generator=generator)
    return torch.eye(D)[axis] * (2 * sign - 1)[:, None]


def case(num_views: int) -> tuple[Views, Views, Identity, Identity]:
    generator = torch.Generator().manual_seed(0)
    names = ["first", "second"][:num_views]
    query = {name: torch.randn(Q, D, generator=generator) for name in names}
    gallery = {name: one_hot_gallery(generator) for name in names}
    # Class 5 is in no gallery; instances pair up for about half of the queries, some with two photos.
    query_ids = Identity(torch.randint(6, (Q,), generator=generator), torch.randint(-1, 40, (Q,), generator=generator))
    gallery_ids = Identity(
        torch.randint(5, (G,), generator=generator), torch.randint(-1, 40, (G,), generator=generator)
    )
    return query, gallery, query_ids, gallery_ids


def run(num_views: int = 1, k: int = K, fusion: str | None = None, keep: int = 200) -> Retrieval:
    query, gallery, query_ids, gallery_ids = case(num_views)
    select = f"precision_at_{k}"
    return retrieve(
        query, gallery, query_ids, gallery_ids, distance="cosine", k=k, select=select, fusion=fusion, keep=keep
    )


def slow_distance(query: Views, gallery: Views, row: int, column: int, fusion: str | None) -> float:
    """The definition, in float64."""
    found: list[float] = []
    for name in query:
        q, g = query[name][row].double(), gallery[name][column].double()
        found.append(1 - (q @ g / (q.norm() * g.norm())).item())
    if fusion is None:
        return found[0]
    return min(found) if fusion == "min" else float(fusion) * found[0] + (1 - float(fusion)) * found[1]


def slow_metrics(order: list[int], label: int, instance: int, gallery: Identity, k: int) -> dict[str, float]:
    """All metrics of one ranking from their definitions, one rank at a time."""
    relevant = [bool(gallery.labels[column] == label) for column in order]
    precisions = [sum(relevant[:rank]) / rank for rank in range(1, len(order) + 1)]
    cut = sum(p for p, hit in zip(precisions[:k], relevant[:k], strict=True) if hit)
    whole = sum(p for p, hit in zip(precisions, relevant, strict=True) if hit)
    own = [instance >= 0 and int(gallery.instances[column]) == instance for column in order]
    return {
        f"precision_at_{k}": sum(relevant[:k]) / k,
        f"map_at_{k}_k": cut / k,
        f"map_at_{k}_hits": cut / max(1, sum(relevant[:k])),
        f"map_at_{k}_min": cut / max(1, min(k, sum(relevant))),
        "map_all": whole / max(1, sum(relevant)),
        **{f"acc_at_{n}": float(any(own[:n])) for n in (1, 5, 10)},
    }


@pytest.mark.parametrize(
    ("num_views", "fusion"), [(1, None), (2, "0.0"), (2, "0.3"), (2, "0.5"), (2, "1.0"), (2, "min")]
)
@pytest.mark.parametrize("k", [1, K, G])
def test_figures_are_those_of_the_definition(num_views: int, fusion: str | None, k: int) -> None:
    query, gallery, query_ids, gallery_ids = case(num_views)
    result = run(num_views, k=k, fusion=fusion)
    for row in range(Q):
        distances = [slow_distance(query, gallery, row, column, fusion) for column in range(G)]
        order = sorted(range(G), key=lambda column: (round(distances[column], 9), column))
        assert result.top[row].tolist() == order
        label, instance = int(query_ids.labels[row]), int(query_ids.instances[row])
        for name, value in slow_metrics(order, label, instance, gallery_ids, k).items():
            assert result.per_query[name][row].item() == pytest.approx(value, abs=1e-12), name
    assert set(result.means) == set(result.per_query)
    assert result.means["map_all"] == pytest.approx(result.per_query["map_all"].mean().item())


def test_map_over_the_whole_gallery_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(3)
    query, gallery = torch.randn(20, 8, generator=generator), torch.randn(60, 8, generator=generator)
    labels = torch.randint(4, (60,), generator=generator)
    ids = Identity(labels[:20], torch.full((20,), -1))
    everything = Identity(labels, torch.full((60,), -1))
    result = retrieve({"v": query}, {"v": gallery}, ids, everything, distance="euclidean", k=5, select="map_all")
    for row in range(20):
        scores = -torch.cdist(query[row : row + 1].double(), gallery.double())[0]
        expected = metrics.average_precision_score((labels == labels[row]).numpy(), scores.numpy())
        assert result.per_query["map_all"][row].item() == pytest.approx(expected)
    assert "acc_at_1" not in result.means


def test_the_chunk_size_changes_no_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    num_queries, num_gallery = 333, 517
    query = {
        "a": torch.randn(num_queries, 37, generator=generator),
        "b": torch.randn(num_queries, 91, generator=generator),
    }
    gallery = {
        "a": torch.randn(num_gallery, 37, generator=generator),
        "b": torch.randn(num_gallery, 91, generator=generator),
    }
    ids = Identity(torch.arange(num_queries) % 9, torch.arange(num_queries))
    gallery_ids = Identity(torch.arange(num_gallery) % 9, torch.arange(num_gallery))

    def score(chunk: int) -> Retrieval:
        return retrieve(
            query, gallery, ids, gallery_ids, distance="cosine", k=20, select="map_at_20_k", chunk=chunk, keep=30
        )

    whole = score(10_000)
    assert whole.top.shape == (num_queries, 30)
    for chunk in (1, 64, 100, 200):
        some = score(chunk)
        assert some.curve == whole.curve
        assert some.fusion == whole.fusion
        assert torch.equal(some.top, whole.top)
        assert all(torch.equal(some.per_query[name], values) for name, values in whole.per_query.items())


def test_the_curve_holds_what_each_fusion_scores_alone_and_the_best_is_chosen() -> None:
    result = run(2)
    alone = {fusion: run(2, fusion=fusion).means[f"precision_at_{K}"] for fusion in FUSIONS}
    assert {name: values[f"precision_at_{K}"] for name, values in result.curve.items()} == pytest.approx(alone)
    assert result.fusion is not None
    assert alone[result.fusion] == max(alone.values())
    assert result.means[f"precision_at_{K}"] == pytest.approx(max(alone.values()))
    assert list(result.curve) == list(FUSIONS)


def test_the_first_of_equally_good_fusions_is_chosen() -> None:
    query, gallery, query_ids, gallery_ids = case(1)
    twice = {"a": query["first"], "b": query["first"]}
    same = {"a": gallery["first"], "b": gallery["first"]}
    result = retrieve(twice, same, query_ids, gallery_ids, distance="cosine", k=G, select=f"precision_at_{G}")
    assert result.fusion == "0.0"


def test_a_given_fusion_is_the_only_one_looked_at() -> None:
    result = run(2, fusion="0.4")
    assert result.fusion == "0.4"
    assert result.curve == {}


def test_lambda_one_is_the_first_view_and_zero_the_second() -> None:
    query, gallery, query_ids, gallery_ids = case(2)
    for fusion, name in (("1.0", "first"), ("0.0", "second")):
        one = retrieve(
            {name: query[name]}, {name: gallery[name]}, query_ids, gallery_ids, distance="cosine", k=K, select="map_all"
        )
        assert torch.equal(one.top, run(2, fusion=fusion).top)


def test_equal_distances_are_ranked_by_gallery_row() -> None:
    gallery = {"v": torch.tensor([[1.0, 0.0]] * 500)}
    gallery["v"][3] = torch.tensor([0.0, 1.0])
    ids = Identity(torch.zeros(2, dtype=torch.int64), torch.full((2,), -1))
    gallery_ids = Identity(torch.zeros(500, dtype=torch.int64), torch.full((500,), -1))
    query = {"v": torch.tensor([[1.0, 0.1], [0.1, 1.0]])}
    result = retrieve(query, gallery, ids, gallery_ids, distance="cosine", k=5, select="precision_at_5", keep=6)
    assert result.top.tolist() == [[0, 1, 2, 4, 5, 6], [3, 0, 1, 2, 4, 5]]


def test_a_query_with_nothing_to_find_scores_zero_and_counts() -> None:
    result = run()
    query_ids, gallery_ids = case(1)[2:]
    lost = query_ids.labels == 5
    assert 0 < lost.sum() == result.num_without_relevant
    for name in (f"precision_at_{K}", f"map_at_{K}_k", f"map_at_{K}_hits", f"map_at_{K}_min", "map_all"):
        assert (result.per_query[name][lost] == 0).all()
        assert len(result.per_query[name]) == Q
    unpaired = torch.tensor([int(i) < 0 or int(i) not in gallery_ids.instances.tolist() for i in query_ids.instances])
    assert unpaired.any()
    assert (result.per_query["acc_at_10"][unpaired] == 0).all()


def test_a_zero_vector_is_at_distance_one_from_everything_and_is_counted() -> None:
    gallery = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    query = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    ids = Identity(torch.tensor([0, 1]), torch.full((2,), -1))
    gallery_ids = Identity(torch.tensor([0, 1, 1, 1]), torch.full((4,), -1))
    result = retrieve({"v": query}, {"v": gallery}, ids, gallery_ids, distance="cosine", k=2, select="precision_at_2")
    assert result.top.tolist() == [[1, 0, 3, 2], [0, 1, 2, 3]]  # 0, 1, 1, 2 and all equal
    assert result.zero_vectors == 2


def test_top_lists_have_the_length_asked_for() -> None:
    for shorter, longer in pairwise([1, 5, 50, G]):
        assert torch.equal(run(keep=longer).top[:, :shorter], run(keep=shorter).top)
    assert run(keep=1000).top.shape == (Q, G)


def test_bad_input_is_refused_with_rule_and_value() -> None:
    with pytest.raises(ValueError, match=f"k must be between 1 and the gallery size {G}, got {G + 1}"):
        run(k=G + 1)
    with pytest.raises(ValueError, match=f"k must be between 1 and the gallery size {G}, got 0"):
        run(k=0)
    with pytest.raises(ValueError, match=r"fusion must be one of 0.0, .*, min, got '0.25'"):
        run(2, fusion="0.25")
    with pytest.raises(ValueError, match=r"fusion must be None for a method with one view, got '0.5'"):
        run(1, fusion="0.5")
    query, gallery, query_ids, gallery_ids = case(1)
    with pytest.raises(ValueError, match=r"select must be one of precision_at_7, .*, got 'map_at_7'"):
        retrieve(query, gallery, query_ids, gallery_ids, distance="cosine", k=K, select="map_at_7")
    with pytest.raises(ValueError, match=r"must have the same one or two views, got \['first'\] and \['other'\]"):
        retrieve(query, {"other": gallery["first"]}, query_ids, gallery_ids, distance="cosine", k=K, select="map_all")
    with pytest.raises(ValueError, match="one row per label and instance, got 89 rows, 90 labels"):
        retrieve(
            query, {"first": gallery["first"][1:]}, query_ids, gallery_ids, distance="cosine", k=K, select="map_all"
        )
    broken = gallery["first"].clone()
    broken[4, 1] = np.nan
    with pytest.raises(ValueError, match="gallery view 'first' must be finite, got NaN or infinity in 1 rows"):
        retrieve(query, {"first": broken}, query_ids, gallery_ids, distance="cosine", k=K, select="map_all")
