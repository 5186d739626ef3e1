"""Intervals cover what they say, in small simulations of how the figures arise."""

import numpy as np
import pytest

from sbir.metrics.intervals import Interval, class_bootstrap, resampled_means, seed_interval


def test_seed_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = [interval.low <= 0 <= interval.high for interval in map(seed_interval, rng.normal(size=(2000, 5)))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


def test_seed_interval_is_that_of_the_t_table() -> None:
    found = seed_interval([0.30, 0.32, 0.34])  # s = 0.02, t(2) = 4.303
    assert found == pytest.approx(Interval(0.32, 0.32 - 4.303 * 0.02 / 3**0.5, 0.32 + 4.303 * 0.02 / 3**0.5), abs=1e-5)


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        seed_interval([0.3])


def test_class_bootstrap_covers_the_mean_over_classes_and_queries_alone_do_not() -> None:
    """20 classes of 6 photos with 4 sketches; classes, photos and sketches vary alike."""
    rng = np.random.default_rng(1)
    photos = np.repeat(np.arange(120), 4)
    classes = photos // 6
    by_class, by_query = [], []
    for trial in range(300):
        values = rng.normal(size=20)[classes] + rng.normal(size=120)[photos] + rng.normal(size=480)
        low, high = class_bootstrap(values, classes, photos, resamples=300, seed=trial)[1:]
        by_class.append(low <= 0 <= high)
        by_query.append(abs(values.mean()) <= 1.96 * values.std() / np.sqrt(480))
    assert 0.88 <= np.mean(by_class) <= 0.98
    assert np.mean(by_query) < 0.6


def test_sketches_of_one_photo_are_one_piece_of_evidence() -> None:
    """One class, so that only its photos are drawn: ten copies of every sketch must not narrow the interval."""
    values = np.random.default_rng(0).random(30)
    alone = class_bootstrap(values, np.zeros(30, np.int64), np.arange(30))
    copied = class_bootstrap(np.repeat(values, 10), np.zeros(300, np.int64), np.repeat(np.arange(30), 10))
    unknown = class_bootstrap(np.repeat(values, 10), np.zeros(300, np.int64), np.full(300, -1))
    assert copied == pytest.approx(alone)
    assert unknown.high - unknown.low < 0.5 * (alone.high - alone.low)


def test_class_bootstrap_has_the_spread_that_a_loop_over_draws_has() -> None:
    rng = np.random.default_rng(2)
    classes = np.repeat(np.arange(5), [3, 8, 4, 10, 5])
    instances = np.arange(30) // 2
    values = rng.random(30) + classes
    found = np.quantile(resampled_means(values[None], classes, instances, resamples=20_000)[0], [0.025, 0.975])
    means = []
    for _ in range(4000):
        drawn: list[float] = []
        for one in rng.choice(np.unique(classes), 5):
            photos = np.unique(instances[classes == one])
            for photo in rng.choice(photos, len(photos)):
                drawn += values[(classes == one) & (instances == photo)].tolist()
        means.append(np.mean(drawn))
    ends = np.quantile(means, [0.025, 0.975])
    assert found == pytest.approx(ends, abs=0.06)
    interval = class_bootstrap(values, classes, instances, resamples=20_000)
    wider = 2.776 / 1.960 * (5 / 4) ** 0.5  # t of 4 degrees of freedom, and the variance of five classes
    assert interval[1:] == pytest.approx(values.mean() + wider * (found - values.mean()), abs=0.01)


def test_class_bootstrap_is_the_same_for_the_same_seed() -> None:
    values, classes = np.random.default_rng(0).random(40), np.arange(40) // 4
    first, again = (class_bootstrap(values, classes, np.arange(40), seed=3) for _ in range(2))
    assert first == again
    assert first != class_bootstrap(values, classes, np.arange(40), seed=4)


def test_bad_values_are_refused() -> None:
    with pytest.raises(ValueError, match="got 3 values, 2 classes and 3 instances"):
        class_bootstrap(np.zeros(3), np.zeros(2, np.int64), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="values must be finite, got NaN or infinity for 1 queries"):
        class_bootstrap(np.array([0.0, np.nan]), np.zeros(2, np.int64), np.zeros(2, np.int64))
