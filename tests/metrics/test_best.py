"""The best of several rows is rarely lost, and equal rows rarely have a single winner."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sbir.metrics.best import Comparison, compare_with_best

CLASSES = np.repeat(np.arange(20), 12)
PHOTOS = np.arange(240) // 2


def drawn(rng: np.random.Generator, num_rows: int) -> NDArray[np.float64]:
    """Rows of one mean: what classes and photos share, and what is the row's own."""
    shared = rng.normal(size=20)[CLASSES] + rng.normal(size=240)
    return np.stack([shared + 0.6 * rng.normal(size=20)[CLASSES] + 0.6 * rng.normal(size=240) for _ in range(num_rows)])


def compared(values: NDArray[np.float64], seed: int = 0) -> Comparison:
    return compare_with_best(values, CLASSES, PHOTOS, resamples=300, seed=seed)


@pytest.mark.parametrize("num_rows", [2, 6])
def test_among_equal_rows_the_best_is_kept_and_a_single_winner_is_rare(num_rows: int) -> None:
    rng = np.random.default_rng(num_rows)
    found = [compared(drawn(rng, num_rows), trial) for trial in range(150)]
    assert np.mean([0 not in one.candidates for one in found]) <= 0.05
    assert np.mean([len(one.candidates) == 1 for one in found]) <= 0.09  # 0.05, and two standard errors of 150
    assert np.mean([bool(((one.low <= 0) & (one.high >= 0)).all()) for one in found]) >= 0.95


def test_a_row_that_is_clearly_better_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    values = drawn(rng, 4)
    values[2] += 2.0
    found = compared(values)
    assert found.candidates == (2,)
    assert found.low[2] == 0  # it is the best: nothing says that it may be worse
    assert found.high[2] > 1.5
    assert np.all(found.high[[0, 1, 3]] == 0)
    assert found.names_winners


def test_the_gap_is_that_to_the_best_of_the_others() -> None:
    values = np.array([0.5, 0.3, 0.1])[:, None] + np.zeros(240)
    found = compared(values)
    assert found.gap == pytest.approx([0.2, -0.2, -0.4])
    assert found.candidates == (0,)  # no spread at all: nothing can change places


def test_equal_rows_are_all_candidates_and_their_order_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    one = drawn(rng, 3)
    first, turned = compared(one), compared(one[::-1])
    assert first.high == pytest.approx(turned.high[::-1])
    assert first.low == pytest.approx(turned.low[::-1])
    assert compared(np.stack([one[0], one[0]])).candidates == (0, 1)


def test_few_classes_name_no_winner() -> None:
    values = np.random.default_rng(0).normal(size=(2, 40))
    assert not compare_with_best(values, np.arange(40) // 10, np.arange(40)).names_winners
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        compare_with_best(values[:1], np.arange(40) // 10, np.arange(40))
