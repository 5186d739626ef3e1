"""Chance and ceiling against the metrics themselves on many random rankings, and on a perfect one."""

import numpy as np
import pytest
import torch

from sbir.metrics.intervals import class_bootstrap, seed_interval
from sbir.metrics.reference import ceiling, chance
from sbir.metrics.retrieval import Identity, retrieve

K = 4


def ids() -> tuple[Identity, Identity]:
    labels = torch.tensor([0] * 3 + [1] * 6 + [2] * 2)
    gallery = Identity(labels, torch.arange(11))
    query = Identity(torch.tensor([0, 1, 2, 1]), torch.tensor([0, 3, 9, 5]))
    return query, gallery


def test_chance_is_the_mean_over_random_rankings() -> None:
    query, gallery = ids()
    generator = torch.Generator().manual_seed(0)
    sums: dict[str, float] = {}
    draws = 4000
    for _ in range(draws):
        views = {"v": torch.randn(11, 1, generator=generator)}
        result = retrieve({"v": torch.zeros(4, 1)}, views, query, gallery, distance="euclidean", k=K, select="map_all")
        for name, value in result.means.items():
            sums[name] = sums.get(name, 0.0) + value / draws
    expected = chance(query, gallery, K)
    assert set(expected) == set(sums)
    for name, value in expected.items():
        assert value == pytest.approx(sums[name], abs=0.012), name


def test_ceiling_is_what_a_perfect_ranking_scores() -> None:
    query, gallery = ids()
    own = {"v": torch.eye(3)[query.labels] * 100 + 0.0}
    views = {"v": torch.eye(3)[gallery.labels] * 100 + 0.0}
    result = retrieve(own, views, query, gallery, distance="euclidean", k=K, select="map_all")
    expected = ceiling(query, gallery, K)
    for name in (f"precision_at_{K}", f"map_at_{K}_k", f"map_at_{K}_hits", f"map_at_{K}_min", "map_all"):
        assert expected[name] == pytest.approx(result.means[name]), name
    assert expected["acc_at_1"] == 1.0


def test_seed_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = [interval.low <= 0 <= interval.high for interval in map(seed_interval, rng.normal(size=(2000, 5)))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        seed_interval([0.3])


def test_class_bootstrap_is_wider_than_independent_queries_would_suggest() -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(20), 40)
    values = rng.normal(size=20)[classes] + 0.1 * rng.normal(size=800)
    interval = class_bootstrap(values, classes, np.arange(800) // 4)
    naive = 2 * 1.96 * values.std() / np.sqrt(800)
    assert interval.high - interval.low > 3 * naive
    assert interval.low < values.mean() < interval.high


def test_class_bootstrap_covers_the_mean_over_classes() -> None:
    rng = np.random.default_rng(1)
    classes = np.repeat(np.arange(30), 6)
    covered = []
    for trial in range(150):
        values = rng.normal(size=30)[classes] + rng.normal(size=180)
        interval = class_bootstrap(values, classes, np.arange(180) // 2, resamples=400, seed=trial)
        covered.append(interval.low <= 0 <= interval.high)
    assert np.mean(covered) == pytest.approx(0.94, abs=0.05)
