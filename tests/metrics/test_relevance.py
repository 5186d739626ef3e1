"""Who is relevant to whom: never an item to itself, and of multi-label data whatever shares a label."""

import pytest
import torch

from sbir.metrics.identity import Identity, count_relevant
from sbir.metrics.reference import ceiling, chance
from sbir.metrics.retrieval import retrieve
from sbir.types import Distance


def test_no_item_is_retrieved_for_itself() -> None:
    generator = torch.Generator().manual_seed(5)
    labels, rows = torch.randint(4, (30,), generator=generator), torch.randperm(30, generator=generator)
    views = {"x": torch.randn(30, 8, generator=generator)}
    codes = {"x": views["x"].sign()}
    ids = Identity(labels, torch.full((30,), -1), rows=rows)
    some, others = torch.arange(0, 30, 2), torch.arange(29, -1, -1)  # queries are some of the gallery, in other order
    query_ids = Identity(labels[some], ids.instances[some], rows=rows[some])
    gallery_ids = Identity(labels[others], ids.instances[others], rows=rows[others])
    distances: tuple[Distance, ...] = ("cosine", "euclidean", "hamming")
    for distance in distances:
        both = codes if distance == "hamming" else views
        query, gallery = {"x": both["x"][some]}, {"x": both["x"][others]}
        got = retrieve(
            query, gallery, query_ids, gallery_ids, distance=distance, k=5, select="map_all", keep=30, recall=(1, 4)
        )
        assert got.top.shape == (15, 29)
        for row, one in enumerate(some.tolist()):
            rest = others[others != one]
            alone = retrieve(
                {"x": both["x"][[one]]},
                {"x": both["x"][rest]},
                Identity(labels[[one]], torch.tensor([-1])),
                Identity(labels[rest], torch.full((29,), -1)),
                distance=distance, k=5, select="map_all", keep=30, recall=(1, 4),
            )  # fmt: skip
            assert others[got.top[row]].tolist() == rest[alone.top[0]].tolist()
            for name, value in alone.per_query.items():
                assert got.per_query[name][row].item() == pytest.approx(value.item(), abs=1e-12), (distance, name)


def test_the_ranks_of_an_item_that_stands_in_the_gallery_end_before_itself() -> None:
    ids = Identity(torch.tensor([0, 0, 1]), torch.full((3,), -1), rows=torch.arange(3))
    views = {"x": torch.eye(3)}
    with pytest.raises(ValueError, match="k must be between 1 and the gallery size 2, got 3"):
        retrieve(views, views, ids, ids, distance="cosine", k=3, select="map_all")
    with pytest.raises(ValueError, match="ranks of recall must be between 1 and the gallery size 2, got 4"):
        retrieve(views, views, ids, ids, distance="cosine", k=1, select="map_all", recall=(1, 4))


@pytest.mark.parametrize("distance", ["cosine", "hamming"])
def test_items_of_multi_label_data_are_relevant_to_those_that_share_a_tag(distance: Distance) -> None:
    generator = torch.Generator().manual_seed(6)
    tags = torch.rand(40, 7, generator=generator) < 0.2
    embedding = torch.randn(40, 6, generator=generator).sign()
    query, gallery = slice(0, 12), slice(12, 40)
    ids = [Identity(torch.zeros(40)[part].long(), torch.full((40,), -1)[part], tags[part]) for part in (query, gallery)]
    got = retrieve(
        {"x": embedding[query]}, {"x": embedding[gallery]}, *ids, distance=distance, k=4, select="map_all", recall=(1,)
    )
    relevant = torch.tensor([[bool((a & b).any()) for b in tags[gallery]] for a in tags[query]])
    assert got.num_without_relevant == int((~relevant.any(1)).sum()) > 0
    assert (count_relevant(*ids) == relevant.sum(1)).all()
    # the same as a class of its own for each query: relevant or not
    for row in range(12):
        alone = retrieve(
            {"x": embedding[row : row + 1]},
            {"x": embedding[gallery]},
            Identity(torch.tensor([1]), torch.tensor([-1])),
            Identity(relevant[row].long(), torch.full((28,), -1)),
            distance=distance, k=4, select="map_all", recall=(1,),
        )  # fmt: skip
        for name, value in alone.per_query.items():
            assert got.per_query[name][row].item() == pytest.approx(value.item(), abs=1e-12), name


def test_chance_and_ceiling_leave_the_query_out() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    ids = Identity(labels, torch.full((6,), -1), rows=torch.arange(6))
    generator = torch.Generator().manual_seed(7)
    sums: dict[str, float] = {}
    for _ in range(600):
        views = {"x": torch.randn(6, 3, generator=generator)}
        noise = {"x": torch.randn(6, 3, generator=generator)}
        for name, value in retrieve(
            views, noise, ids, ids, distance="euclidean", k=2, select="map_all", recall=(1, 2)
        ).means.items():
            sums[name] = sums.get(name, 0.0) + value / 600
    expected = chance(ids, ids, 2, (1, 2))
    assert sums.keys() == expected.keys()
    for name, value in expected.items():
        assert sums[name] == pytest.approx(value, abs=0.03), name
    assert ceiling(ids, ids, 2, (1, 2))["recall_at_1"] == pytest.approx(5 / 6)  # the last one is alone in its class
