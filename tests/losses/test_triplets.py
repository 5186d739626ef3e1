"""The four triplet losses of image-text hashing against the source's loops and against torch's own triplet loss."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sbir.losses.triplets import image_text_triplets, share_a_label, triplet_counts, triplet_mean


def index_triplets(tags: Tensor, *, aligned: bool) -> Iterator[tuple[int, int, int]]:
    """As the source lists them: for each item the pairs of its similar ones, with each of the others."""
    size = len(tags)
    for item in range(size):
        near = [other for other in range(size) if other == item or bool((tags[item] & tags[other]).any())]
        far = [other for other in range(size) if other not in near]
        for place, anchor in enumerate(near):
            for positive in near[place if aligned else place + 1 :]:
                for negative in far:
                    yield anchor, positive, negative


def slow(one: Tensor, two: Tensor, tags: Tensor, margin: float, *, aligned: bool) -> float:
    values = [
        max(0.0, float((one[a] - two[p]).square().sum() - (one[a] - two[n]).square().sum()) + margin)
        for a, p, n in index_triplets(tags, aligned=aligned)
    ]
    return sum(values) / len(values)


def batch(seed: int, size: int = 9, labels: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, text = (torch.tanh(torch.randn(size, 16, generator=generator)).double() for _ in range(2))
    return image, text, torch.rand(size, labels, generator=generator) < 0.25


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_four_losses_are_the_loops_over_the_sources_triplets(seed: int, aligned: bool) -> None:
    image, text, tags = batch(seed)
    terms = image_text_triplets(image, text, share_a_label(tags), 4.0, aligned=aligned)
    sides = {"image": image, "text": text}
    assert list(terms) == ["image_image", "text_text", "image_text", "text_image"]
    for name, value in terms.items():
        one, two = name.split("_")
        expected = slow(sides[one], sides[two], tags, 4.0, aligned=aligned and one != two)
        assert value.item() == pytest.approx(expected, rel=1e-6), name


def test_gradients_are_those_of_torchs_triplet_loss_over_the_same_triplets() -> None:
    image, text, tags = batch(7)
    a, p, n = torch.tensor(list(index_triplets(tags, aligned=True))).T
    found = []
    for fast in (True, False):
        one, two = image.clone().requires_grad_(), text.clone().requires_grad_()
        if fast:
            loss = triplet_mean(one, two, triplet_counts(share_a_label(tags), aligned=True), 4.0)
        else:
            loss = functional.triplet_margin_with_distance_loss(
                one[a], two[p], two[n], margin=4.0, distance_function=lambda x, y: (x - y).square().sum(1)
            )
        found.append((loss, *torch.autograd.grad(loss, (one, two))))
    for quick, peer in zip(*found, strict=True):
        torch.testing.assert_close(quick, peer.to(quick.dtype), rtol=1e-5, atol=1e-7)


def test_an_aligned_pair_is_a_positive_only_where_that_is_asked_for() -> None:
    tags = torch.eye(3, dtype=torch.bool)  # nobody shares a label: the only positives are the aligned ones
    image, text, _ = batch(1, size=3)
    never = image_text_triplets(image, text, share_a_label(tags), 8.0, aligned=False)
    assert all(value.item() == 0 for value in never.values())
    always = image_text_triplets(image, text, share_a_label(tags), 8.0, aligned=True)
    assert {name for name, value in always.items() if value.item() > 0} == {"image_text", "text_image"}


def test_a_batch_without_triplets_has_a_loss_of_zero_that_still_has_gradients() -> None:
    image, text, _ = batch(2)
    image.requires_grad_()
    alike = torch.ones(len(image), 2, dtype=torch.bool)
    total = torch.stack(list(image_text_triplets(image, text, share_a_label(alike), 4.0, aligned=True).values())).sum()
    (gradient,) = torch.autograd.grad(total, image)
    assert total.item() == 0
    assert not gradient.any()


def test_counts_are_how_often_the_loops_meet_a_triplet() -> None:
    _, _, tags = batch(3)
    expected = torch.zeros(len(tags), len(tags), len(tags))
    for a, p, n in index_triplets(tags, aligned=False):
        expected[a, p, n] += 1
    assert torch.equal(triplet_counts(share_a_label(tags), aligned=False), expected)
    assert expected.max() > 1  # a triplet that two items give counts twice
