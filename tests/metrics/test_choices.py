"""People's choices between two photos: against a loop over every pair, by each distance, and where they cannot be."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sbir.metrics.identity import Identity, chosen_positions, metric_names
from sbir.metrics.reference import ceiling, chance
from sbir.metrics.retrieval import retrieve
from sbir.types import Distance, Views

Q, G, T, D = 70, 40, 6, 8  # more queries than one matrix product takes


def identities(generator: torch.Generator) -> tuple[Identity, Identity]:
    """Photos of known instances, some of the choices about photos that are not in the gallery, some places unused."""
    instances = torch.randperm(3 * G, generator=generator)
    choices = instances[torch.randint(0, G + 9, (Q, T, 2), generator=generator)]
    choices[:, 0] = instances[torch.randint(0, G, (Q, 2), generator=generator)]  # each query has one that counts
    choices[::3, -1] = -1
    own = instances[torch.randint(0, G, (Q,), generator=generator)]
    labels = torch.zeros(Q, dtype=torch.int64)
    return Identity(labels, own, choices=choices), Identity(torch.zeros(G, dtype=torch.int64), instances[:G])


def slowly(distances: Tensor, query_ids: Identity, gallery_ids: Identity) -> list[float]:
    assert query_ids.choices is not None
    place = {int(instance): at for at, instance in enumerate(gallery_ids.instances)}
    shares = []
    for row, pairs in zip(distances.tolist(), query_ids.choices.tolist(), strict=True):
        known = [(row[place[a]], row[place[b]]) for a, b in pairs if a in place and b in place]
        shares.append(sum(1.0 if near < far else 0.5 if near == far else 0.0 for near, far in known) / len(known))
    return shares


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "hamming"])
@pytest.mark.parametrize("seed", [0, 1])
def test_agreement_is_the_share_of_choices_that_the_distances_make_alike(distance: Distance, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    query_ids, gallery_ids = identities(generator)
    query, gallery = torch.randn(Q, D, generator=generator), torch.randn(G, D, generator=generator)
    if distance == "hamming":
        query, gallery = query.sign(), gallery.sign()
    found = retrieve(
        {"a": query}, {"a": gallery}, query_ids, gallery_ids, distance=distance, k=5, select="acc_at_1"
    )  # fmt: skip
    exact: dict[str, Tensor] = {
        "cosine": 1 - torch.nn.functional.cosine_similarity(query.double()[:, None], gallery.double(), dim=2),
        "euclidean": (query.double()[:, None] - gallery.double()).norm(dim=2),
        "hamming": (query[:, None] != gallery).sum(2),
    }
    wanted = slowly(exact[distance], query_ids, gallery_ids)
    agreed = found.per_query["triplet_agreement"]
    if distance == "hamming":
        assert agreed.tolist() == pytest.approx(wanted)
    else:  # a photo against itself is a tie, which the ranking's order decides
        assert query_ids.choices is not None
        same = (query_ids.choices[:, :, 0] == query_ids.choices[:, :, 1]).any(1)
        assert agreed[~same].tolist() == pytest.approx(
            [one for one, skip in zip(wanted, same, strict=True) if not skip]
        )
    assert found.means["triplet_agreement"] == pytest.approx(agreed.mean().item())


def test_it_follows_the_fusion_of_two_views() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = identities(generator)
    views = [{name: torch.randn(size, D, generator=generator) for name in ("a", "b")} for size in (Q, G)]

    def agreed(query: Views, gallery: Views, fusion: str | None) -> list[float]:
        found = retrieve(query, gallery, ids[0], ids[1], distance="cosine", k=5, select="acc_at_1", fusion=fusion)
        return found.per_query["triplet_agreement"].tolist()

    alone = agreed({"b": views[0]["b"]}, {"b": views[1]["b"]}, None)
    assert agreed(views[0], views[1], "0.0") == alone
    assert agreed(views[0], views[1], "1.0") != alone


def test_there_is_no_figure_where_a_query_has_no_choice_to_be_judged_by() -> None:
    query_ids, gallery_ids = identities(torch.Generator().manual_seed(0))
    assert "triplet_agreement" in metric_names(query_ids, gallery_ids, 5)
    assert query_ids.choices is not None
    fewer = query_ids.choices.clone()
    fewer[7] = -1
    assert chosen_positions(replace(query_ids, choices=fewer), gallery_ids) is None
    assert "triplet_agreement" not in metric_names(replace(query_ids, choices=None), gallery_ids, 5)


def test_a_coin_agrees_with_every_other_choice() -> None:
    ids = identities(torch.Generator().manual_seed(0))
    assert chance(*ids, 5)["triplet_agreement"] == 0.5
    assert ceiling(*ids, 5)["triplet_agreement"] == 1.0
