"""Distances against float64, and the partial ranking against a full stable sort."""

import pytest
import torch

from sbir.metrics.distances import FUSIONS, GalleryDistances, fuse, nearest
from sbir.types import Distance


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_distances_agree_with_float64(distance: Distance, offset: float) -> None:
    generator = torch.Generator().manual_seed(0)
    query, gallery = (
        torch.randn(70, 33, generator=generator) + offset,
        torch.randn(50, 33, generator=generator) + offset,
    )
    if distance == "cosine":
        expected = 1 - torch.nn.functional.cosine_similarity(query.double()[:, None], gallery.double()[None], dim=2)
    else:
        expected = torch.cdist(query.double(), gallery.double(), compute_mode="donot_use_mm_for_euclid_dist")
    found = GalleryDistances(query, gallery, distance).rows(0, 70)
    assert torch.allclose(found.double(), expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 2, 10, 24, 25, 26, 100])
@pytest.mark.parametrize("levels", [1, 2, 5, 60, 10**6])
def test_nearest_is_the_head_of_a_stable_sort_however_many_ties(k: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(k)
    distances = torch.randint(levels, (200, 100), generator=generator).float()
    assert torch.equal(nearest(distances, k), distances.sort(dim=1, stable=True).indices[:, :k])


def test_the_grid_runs_from_the_second_view_to_the_first_and_ends_with_the_minimum() -> None:
    first, second = torch.tensor([0.2, 0.9]), torch.tensor([0.6, 0.1])
    found = torch.stack([fuse(first, second, name) for name in FUSIONS])
    expected = [second + step / 10 * (first - second) for step in range(11)]
    assert torch.allclose(found, torch.stack([*expected, torch.tensor([0.2, 0.1])]))
