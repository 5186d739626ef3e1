"""Image-text hashing: what every method on texts promises, and what this one does with positives, crops and rates."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import resnet18

from sbir.data.dataset import Item, told_columns
from sbir.data.feed import Columns
from sbir.data.items import Items, Payload
from sbir.data.pictures import draw_strokes
from sbir.data.protocol import make_protocol
from sbir.data.splits import assign
from sbir.losses.triplets import image_text_triplets, share_a_label
from sbir.models.image_text import ImageTextHashing, SmallResNet
from sbir.models.method import Method
from sbir.models.word_labels import WordLabels
from sbir.training.baselines import Untrained, score_baselines
from sbir.training.rescore import rescore
from sbir.training.run import Job, Refit, Run, build
from sbir.training.settings import group
from sbir.types import Batch, DataSpec, TrainRows
from tests.models.found import methods_where
from tests.models.test_drawings import SHAPES, drawing

SIDE, PER_CLASS = 32, 24
WORDS = {"ring": "a round ring", "triangle": "a triangle", "zigzag": "a zig zag line", "cross": "two crossing lines"}
SMALL: dict[str, Any] = {
    "encoder": "scratch", "weights": "random", "text_width": 64, "text_layers": 1, "vocabulary": 80, "width": 8,
    "blocks": 1, "bits": 16, "dropout": 0.1,
}  # fmt: skip


def items(count: int = PER_CLASS, seed: int = 0, *, labels: bool = True) -> Items:
    """Pictures of four shapes with a text each, and their labels: the shape, and whether it is closed."""
    rng = np.random.default_rng(seed)
    told, pictures = [], []
    for number, shape in enumerate(SHAPES * count):
        lines = [line.T.tolist() for line in [*drawing(shape, rng), np.array([[-1.5, -1.5]]), np.array([[1.5, 1.5]])]]
        pictures.append(np.asarray(draw_strokes(lines).resize((SIDE, SIDE))))
        seen = f"{rng.choice(['here is', 'this shows'])} {WORDS[shape]}"
        of = (SHAPES.index(shape), 4 + (shape in ("ring", "triangle")))
        told.append(Item(f"photo/{number:03d}", "photo", shape, str(number), "", labels=of))
        told.append(Item(f"text/{number:03d}", "text", shape, str(number), "", text=seen, labels=of))
    images = np.stack([picture for one in pictures for picture in (one, np.zeros_like(one))])
    columns = told_columns(told) | {"image": Payload([images])}
    return Items(
        item_id=np.array([one.item_id for one in told]),
        domain=np.array([one.domain for one in told]),
        class_id=np.array([SHAPES.index(one.class_name) for one in told]),
        instance_id=np.array([int(one.instance or -1) for one in told]),
        split=np.full(len(told), ""),
        class_names=SHAPES,
        payload=columns if labels else {name: value for name, value in columns.items() if name != "labels"},
    )


def run(folder: Path, kind: type[Run] = Run, every: Items | None = None, name: str = "seen", **changes: Any) -> Run:
    """A short trial of the method."""
    every = every if every is not None else items()
    split = assign(every, "seen:0")
    protocol = make_protocol(
        every, split, split_spec="seen:0", content_hash="x", synthetic=True, select="map_all", query="text", name=name
    )
    settings = {f"method/{key}": value for key, value in SMALL.items()} | {
        "train/steps": 60, "train/eval_every": 20, "train/batch_size": 16, "train/warmup": 8, "train/lr": 3e-3,
        "method/text_lr": 1e-3, "train/beta1": 0.9, "train/beta2": 0.98, "train/schedule": "inverse_sqrt",
    }  # fmt: skip
    job = Job("m", 0, "search", settings | changes, seed=3, folder=str(folder), steps=20 if kind is Refit else None)
    return kind(job, ImageTextHashing, Columns(every), split, protocol, save_every=0.0)


def sides(every: Items) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor]:
    """Texts and photos in one order, with classes and labels."""
    text, photo = (np.flatnonzero(every.domain == domain) for domain in ("text", "photo"))
    taken = {name: (torch.from_numpy(column.take(rows)))
             for name, rows in (("text", text), ("image", photo), ("labels", photo))
             for column in [every.payload[name]]}  # fmt: skip
    classes = torch.from_numpy(every.class_id[text])
    return {"text": taken["text"]}, {"image": taken["image"]}, classes, taken["labels"].bool()


def built(method: type[Method] = ImageTextHashing, **settings: Any) -> Method:
    every = items(4)
    query, gallery, classes, tags = sides(every)
    shapes = {"text": every.payload["text"].shape}, {"image": (SIDE, SIDE, 3)}
    spec = DataSpec(*shapes, num_classes=4, paired=True, num_labels=6)
    known = inspect.signature(method).parameters
    torch.manual_seed(0)
    made = method(spec, **({name: value for name, value in SMALL.items() if name in known} | settings))
    made.fit(TrainRows(query, classes, gallery, classes, torch.arange(len(classes)), tags, tags))
    return made


def batch(size: int = 12) -> Batch:
    query, gallery, classes, tags = sides(items(4, seed=1))
    return Batch(
        {name: value[:size] for name, value in query.items()},
        {"positive": {name: value[:size] for name, value in gallery.items()}},
        classes[:size],
        {"positive": classes[:size]},
        tags[:size],
    )


def methods() -> list[type[Method]]:
    return methods_where(lambda method: "text" in (*method.query_columns, *method.gallery_columns))


every_method = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)


def test_methods_are_found() -> None:
    assert {"ImageTextHashing", "WordLabels"} <= {method.__name__ for method in methods()}


@every_method
@torch.no_grad()
def test_both_sides_share_their_views_each_item_by_itself_and_a_saved_state_gives_them_again(
    method: type[Method],
) -> None:
    made, again = built(method).eval(), built(method, **({"bits": 16} if method is ImageTextHashing else {})).eval()
    query, gallery, classes, _ = sides(items(4, seed=2))
    again.load_state_dict(made.state_dict())
    for embed, other, rows in (
        (made.embed_query, again.embed_query, query),
        (made.embed_gallery, again.embed_gallery, gallery),
    ):
        ((name, view),) = embed(rows).items()
        assert torch.equal(view, other(rows)[name])
        parts = [embed({key: value[place] for key, value in rows.items()})[name] for place in ([0], [1, 2])]
        assert (torch.cat(parts) - view[:3]).abs().max() < 1e-4
        assert view.shape == (len(classes), 16 if method is ImageTextHashing else 6)
        if made.distance == "hamming":
            assert set(torch.unique(view).tolist()) <= {-1.0, 1.0}


def test_every_parameter_has_a_player_and_gets_a_gradient_and_texts_have_their_own_rate() -> None:
    made = built(text_lr=3e-4)
    (player,) = made.players()
    torch.stack(list(player.loss(batch()).values())).sum().backward()  # type: ignore[no-untyped-call]
    names = {id(parameter): name for name, parameter in made.named_parameters()}
    images, texts = player.parameters
    for name, of in (("image.", images), ("text.", texts)):
        assert all(names[id(parameter)].startswith(name) for parameter in of["params"])
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in of["params"])
    assert len(images["params"]) + len(texts["params"]) == len(names)
    assert ("lr" in images, texts["lr"]) == (False, 3e-4)


def test_the_loss_is_the_four_triplet_losses_of_both_tanh_outputs_at_a_quarter_of_the_bits() -> None:
    made, given = built(dropout=0.0, crop=1.0, flip=False, aligned=False).eval(), batch()
    assert isinstance(made, ImageTextHashing)
    assert given.tags is not None
    real = built(dropout=0.0, crop=1.0, code="real").eval()
    text, image = real.embed_query(given.query)["code"], real.embed_gallery(given.gallery["positive"])["code"]
    expected = image_text_triplets(image, text, share_a_label(given.tags), 4.0, aligned=False)
    for name, value in made.loss(given).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


def test_without_labels_the_class_says_who_is_similar() -> None:
    made, given = built(dropout=0.0, crop=1.0, flip=False).eval(), batch()
    classes = torch.nn.functional.one_hot(given.labels).bool()
    by_class = Batch(given.query, given.gallery, given.labels, given.gallery_labels)
    by_tags = Batch(given.query, given.gallery, given.labels, given.gallery_labels, classes)
    for one, two in zip(made.loss(by_class).values(), made.loss(by_tags).values(), strict=True):
        assert one.item() == two.item()


def test_a_resnet_of_the_usual_size_is_torchvisions() -> None:
    with torch.device("meta"):
        ours, theirs = SmallResNet(64, 2, 1000).state_dict(), resnet18().state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}
    assert SmallResNet(8, 1, 5).eval()(torch.zeros(2, 3, 28, 28)).shape == (2, 5)


def test_training_sees_random_crops_and_mirror_images_and_retrieval_the_centre() -> None:
    made = built(crop=0.875, flip=True)
    assert isinstance(made, ImageTextHashing)
    image = torch.arange(SIDE).repeat(2, SIDE, 1).to(torch.uint8)[..., None].expand(-1, -1, -1, 3)
    seen = {tuple(row.tolist()) for _ in range(40) for row in made.train()._seen(image)[:, 0, 0].round(decimals=3)}
    assert len(seen) == 2 * 5  # 28 of 32 pixels begin at 0 to 4, both ways round
    whole = (image[:1].float() / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(made.eval()._seen(image[:1])[0], whole[0, 2:30, 2:30].permute(2, 0, 1), atol=1e-6)


def test_a_trial_learns_in_both_directions_and_resumes_exactly(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    rows = [whole.advance()[0] for _ in range(3)]
    run(tmp_path / "cut").advance()
    second = run(tmp_path / "cut")
    again = [second.advance()[0] for _ in range(3)]
    for one, two in zip(rows, again, strict=True):
        assert {**one, "device_seconds": 0} == {**two, "device_seconds": 0}
    assert sum(rows[-1][f"train/{name}"] for name in ("image_text", "text_image")) < 6.0  # from 8, the two margins
    untrained = build(ImageTextHashing, whole.feed, whole.settings, 3)
    first = run(tmp_path / "first")
    first.method.load_state_dict(untrained.state_dict())
    for figure in ("map_all", "reverse_map_all"):
        assert max(row[f"val/{figure}"] for row in rows) > first._evaluate()[f"val/{figure}"]


def test_both_rates_rise_to_their_peak_and_fall_as_the_inverse_root(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"train/eval_every": 4}
    trial = run(tmp_path, **changes)
    rates = []
    for _ in range(8):
        trial.advance()
        ((optimizer,),) = trial._loop._optimizers
        rates.append([one["lr"] for one in optimizer.param_groups])
    expected = [min(step / 8, (8 / step) ** 0.5) for step in range(4, 33, 4)]
    np.testing.assert_allclose(rates, np.outer(expected, [3e-3, 1e-3]), rtol=1e-12)


def test_a_finalist_scores_the_same_when_it_is_loaded(tmp_path: Path) -> None:
    from sbir.data.store_write import write_store

    every = items(12)
    write_store(tmp_path / "store", every, dataset="shapes", synthetic=True, given="drawn")
    from sbir.data.loader import Shared

    stored = Shared.mapped(tmp_path / "store")
    trial = run(tmp_path / "final", Refit, stored.items())
    row, finished = trial.advance()
    assert finished
    (again,) = rescore(tmp_path / "final", tmp_path / "store")
    assert again.result.means == pytest.approx(
        {key.removeprefix("test/"): value for key, value in row.items() if key.startswith("test/")}, abs=1e-12
    )
    assert "reverse_map_all" in again.result.means


def test_untrained_networks_and_linear_maps_to_labels_are_the_baselines_of_texts() -> None:
    every = items(12)
    split = assign(every, "seen:0")
    protocol = make_protocol(
        every, split, split_spec="seen:0", content_hash="x", synthetic=True, select="map_all", query="text"
    )
    untrained = [Untrained("untrained", ImageTextHashing, SMALL)]
    rows = {one.row: one for one in score_baselines(Columns(every), split, protocol, None, untrained)}
    assert list(rows) == ["untrained", "words and pixels, ridge"]
    assert rows["words and pixels, ridge"].test.means["map_all"] > rows["untrained"].test.means["map_all"]


def test_the_linear_maps_are_ridge_regressions() -> None:
    made = built(WordLabels, penalty=0.5)
    query, gallery, _, tags = sides(items(4))
    bags = made.embed_query(query)["labels"]
    x = gallery["image"].double().reshape(len(tags), SIDE, SIDE, 3).permute(0, 3, 1, 2).flatten(1) / 255
    x, y = x - x.mean(0), tags.double() - tags.double().mean(0)
    gram = x @ x.T
    expected = gram @ torch.linalg.solve(gram + 0.5 * gram.diagonal().mean() * torch.eye(len(x)), y)
    torch.testing.assert_close(made.embed_gallery(gallery)["labels"].double(), expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(bags.argmax(1) // 4, tags[:, :4].float().argmax(1) // 4)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"bits": 0}, "bits must be"),
    ({"margin": 0.0}, "margin must be above 0"),
    ({"crop": 1.5}, "crop must be between"),
    ({"text_width": 100}, "text_width must be a multiple of 64"),
    ({"weights": "imagenet"}, "weights must be random for a ResNet of another size"),
    ({"encoder": "bert-base-uncased"}, "text_width has no effect with encoder='bert-base-uncased'"),
    ({"code": "soft"}, "code must be one of"),
]


@pytest.mark.parametrize(("settings", "text"), REFUSED)
def test_bad_settings_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        built(**settings)


def test_data_without_pairs_and_small_images_are_refused() -> None:
    for paired, side, text in ((False, 32, "texts must come with their own photos"), (True, 16, "at least 32 pixels")):
        spec = DataSpec({"text": (9,)}, {"image": (side, side, 3)}, num_classes=4, paired=paired)
        with pytest.raises(ValueError, match=text):
            ImageTextHashing(spec, **SMALL)


def test_a_schedule_that_cannot_be_is_refused() -> None:
    for changes, text in (
        ({"train/schedule": "cosine"}, "train/schedule must be one of constant, inverse_sqrt"),
        ({"train/schedule": "inverse_sqrt", "train/warmup": 0}, "set train/warmup above 0"),
        ({"train/beta2": 1.0}, r"train/beta2 must be in \[0, 1\)"),
    ):
        with pytest.raises(ValueError, match=text):
            group(changes)
