"""Moves of drawings against Pillow and numpy, and curves against codes of which the answer is known."""

import numpy as np
import pytest
import torch
from PIL import Image

from sbir.metrics.invariance import ROTATIONS, SCALES, Curve, invariance, moved

SIDE = 32


def picture() -> torch.Tensor:
    """A smooth blob off the middle, (1, 1, S, S)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return torch.tensor(np.exp(-((x - 20) ** 2 / 8 + (y - 12) ** 2 / 10)), dtype=torch.float32)[None, None]


def test_nothing_moves_at_no_shift_no_rotation_and_scale_1() -> None:
    for move, value in (("shift", 0), ("rotation", 0), ("scale", 1)):
        assert torch.allclose(moved(picture(), move, value), picture(), atol=1e-5)


def test_a_shift_of_whole_pixels_is_exact_and_what_leaves_the_picture_is_lost() -> None:
    expected = np.zeros((SIDE, SIDE), np.float32)
    expected[:, 5:] = picture()[0, 0, :, :-5]
    assert moved(picture(), "shift", 5)[0, 0].numpy().tolist() == expected.tolist()


@pytest.mark.parametrize("degrees", [10, 45, 90])
def test_a_rotation_is_pillows(degrees: int) -> None:
    image = Image.fromarray(picture()[0, 0].numpy())
    expected = np.asarray(image.rotate(degrees, resample=Image.Resampling.BILINEAR))
    assert np.abs(moved(picture(), "rotation", degrees)[0, 0].numpy() - expected).max() < 0.05


def test_a_scale_moves_the_middle_of_the_ink_away_from_the_middle_of_the_picture() -> None:
    def middle(ink: torch.Tensor) -> tuple[float, float]:
        y, x = np.mgrid[:SIDE, :SIDE]
        weight = ink[0, 0].numpy() / float(ink.sum())
        return float((weight * x).sum()) - (SIDE - 1) / 2, float((weight * y).sum()) - (SIDE - 1) / 2

    for factor in (0.5, 1.2):
        assert middle(moved(picture(), "scale", factor)) == pytest.approx(
            tuple(factor * at for at in middle(picture())), abs=0.1
        )
    assert float(moved(picture(), "scale", 0.5).sum()) == pytest.approx(float(picture().sum()) / 4, rel=0.02)


def test_a_code_of_the_amount_of_ink_is_invariant_and_raw_pixels_are_not() -> None:
    total = invariance(lambda ink: ink.sum((1, 2, 3))[:, None], picture())
    raw = invariance(lambda ink: ink.flatten(1), picture())
    for move in ("shift", "rotation", "scale"):
        assert total[move].area == pytest.approx(1.0)
        assert raw[move].area < 0.9
        unmoved = raw[move].values.index(1.0 if move == "scale" else 0.0)
        assert raw[move].mean[unmoved] == pytest.approx(1.0, abs=1e-5)
    assert raw["shift"].values == list(range(SIDE // 4 + 1))
    assert (raw["rotation"].values, raw["scale"].values) == (ROTATIONS, SCALES)
    assert np.allclose(np.diff(ROTATIONS), 0.5)
    assert np.allclose(np.diff(SCALES), 0.05)


def test_the_area_is_that_under_the_broken_line_over_its_range() -> None:
    assert Curve([0.0, 1.0, 3.0], [1.0, 0.5, 0.5], [0.0] * 3, 0.0).area == pytest.approx((0.75 + 1.0) / 3)


def test_means_and_deviations_are_over_drawings() -> None:
    both = torch.cat([picture(), picture().flip(3)])
    one, two = (invariance(lambda ink: ink.flatten(1), ink)["shift"] for ink in both[:, None])
    found = invariance(lambda ink: ink.flatten(1), both)["shift"]
    assert found.mean[3] == pytest.approx((one.mean[3] + two.mean[3]) / 2, abs=1e-6)
    assert found.deviation[3] == pytest.approx(abs(one.mean[3] - two.mean[3]) / 2, abs=1e-6)


def test_what_different_drawings_have_in_common_is_the_mean_over_their_pairs() -> None:
    drawings = torch.cat([picture(), picture().flip(3), picture().flip(2)])
    flat = torch.nn.functional.normalize(drawings.flatten(1))
    pairs = [float(flat[i] @ flat[j]) for i in range(3) for j in range(3) if i != j]
    assert invariance(lambda ink: ink.flatten(1), drawings)["scale"].others == pytest.approx(np.mean(pairs), abs=1e-6)
    assert invariance(lambda ink: torch.ones(len(ink), 4), drawings)["shift"].others == pytest.approx(1.0)
    assert invariance(lambda ink: ink.flatten(1), picture())["shift"].others == 0.0
