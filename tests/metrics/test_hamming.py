"""Codes: packing, search and figures with ties, against their definitions, random orders and scikit-learn."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from sbir.metrics import hamming, ranked, tied
from sbir.metrics.identity import Identity
from sbir.metrics.retrieval import Retrieval, retrieve

K = 5
ORDERS = torch.tensor(list(permutations(range(7))))


def signs(rows: int, num_bits: int, seed: int) -> Tensor:
    return torch.randint(2, (rows, num_bits), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1


def slow_distances(query: Tensor, gallery: Tensor) -> Tensor:
    return torch.tensor([[int((q != g).sum()) for g in gallery] for q in query])


@pytest.mark.parametrize("num_bits", [1, 7, 8, 16, 24, 32, 33, 64, 65, 200, 300])
def test_search_is_brute_force_with_ties_in_gallery_order(num_bits: int) -> None:
    query, gallery = signs(9, num_bits, 0), signs(80, num_bits, 1)
    query[0] = -gallery[0]  # the largest distance there is
    expected = slow_distances(query, gallery)
    for k in (1, K, 80):
        found, positions = hamming.search(hamming.pack(query), hamming.pack(gallery), k)
        order = expected.sort(dim=1, stable=True)
        assert positions.tolist() == order.indices[:, :k].tolist()
        assert found.tolist() == order.values[:, :k].tolist()


def test_a_packed_code_takes_an_eighth_of_a_byte_a_bit_rounded_up_to_a_machine_word() -> None:
    sizes = {bits: hamming.pack(signs(3, bits, 0)).bytes_per_item for bits in (8, 16, 24, 32, 64, 96)}
    assert sizes == {8: 1, 16: 2, 24: 4, 32: 4, 64: 8, 96: 16}


def case() -> tuple[Tensor, Tensor, Identity, Identity]:
    """A gallery so small that every order of its ties can be tried; class 3 is in no gallery."""
    gallery = signs(7, 2, 3)
    gallery_ids = Identity(torch.tensor([0, 1, 0, 2, 1, 0, 0]), torch.tensor([5, 6, 7, -1, 5, 8, 8]))
    query_ids = Identity(torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([5, -1, 7, 8, 8, 40]))
    return signs(6, 2, 4), gallery, query_ids, gallery_ids


def run(k: int = K) -> Retrieval:
    query, gallery, query_ids, gallery_ids = case()
    return retrieve(
        {"code": query}, {"code": gallery}, query_ids, gallery_ids, distance="hamming", k=k, select=f"precision_at_{k}"
    )


@pytest.mark.parametrize("k", [1, 3, K, 7])
def test_every_figure_is_the_mean_over_all_orders_of_the_ties(k: int) -> None:
    query, gallery, query_ids, gallery_ids = case()
    result, all_distances = run(k), slow_distances(query, gallery)
    worst: list[float] = []
    for row, distances in enumerate(all_distances):
        orders = ORDERS[(distances[ORDERS].diff() >= 0).all(1)]
        hits = gallery_ids.labels[orders] == query_ids.labels[row]
        own = (gallery_ids.instances[orders] == query_ids.instances[row]) & (query_ids.instances[row] >= 0)
        expected = {
            f"precision_at_{k}": ranked.precision_at_k(hits, k),
            f"map_at_{k}_k": ranked.map_at_k_k(hits, k),
            f"map_at_{k}_hits": ranked.map_at_k_hits(hits, k),
            f"map_at_{k}_min": ranked.map_at_k_min(hits, k, hits.sum(1)),
            "map_all": ranked.map_all(hits),
            **{f"acc_at_{n}": ranked.acc_at_k(own, n) for n in (1, 5, 10)},
        }
        assert set(result.per_query) == set(expected)
        for name, values in expected.items():
            assert result.per_query[name][row].item() == pytest.approx(values.mean().item(), abs=1e-12), (name, row)
        worst.append(expected["map_all"].min().item())
    assert result.codes is not None
    assert result.codes.means["map_all_worst"] == pytest.approx(np.mean(worst))
    assert result.num_without_relevant == 1


def test_bounds_are_the_worst_and_the_best_order() -> None:
    query, gallery, query_ids, gallery_ids = case()
    of = hamming.count(hamming.pack(query), hamming.pack(gallery), query_ids, gallery_ids, 7)
    groups = tied.groups(of.items, of.relevant)
    for row, distances in enumerate(slow_distances(query, gallery)):
        orders = ORDERS[(distances[ORDERS].diff() >= 0).all(1)]
        hits = gallery_ids.labels[orders] == query_ids.labels[row]
        for bounds, values in (
            (tied.map_all_bounds(groups), ranked.map_all(hits)),
            (tied.precision_at_k_bounds(groups, K), ranked.precision_at_k(hits, K)),
        ):
            assert bounds[0][row].item() == pytest.approx(values.min().item())
            assert bounds[1][row].item() == pytest.approx(values.max().item())


def test_without_ties_the_figures_are_those_of_a_ranking() -> None:
    generator = torch.Generator().manual_seed(0)
    hits = torch.rand(50, 40, generator=generator) < 0.3
    groups, counts = tied.groups(torch.ones(50, 40), hits), hits.sum(1)
    for k in (1, 7, 40):
        assert torch.allclose(tied.precision_at_k(groups, k), ranked.precision_at_k(hits, k))
        assert torch.allclose(tied.map_at_k_k(groups, k), ranked.map_at_k_k(hits, k))
        assert torch.allclose(tied.map_at_k_hits(groups, k), ranked.map_at_k_hits(hits, k))
        assert torch.allclose(tied.map_at_k_min(groups, k), ranked.map_at_k_min(hits, k, counts))
    assert torch.allclose(tied.map_all(groups), ranked.map_all(hits))


def test_large_groups_agree_with_many_random_orders() -> None:
    query, gallery = signs(20, 8, 5), signs(3000, 8, 6)
    labels = torch.arange(3000) % 7
    ids = Identity(torch.arange(20) % 7, torch.full((20,), -1))
    result = retrieve(
        {"code": query}, {"code": gallery}, ids, Identity(labels, labels), distance="hamming", k=200, select="map_all"
    )
    generator = torch.Generator().manual_seed(7)
    distances, drawn = slow_distances(query, gallery), []
    for _ in range(60):
        order = (distances + torch.rand(distances.shape, generator=generator)).argsort(1)
        hits = labels[order] == ids.labels[:, None]
        drawn.append(torch.stack([ranked.map_all(hits), ranked.map_at_k_hits(hits, 200)]))
    values = torch.stack(drawn).mean(2)  # orders, metrics
    for name, of_orders in zip(("map_all", "map_at_200_hits"), values.T, strict=True):
        error = of_orders.std().item() / 60**0.5
        assert abs(result.means[name] - of_orders.mean().item()) < 4 * error, name


def test_precision_within_the_radius_and_the_curves_are_counted_by_hand() -> None:
    gallery = torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, 1], [-1, -1, -1, -1]])
    query = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 1]])  # distances 0, 2, 3, 4
    result = retrieve(
        {"code": query},
        {"code": gallery},
        Identity(torch.tensor([0, 1]), torch.tensor([-1, -1])),
        Identity(torch.tensor([0, 1, 1, 0]), torch.tensor([-1] * 4)),
        distance="hamming",
        k=2,
        select="map_all",
    )
    assert result.codes is not None
    assert result.codes.means["precision_within_2"] == pytest.approx(0.5)
    assert result.codes.means["nothing_within_2"] == 0.0
    assert result.codes.by_radius == [(0, 1 / 4, 1 / 2), (1, 1 / 4, 1 / 2), (2, 2 / 4, 2 / 4), (3, 3 / 4, 3 / 6),
                                      (4, 1.0, 4 / 8)]  # fmt: skip
    assert dict(result.codes.by_rank) == pytest.approx({1: 1 / 2, 2: 1 / 2, 3: 1 / 2, 4: 1 / 2})
    assert result.top.tolist() == [[0, 1, 2, 3]] * 2


def test_a_query_that_finds_nothing_within_the_radius_scores_0_and_is_counted() -> None:
    ids = Identity(torch.tensor([0]), torch.tensor([-1]))
    result = retrieve(
        {"c": torch.ones(1, 3)}, {"c": -torch.ones(1, 3)}, ids, ids, distance="hamming", k=1, select="map_all"
    )
    assert result.codes is not None
    assert (result.codes.means["precision_within_2"], result.codes.means["nothing_within_2"]) == (0.0, 1.0)
    assert result.codes.by_radius == [(3, 1.0, 1.0)]


def test_what_is_no_code_is_refused() -> None:
    query, gallery, query_ids, gallery_ids = case()
    for entry in (0.5, float("nan"), 0.0):
        wrong = query.clone()
        wrong[2, 1] = entry
        with pytest.raises(ValueError, match=r"must be -1 or \+1|must be finite"):
            retrieve({"c": wrong}, {"c": gallery}, query_ids, gallery_ids, distance="hamming", k=1, select="map_all")
    with pytest.raises(ValueError, match="one view"):
        retrieve(
            {"a": query, "b": query}, {"a": gallery, "b": gallery}, query_ids, gallery_ids, distance="hamming", k=1,
            select="map_all",
        )  # fmt: skip
    with pytest.raises(ValueError, match="one length"):
        hamming.search(hamming.pack(signs(1, 8, 0)), hamming.pack(signs(1, 9, 0)), 1)
    with pytest.raises(ValueError, match="between 1 and the gallery size 7, got 8"):
        run(8)
