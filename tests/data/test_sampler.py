"""Batches: what a role means, and that an epoch depends on its number alone."""

import numpy as np
import pytest
import torch

from sbir.data.sampler import Sampler
from sbir.data.transform import TransformSettings, fit_transform
from sbir.types import Pairing, Role, Sampling

CLASS = np.repeat(np.arange(4), 6)  # photos 0..23, then one sketch each
CLASS_ID = np.concatenate([CLASS, CLASS])
INSTANCE = np.concatenate([np.arange(24), np.arange(24)])
GALLERY, QUERY = np.arange(24), np.arange(24, 48)


def sampler(*roles: Role, pairing: Pairing = "paired", seed: int = 0) -> Sampler:
    return Sampler(QUERY, GALLERY, CLASS_ID, INSTANCE, sampling=Sampling(roles, pairing), batch_size=8, seed=seed)


def test_every_query_comes_once_an_epoch() -> None:
    drawn = np.concatenate([batch.query for batch in sampler("positive").epoch(0)])
    assert sorted(drawn) == list(QUERY)


def test_roles_are_what_they_say() -> None:
    made = sampler("positive", "same_class", "other_instance", "negative")
    own_drawn = 0
    for number in range(40):
        for batch in made.epoch(number):
            own = batch.query - 24
            assert (batch.gallery["positive"] == own).all()
            assert (CLASS_ID[batch.gallery["same_class"]] == CLASS_ID[batch.query]).all()
            assert (CLASS_ID[batch.gallery["other_instance"]] == CLASS_ID[batch.query]).all()
            assert (batch.gallery["other_instance"] != own).all()
            assert (CLASS_ID[batch.gallery["negative"]] != CLASS_ID[batch.query]).all()
            own_drawn += int((batch.gallery["same_class"] == own).sum())
    assert own_drawn / (40 * 24) == pytest.approx(1 / 6, abs=0.04)


def test_a_query_without_another_photo_in_its_class_is_left_out_where_one_is_asked_for() -> None:
    gallery = np.concatenate([GALLERY[:6], GALLERY[6:7], GALLERY[12:]])  # one photo is left of the second class
    asked = Sampling(("other_instance",))
    made = Sampler(QUERY, gallery, CLASS_ID, INSTANCE, sampling=asked, batch_size=1 + 1, seed=0)
    drawn = np.concatenate([batch.query for batch in made.epoch(0)])
    assert 30 not in drawn  # the sketch of that photo; the class's other sketches have it as another instance
    assert set(range(31, 36)) <= set(drawn.tolist())


def test_other_instances_and_negatives_are_uniform() -> None:
    made = sampler("other_instance", "negative", "positive", pairing="unpaired")
    counts = {role: np.zeros(24) for role in ("other_instance", "negative", "positive")}
    for number in range(300):
        for batch in made.epoch(number):
            for role, count in counts.items():
                np.add.at(count, batch.gallery[role], 1)  # type: ignore[index]
    for role, count in counts.items():
        assert np.abs(count - count.mean()).max() < 5 * np.sqrt(count.mean()), role  # 5 standard deviations


def test_an_epoch_depends_on_seed_and_number_alone_and_can_be_entered_in_the_middle() -> None:
    whole = list(sampler("negative").epoch(3))
    late = list(sampler("negative").epoch(3, start=1))
    assert all(
        (one.gallery["negative"] == two.gallery["negative"]).all() for one, two in zip(whole[1:], late, strict=True)
    )
    assert any((one.query != two.query).any() for one, two in zip(whole, sampler("negative").epoch(4), strict=True))
    assert any(
        (one.query != two.query).any() for one, two in zip(whole, sampler("negative", seed=1).epoch(3), strict=True)
    )


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="between 2 and the number of training queries 24, got 64"):
        Sampler(QUERY, GALLERY, CLASS_ID, INSTANCE, sampling=Sampling(()), batch_size=64, seed=0)
    with pytest.raises(ValueError, match=r"classes \[3\] have none"):
        Sampler(QUERY, GALLERY[:18], CLASS_ID, INSTANCE, sampling=Sampling(()), batch_size=8, seed=0)
    one = np.zeros_like(CLASS_ID)
    with pytest.raises(ValueError, match="at least 2 classes"):
        Sampler(QUERY, GALLERY, one, INSTANCE, sampling=Sampling(("negative",)), batch_size=8, seed=0)
    alone = np.arange(4) * 6
    with pytest.raises(ValueError, match="another instance"):
        Sampler(QUERY[alone], alone, CLASS_ID, INSTANCE, sampling=Sampling(("other_instance",)), batch_size=2, seed=0)


def test_transforms_are_those_of_their_definition() -> None:
    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7.0) + 3
    centred = fit_transform(TransformSettings(centre=True, scale=True), rows)(rows)
    assert torch.allclose(centred.mean(0), torch.zeros(6), atol=1e-6)
    assert centred.square().mean().item() == pytest.approx(1.0, abs=1e-5)
    projected = fit_transform(TransformSettings(pca=2), rows)(rows)
    values = np.linalg.eigvalsh(np.cov(rows.numpy().T))
    assert np.allclose(np.sort(projected.var(0).numpy()), values[-2:], rtol=1e-4)
    assert torch.equal(fit_transform(TransformSettings(feature_dim=2), rows)(rows), rows[:, -2:])
    with pytest.raises(ValueError, match="between 1 and the stored width 6, got 7"):
        fit_transform(TransformSettings(feature_dim=7), rows)
    with pytest.raises(ValueError, match="no effect"):
        TransformSettings(pca=2, centre=True)


def by_class(per_class: int, batch_size: int) -> Sampler:
    asked = Sampling((), per_class=per_class)
    return Sampler(QUERY, GALLERY, CLASS_ID, INSTANCE, sampling=asked, batch_size=batch_size, seed=3)


def test_a_batch_of_p_classes_has_k_different_items_of_each() -> None:
    made = by_class(per_class=3, batch_size=6)
    assert len(made) == 2
    seen = set()
    for number in range(20):
        batches = list(made.epoch(number))
        classes = [sorted(set(CLASS_ID[batch.query])) for batch in batches]
        assert sorted(classes[0] + classes[1]) == [0, 1, 2, 3]  # an epoch is one pass over the classes
        for batch in batches:
            assert len(set(batch.query)) == 6
            assert all((CLASS_ID[batch.query] == number).sum() == 3 for number in set(CLASS_ID[batch.query]))
            seen |= set(batch.query)
    assert seen == set(QUERY)
    assert [list(batch.query) for batch in made.epoch(7, start=1)] == [list(list(made.epoch(7))[1].query)]


def test_a_class_of_too_few_gives_its_items_more_than_once_and_all_of_them() -> None:
    drawn = next(iter(by_class(per_class=8, batch_size=32).epoch(0))).query
    for number in range(4):
        counts = np.unique(drawn[CLASS_ID[drawn] == number], return_counts=True)[1]
        assert sorted(counts) == [1, 1, 1, 1, 2, 2]


def test_batches_by_class_must_fit() -> None:
    with pytest.raises(ValueError, match=r"must be a multiple of the 5 items of a class in it, got 8"):
        by_class(per_class=5, batch_size=8)
    with pytest.raises(ValueError, match=r"must be at most 2 items of each of the 4 training classes = 8, got 10"):
        by_class(per_class=2, batch_size=10)
