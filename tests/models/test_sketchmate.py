"""SketchMate: its stages, its centres, its losses, and what its settings refuse."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from sbir.losses.hashing import middle, raster_entropy
from sbir.models.drawings import StrokeBranch, ink
from sbir.models.sketchmate import SketchMate
from sbir.training.run import Refit
from sbir.types import DataSpec
from tests.models.test_drawings import POINTS, SHAPES, SIDE, batch, rows_of, run, small


def test_stages_are_branches_fusion_and_hashing_each_with_its_learning_rate() -> None:
    both = small(SketchMate, fusion_lr=0.5, hashing_lr=0.2, rnn_lr=2.0)
    assert [(stage.name, stage.lr) for stage in both.stages()] == [
        ("cnn", 1.0),
        ("rnn", 2.0),
        ("fusion", 0.5),
        ("hashing", 0.2),
    ]
    for name in ("cnn", "rnn"):
        assert [stage.name for stage in small(SketchMate, branches=name).stages()] == [name, "fusion", "hashing"]


def test_a_stage_moves_its_own_parameters_alone_and_the_last_one_slowly(tmp_path: Path) -> None:
    trial = run(SketchMate, tmp_path, **{"train/eval_every": 9})  # stages begin at steps 0, 9, 30 and 48 of 60
    model = trial.method
    assert isinstance(model, SketchMate)
    before = {name: value.clone() for name, value in model.named_parameters()}

    def moved() -> set[str]:
        now = dict(model.named_parameters())
        found = {name.split(".")[0] + ("." + name.split(".")[1] if name.startswith("heads") else "")
                 for name, value in before.items() if not torch.equal(value, now[name])}  # fmt: skip
        before.update({name: value.clone() for name, value in now.items()})
        return found

    trial.advance()
    assert moved() == {"cnn", "heads.cnn"}
    trial.advance()
    assert moved() == {"rnn", "heads.rnn"}
    for _ in range(2):
        trial.advance()
    moved()
    assert model.centres.count_nonzero() == 0
    trial.advance()
    assert moved() == {"cnn", "rnn", "fusion", "classifier"}
    trial.advance()
    fixed = model.centres.clone()
    assert fixed.count_nonzero() == fixed.numel()
    trial.advance()
    assert torch.equal(model.centres, fixed)


def test_a_finalist_that_ends_early_goes_through_the_stages_as_the_trial_did_that_chose_its_steps(
    tmp_path: Path,
) -> None:
    settings = {"train/eval_every": 30}
    trial = run(SketchMate, tmp_path / "search", **settings)  # its third stage of four begins at step 30 of 60
    final = run(SketchMate, tmp_path / "final", Refit, steps=30, length=60, **settings)
    first = {name: value.clone() for name, value in final.method.named_parameters()}
    for one in (trial, final):
        one.advance()
        moved = {name.split(".")[0] for name, value in one.method.named_parameters() if not value.equal(first[name])}
        assert moved == {"cnn", "rnn", "heads"}


def test_centres_are_the_mean_soft_codes_of_drawings_of_usual_entropy() -> None:
    model = small(SketchMate, kept=0.6)
    assert isinstance(model, SketchMate)
    rows, labels = rows_of(model)
    parts = [({name: column[i : i + 40] for name, column in rows.items()}, labels[i : i + 40]) for i in (0, 40, 80)]
    model.stages()[-1].begin(iter(parts))  # type: ignore[misc]
    with torch.no_grad():
        soft = model.eval().soft_code(rows)
    usual = middle(raster_entropy(rows["image"][..., 0]), labels, 0.6)
    for label in range(len(SHAPES)):
        expected = torch.stack([soft[row] for row in range(len(labels)) if labels[row] == label and usual[row]]).mean(0)
        assert torch.allclose(model.centres[label], expected, atol=1e-5)
    assert 0 < (~usual).sum() < len(labels) / 2


def test_terms_of_the_last_stage_are_the_papers_and_drop_out_with_their_weights() -> None:
    model = small(SketchMate, centre_weight=0.5, quantisation_weight=0.25).eval()
    assert isinstance(model, SketchMate)
    model.centres.fill_(0.3)
    given = batch(model)
    soft = model.soft_code(given.query)
    terms = model.loss(given)
    bits = (soft >= 0.5).float()
    assert torch.allclose(terms["quantisation"], 0.25 * ((bits - soft) ** 2).sum(1).mean())
    assert torch.allclose(terms["centre"], 0.5 * ((soft - 0.3) ** 2).sum(1).mean())
    assert torch.allclose(terms["classes"], functional.cross_entropy(model.classifier(soft), given.labels))
    assert set(small(SketchMate, centre_weight=0.0, quantisation_weight=0.0).loss(given)) == {"classes"}


def test_a_code_is_the_sign_of_the_soft_code_about_one_half_and_the_real_variant_the_soft_code_itself() -> None:
    model, real = small(SketchMate).eval(), small(SketchMate, code="real").eval()
    real.load_state_dict(model.state_dict())
    rows, _ = rows_of(model)
    with torch.no_grad():
        code, soft = model.embed_query(rows)["code"], real.embed_query(rows)["code"]
    assert torch.equal(code > 0, soft >= 0.5)
    assert (model.distance, real.distance) == ("hamming", "euclidean")


def test_what_lies_behind_the_last_point_changes_nothing_and_a_forward_state_is_that_after_the_last_point() -> None:
    torch.manual_seed(0)
    branch = StrokeBranch(6, 1, 0.0).eval()
    points = torch.rand(3, 10, 3) * 200
    lengths = torch.tensor([4, 1, 10])
    other = points.clone()
    other[0, 4:], other[1, 1:] = 77.0, -3.0
    assert torch.equal(branch(points, lengths), branch(other, lengths))
    cut = branch(points[:1, :4], lengths[:1])
    assert torch.allclose(branch(points, lengths)[0, :6], cut[0, :6], atol=1e-6)


def test_ink_is_dark_on_white() -> None:
    image = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    image[0, 0, 1] = 0
    assert ink({"image": image}).tolist() == [[[[0.0, 1.0], [0.0, 0.0]]]]


def test_bad_settings_and_data_are_refused() -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"bits": 0}, "bits must be"),
        ({"branches": "all"}, "branches must be one of"),
        ({"kept": 0.0}, "kept must be above 0"),
        ({"hashing_lr": 0.0}, "hashing_lr must be above 0"),
        ({"centre_weight": 0.0, "kept": 0.8}, "kept has no effect"),
        ({"dropout": 1.0}, "dropout must be"),
    ]
    for settings, text in refused:
        with pytest.raises(ValueError, match=text):
            small(SketchMate, **settings)
    for image, strokes, text in [
        ((16, 16, 3), (POINTS, 3), "images must be squares"),
        ((SIDE, SIDE, 3), (POINTS, 2), "strokes must be"),
    ]:
        shapes = {"image": image, "strokes": strokes, "num_points": ()}
        with pytest.raises(ValueError, match=text):
            SketchMate(DataSpec(shapes, shapes, num_classes=4, paired=False))
