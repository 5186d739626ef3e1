import numpy as np
import pytest

from sbir.metrics.effects import effects, holm
from sbir.metrics.intervals import prediction_interval


def test_holm_is_its_definition() -> None:
    p = [0.02, 0.001, 0.5, 0.02]
    expected = [
        max(min(1.0, (4 - place) * value) for place, value in enumerate(sorted(p)[: rank + 1])) for rank in range(4)
    ]
    assert [holm(p)[index] for index in np.argsort(p, kind="stable")] == pytest.approx(expected)


def test_no_effect_is_found_among_equal_rows_more_often_than_the_level() -> None:
    rng = np.random.default_rng(0)
    found = [
        min(one.p_holm for one in effects(rng.normal(size=5), list(rng.normal(size=(6, 5))))) < 0.05 for _ in range(400)
    ]
    assert np.mean(found) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_one_more_run_lies_in_the_prediction_interval_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(size=(2000, 4))
    hits = [one.low <= last <= one.high for one, last in ((prediction_interval(row[:3]), row[3]) for row in draws)]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)
