"""Chance against the mean over all rankings that there are, and the ceiling against a perfect one."""

from itertools import permutations

import pytest
import torch

from sbir.metrics.identity import Identity
from sbir.metrics.reference import ceiling, chance
from sbir.metrics.retrieval import retrieve


def ids() -> tuple[Identity, Identity]:
    """Classes of 1, 2 and 3 items; a query with two own photos, one with one, one without, one without its class."""
    gallery = Identity(torch.tensor([0, 1, 1, 2, 2, 2]), torch.tensor([7, 8, 8, 9, -1, -1]))
    return Identity(torch.tensor([0, 1, 2, 3, 2]), torch.tensor([7, 8, 9, -1, 5])), gallery


def every_ranking(query: Identity, gallery: Identity, k: int) -> dict[str, float]:
    """Mean of the metrics over all orders of the gallery, each given to all queries alike."""
    size = len(gallery.labels)
    orders = torch.tensor(list(permutations(range(size))))
    sums: dict[str, float] = {}
    for order in orders:
        views = {"v": torch.empty(size, 1).index_copy_(0, order, torch.arange(1.0, size + 1)[:, None])}
        origin = {"v": torch.zeros(len(query.labels), 1)}
        result = retrieve(origin, views, query, gallery, distance="euclidean", k=k, select="map_all")
        assert torch.equal(result.top[0], order)
        for name, value in result.means.items():
            sums[name] = sums.get(name, 0.0) + value / len(orders)
    return sums


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_chance_is_the_mean_over_all_rankings(k: int) -> None:
    assert chance(*ids(), k) == pytest.approx(every_ranking(*ids(), k), abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_ceiling_is_what_a_perfect_ranking_scores(k: int) -> None:
    query, gallery = ids()
    # Own photos at distance 0, the class near, the rest far.
    far = torch.full((len(query.labels), len(gallery.labels)), 9.0)
    far[query.labels[:, None] == gallery.labels] = 1.0
    far[(query.instances[:, None] == gallery.instances) & (query.instances[:, None] >= 0)] = 0.0
    sums: dict[str, float] = {}
    for row, distances in enumerate(far):
        one = Identity(query.labels[row : row + 1], query.instances[row : row + 1])
        views = {"v": distances[:, None]}
        result = retrieve({"v": torch.zeros(1, 1)}, views, one, gallery, distance="euclidean", k=k, select="map_all")
        for name in ceiling(query, gallery, k):
            sums[name] = sums.get(name, 0.0) + result.means.get(name, 0.0) / len(far)
    assert ceiling(query, gallery, k) == pytest.approx(sums)


def test_the_figures_of_the_sketchy_zero_shot_protocol_are_those_that_the_literature_implies() -> None:
    """Gallery sizes of the 21 classes: P@200 <= 0.9916 by skyscraper's 161 photos, and chance is 0.0482."""
    sizes = [161, 276, 278, 345, 385, 392, 393, 420, 443, 495, 600, 600, 600, 600, 600, 600, 600, 613, 639, 663, 750]
    assert sum(sizes) == 10453
    labels = torch.repeat_interleave(torch.arange(21), torch.tensor(sizes))
    gallery = Identity(labels, torch.full_like(labels, -1))
    query = Identity(torch.arange(21), torch.full((21,), -1))  # one of each class; the real queries are nearly even
    assert chance(query, gallery, 200)["precision_at_200"] == pytest.approx(1 / 21)
    assert ceiling(query, gallery, 200)["precision_at_200"] == pytest.approx((20 + 0.805) / 21)
