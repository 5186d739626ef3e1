"""GDH: its steps, players, stages and codes, and what its settings refuse."""

from copy import deepcopy
from typing import Any

import pytest
import torch

from sbir.losses.label_codes import discrete_objective, label_projection, nearest_codes
from sbir.models.domain_migration import DomainMigrationHashing
from sbir.models.image_networks import signed
from sbir.types import DataSpec
from tests.models.test_drawings import SHAPES, SIDE, batch, gallery_of, rows_of, small


def gdh(**settings: Any) -> DomainMigrationHashing:
    built = small(DomainMigrationHashing, **settings)
    assert isinstance(built, DomainMigrationHashing)
    return built


def test_an_epochs_closed_forms_never_raise_the_objective_and_end_at_both_minima() -> None:
    model = gdh(quantisation_weight=0.2, migration=False, augment=False)
    rows, labels = rows_of(model)
    photos = gallery_of(model, rows)
    before = model.projection.clone()
    sides = [[({"image": side["image"][at : at + 40]}, labels[at : at + 40]) for at in (0, 40, 80)]
             for side in (rows, photos)]  # fmt: skip
    figures = model.begin_epoch(iter(sides[0]), iter(sides[1]))
    assert figures["objective_after_d_step"] <= figures["objective_after_b_step"]
    model.eval()
    with torch.no_grad():
        outputs = [model._output(rows, sketch=True), model._output(photos, sketch=False)]
    codes = [nearest_codes(out, labels, before, 0.2) for out in outputs]
    assert torch.allclose(model.projection, label_projection(codes, [labels, labels], len(SHAPES)), atol=1e-6)
    value = discrete_objective(codes, outputs, [labels, labels], before, 0.2) / sum(code.numel() for code in codes)
    assert figures["objective_after_b_step"] == pytest.approx(float(value), rel=1e-4)


def test_players_and_stages_are_the_sources() -> None:
    names = ["generators", "photo critic", "sketch critic", "hashing"]
    joint = gdh().stages()
    assert [(stage.name, stage.lr, [one.name for one in stage.players]) for stage in joint] == [
        ("train", 1.0, names),
        ("decayed", 0.1, names),
    ]
    assert joint[1].share == pytest.approx(1 / 6)
    staged = gdh(schedule="staged").stages()
    assert [[one.name for one in stage.players] for stage in staged] == [names[:3], ["hashing"], ["hashing"]]
    assert [stage.share for stage in staged] == pytest.approx([0.4, 0.5, 0.1])
    assert [stage.name for stage in gdh(decayed=0.0).stages()] == ["train"]
    assert [one.name for one in gdh(migration=False).players()] == ["hashing"]


def test_each_player_moves_its_own_networks_alone() -> None:
    model = gdh(joint_weight=1.0)
    own = {"generators": ("gan.to_",), "photo critic": ("gan.photo_critic",), "sketch critic": ("gan.sketch_critic",),
           "hashing": ("network", "hashing")}  # fmt: skip
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for player in model.players():
        assert all(names[id(one)].startswith(own[player.name]) for one in player.parameters)
    assert sum(len(player.parameters) for player in model.players()) == len(names)


def test_terms_of_the_f_step_are_the_equations() -> None:
    model = gdh(augment=False, triplet_weight=0.5).eval()
    given = batch(model)
    terms = model.loss(given)
    with torch.no_grad():
        of_sketch = model._output(given.query, sketch=True)
        of_photo = model._output(given.gallery["positive"], sketch=False)
    target = nearest_codes(of_photo, given.labels, model.projection, 1e-5)
    assert torch.allclose(terms["photo_codes"], (of_photo - target).square().sum() / len(target), rtol=1e-4)
    assert torch.allclose(terms["pairs"], (of_photo - of_sketch).square().sum() / len(target), rtol=1e-3)
    assert set(terms) == {"photo_codes", "sketch_codes", "pairs", "triplet"}
    assert set(gdh(level="category").loss(given)) == {"photo_codes", "sketch_codes", "pairs"}


def test_all_players_of_a_step_see_one_augmented_batch_and_the_next_step_another() -> None:
    model = gdh()
    given = batch(model)
    first = model._pair(given)
    for player in model.players():
        player.loss(given)
    assert all(again is image for again, image in zip(model._pair(given), first, strict=True))
    assert not torch.equal(model._pair(batch(model))[0], first[0])


def test_h_remembers_photos_and_sketches_apart_and_uses_each_memory_for_its_side() -> None:
    model = gdh(network="small_resnet", migration=False, augment=False)
    given = batch(model)
    sides = {"sketch": given.query["image"], "photo": given.gallery["positive"]["image"]}
    alone = {side: deepcopy(model).train() for side in sides}  # each sees its side only
    model.train()
    for _ in range(3):
        model.loss(given)
        for side, images in sides.items():
            alone[side]._hash(signed(images))
    model.eval()
    with torch.no_grad():
        for side, images in sides.items():
            seen = model._output({"image": images}, sketch=side == "sketch")
            other = model._output({"image": images}, sketch=side != "sketch")
            expected = alone[side].eval()._hash(signed(images))
            assert torch.allclose(seen, expected, atol=1e-5)
            assert not torch.allclose(other, expected, atol=1e-2)
    assert gdh(joint_batch=True).sketch_norms is None


def test_codes_are_signs_of_the_outputs_and_the_real_variant_the_outputs_themselves() -> None:
    model, real = gdh().eval(), gdh(code="real").eval()
    real.load_state_dict(model.state_dict())
    rows, _ = rows_of(model)
    with torch.no_grad():
        code, output = model.embed_query(rows)["code"], real.embed_query(rows)["code"]
    assert torch.equal(code > 0, output >= 0)
    assert (model.distance, real.distance) == ("hamming", "euclidean")
    assert model.given == "sketch-photo pairs and class labels"


def test_pictures_show_both_directions_between_0_and_1() -> None:
    model = gdh()
    rows, _ = rows_of(model)
    few = {"image": rows["image"][:3]}
    drawn = model.pictures(few, gallery_of(model, few))
    assert list(drawn) == ["sketch", "as a photo", "and back", "photo", "as a sketch", "and back again"]
    for images in drawn.values():
        assert images.shape == (3, 3, SIDE, SIDE)
        assert 0 <= images.min() <= images.max() <= 1
    assert torch.allclose(drawn["sketch"], few["image"].permute(0, 3, 1, 2) / 255, atol=1e-6)
    assert gdh(migration=False).pictures(few, few) == {}


def test_bad_settings_and_data_are_refused() -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"bits": 0}, "bits must be"),
        ({"level": "instance"}, "level must be one of"),
        ({"level": "category", "margin": 3.0}, "margin has no effect with level='category'"),
        ({"migration": False, "cycle_weight": 0.0}, "cycle_weight has no effect with migration=False"),
        ({"schedule": "staged", "joint_weight": 1.0}, "joint_weight has no effect"),
        ({"migrating": 0.5}, "migrating has no effect with schedule='joint'"),
        ({"schedule": "staged", "migrating": 1.0}, "migrating must be above 0"),
        ({"norm": "layer"}, "norm must be one of"),
        ({"decayed": 1.0}, "decayed must be"),
        ({"weights": "imagenet"}, "weights must be random with network='small_alexnet'"),
        ({"network": "lenet"}, "network must be one of"),
    ]
    for settings, text in refused:
        with pytest.raises(ValueError, match=text):
            gdh(**settings)
    for shape in ((30, 30, 3), (66, 66, 3), (64, 32, 3), (64, 64, 1)):
        with pytest.raises(ValueError, match="images must be squares"):
            DomainMigrationHashing(DataSpec({"image": shape}, {"image": shape}, num_classes=4, paired=True))
    plain = {"image": (SIDE, SIDE, 3)}
    with pytest.raises(ValueError, match="level must be category on data without pairs"):
        DomainMigrationHashing(DataSpec(plain, plain, num_classes=4, paired=False), level="fine")
