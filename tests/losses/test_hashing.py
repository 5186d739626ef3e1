"""Hashing losses against slow definitions, numpy's histogram and sorted lists."""

import numpy as np
import pytest
import torch

from sbir.losses.hashing import centre, class_means, middle, quantisation, raster_entropy


def test_losses_are_means_over_rows_of_squared_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    soft, centres = torch.rand(7, 5, generator=generator), torch.rand(3, 5, generator=generator)
    labels = torch.tensor([0, 2, 1, 1, 0, 2, 2])
    by_bits = [sum((float(f) - float(f >= 0.5)) ** 2 for f in row) for row in soft]
    by_centre = [sum(float(f - c) ** 2 for f, c in zip(row, centres[label], strict=True)) for row, label in
                 zip(soft, labels, strict=True)]  # fmt: skip
    assert quantisation(soft).item() == pytest.approx(sum(by_bits) / 7, rel=1e-5)
    assert centre(soft, labels, centres).item() == pytest.approx(sum(by_centre) / 7, rel=1e-5)
    assert quantisation(torch.tensor([[0.0, 1.0]])).item() == 0.0


def test_entropy_is_that_of_numpys_histogram_and_0_for_an_empty_drawing() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 9, 9)).astype(np.uint8)
    images[2] = 255
    images[3, :3] = 0
    for image, value in zip(images, raster_entropy(torch.from_numpy(images)), strict=True):
        share = np.histogram(image, bins=256, range=(0, 256))[0] / image.size
        expected = -(share[share > 0] * np.log2(share[share > 0])).sum()
        assert value.item() == pytest.approx(expected, abs=1e-5)
    assert raster_entropy(torch.from_numpy(images))[2].item() == 0.0


def test_the_middle_of_each_class_is_kept_whatever_the_other_classes_hold() -> None:
    generator = torch.Generator().manual_seed(1)
    values, labels = torch.rand(107, generator=generator), torch.randint(3, (107,), generator=generator)
    values += 10 * labels
    kept = middle(values, labels, 0.9)
    for label in range(3):
        own = sorted(values[labels == label].tolist())
        cut = int(len(own) * 0.05 + 0.5)
        assert sorted(values[kept & (labels == label)].tolist()) == own[cut : len(own) - cut]
    assert middle(values, labels, 1.0).all()
    assert middle(torch.tensor([1.0, 2.0]), torch.tensor([0, 0]), 0.01).any()  # a class never vanishes


def test_class_means_of_absent_classes_are_zero() -> None:
    means = class_means(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([2, 2]), 4)
    assert means.tolist() == [[0, 0], [0, 0], [2, 3], [0, 0]]
