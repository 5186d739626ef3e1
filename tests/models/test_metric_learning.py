"""The embedding of photos: what is seen of a picture, who learns how fast, and whose settings are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import get_model

from sbir.losses.metric_learning import LOSSES
from sbir.models.augment import centre_crops, random_crops
from sbir.models.backbone import MAPS, Backbone, map_width
from sbir.models.metric_learning import MetricLearning
from sbir.models.rca import Rca
from sbir.training.descent import make_optimizer
from sbir.training.train_settings import TrainSettings
from sbir.types import Batch, DataSpec, TrainRows

SIDE = 32
SPEC = DataSpec({"image": (SIDE, SIDE, 3)}, {"image": (SIDE, SIDE, 3)}, num_classes=4, paired=False)
NO_ROWS = TrainRows({}, torch.empty(0), {}, torch.empty(0), torch.empty(0))
PLAIN: dict[str, Any] = {"backbone": "plain", "weights": "random", "frozen_norms": False, "latent": 8}


def small(**settings: Any) -> MetricLearning:
    torch.manual_seed(0)
    return MetricLearning(SPEC, **PLAIN | settings)


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)
    return Batch({"image": images}, {}, torch.arange(4).repeat_interleave(2), {})


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_moves_every_parameter(loss: str) -> None:
    method = small(loss=loss)
    (term,) = method.loss(batch()).values()
    term.backward()  # type: ignore[no-untyped-call]
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_embeddings_have_unit_length_and_training_sees_other_views_than_retrieval() -> None:
    method = small().eval()
    rows = batch().query
    seen = method.embed_query(rows)["embedding"]
    assert torch.allclose(seen.norm(dim=1), torch.ones(8), atol=1e-5)
    torch.manual_seed(0)
    one, two = (method.loss(batch())["pairs"].item() for _ in range(2))
    assert one != two
    torch.manual_seed(0)
    assert method.loss(batch())["pairs"].item() == one


def test_crops_are_parts_of_the_picture_of_the_right_area_and_half_are_mirrored() -> None:
    """Every pixel tells its place: red is x, green is y."""
    torch.manual_seed(0)
    place = torch.arange(64).float() + 0.5
    picture = torch.stack([place.expand(64, 64), place[:, None].expand(64, 64), torch.zeros(64, 64)])
    views = random_crops(picture.expand(400, 3, 64, 64), 16, 0.16)
    assert views.shape == (400, 3, 16, 16)
    x, y = views[:, 0, 8], views[:, 1, :, 8]
    assert torch.allclose(views[:, 0], x[:, None].expand(400, 16, 16), atol=1e-3)  # nothing is turned or sheared
    width, height = (x[:, -1] - x[:, 0]).abs() * 16 / 15, (y[:, -1] - y[:, 0]).abs() * 16 / 15
    area, ratio = width * height / 64**2, width / height
    assert area.min() > 0.16 * 0.93
    assert area.max() > 0.9
    assert area.mean() == pytest.approx(0.53, abs=0.05)
    assert ratio.min() > 0.75 * 0.93
    assert ratio.max() < 4 / 3 * 1.07
    mirrored = x[:, -1] < x[:, 0]
    assert mirrored.float().mean() == pytest.approx(0.5, abs=0.08)
    assert (y[:, -1] > y[:, 0]).all()
    assert x.min() < 4  # parts lie everywhere
    assert x.max() > 60


def test_a_whole_crop_is_the_picture_resized_or_its_mirror_image() -> None:
    images = torch.rand(6, 3, SIDE, SIDE)
    views = random_crops(images, SIDE // 2, 1.0, ratio=(1.0, 1.0))
    resized = functional.interpolate(images, SIDE // 2, mode="bilinear", align_corners=False)
    for view, whole in zip(views, resized, strict=True):
        assert min((view - whole).abs().max(), (view.flip(2) - whole).abs().max()) < 1e-5


def test_centre_crops_are_the_middle() -> None:
    images = torch.arange(36.0).reshape(1, 1, 6, 6)
    assert centre_crops(images, 2)[0, 0].tolist() == [[14, 15], [20, 21]]
    assert torch.equal(centre_crops(images, 6), images)


@pytest.mark.parametrize("name", MAPS)
def test_the_last_maps_of_a_backbone_are_as_many_as_its_authors_say(name: str) -> None:
    assert map_width(name, 64) == {"alexnet": 256, "googlenet": 1024, "mobilenet_v2": 1280, "resnet18": 512,
                                   "resnet50": 2048, "squeezenet1_1": 512}[name]  # fmt: skip


def test_a_backbones_maps_are_those_that_the_classifier_pools() -> None:
    torch.manual_seed(0)
    backbone = Backbone("resnet18", frozen_norms=True).eval()
    whole = get_model("resnet18", weights=None).eval()
    whole.load_state_dict(backbone.network.state_dict(), strict=False)
    maps: list[Tensor] = []
    whole.layer4.register_forward_hook(lambda _module, _given, found: maps.append(found))
    images = torch.randint(0, 256, (2, 3, 40, 40)).float()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        whole((images / 255 - mean[:, None, None]) / std[:, None, None])
        assert torch.allclose(backbone(images), maps[0].amax((2, 3)), atol=1e-4)


def test_frozen_norms_keep_their_statistics_and_others_do_not() -> None:
    for frozen in (True, False):
        method = small(frozen_norms=frozen).train()
        norm = next(module for module in method.modules() if isinstance(module, nn.BatchNorm2d))
        before = norm.running_mean.clone() if norm.running_mean is not None else None
        method.loss(batch())
        assert before is not None
        assert norm.running_mean is not None
        assert torch.equal(before, norm.running_mean) == frozen
        assert norm.weight.requires_grad


def test_learning_rates_are_scaled_for_the_network_and_for_what_a_loss_learns() -> None:
    (player,) = small(loss="proxy_nca", backbone_lr=0.1, loss_lr=100.0).players()
    optimizer = make_optimizer(player, TrainSettings(lr=0.01))
    assert [group["base_lr"] for group in optimizer.param_groups] == pytest.approx([0.001, 0.01, 1.0])
    assert len(small(loss="nca").players()[0].parameters) == 2


def test_weights_of_a_file_are_loaded_when_training_begins_and_not_when_a_model_is_built(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = get_model("squeezenet1_1", weights=None).state_dict()
    file = tmp_path / "squeezenet.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, file)
    settings = {"backbone": "squeezenet1_1", "weights": str(file), "latent": 8}
    method = MetricLearning(SPEC, **settings)  # type: ignore[arg-type]
    first = method.backbone.network.state_dict()["features.0.weight"].clone()
    assert not torch.equal(first, state["features.0.weight"])
    method.check_files()
    method.fit(NO_ROWS)
    assert torch.equal(method.backbone.network.state_dict()["features.0.weight"], state["features.0.weight"])
    assert method.pretrained == "squeezenet1_1 weights squeezenet.safetensors"
    file.unlink()
    MetricLearning(SPEC, **settings)  # type: ignore[arg-type]
    with torch.device("meta"), pytest.raises(ValueError, match=r"is not a file"):
        MetricLearning(SPEC, **settings).check_files()  # type: ignore[arg-type]


def test_in_bfloat16_the_loss_is_near_that_in_float32() -> None:
    method = small(loss="multi_similarity")
    found = []
    for precision in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision):
            found.append(method.loss(batch())["pairs"])
    assert found[1].dtype == torch.float32
    assert found[0].item() != found[1].item()
    assert found[0].item() == pytest.approx(found[1].item(), rel=0.02)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"loss": "tripplet"}, "loss must be one of contrastive"),
        ({"loss": "nca", "margin": 0.5}, "margin has no effect with loss='nca', got 0.5; leave it out"),
        ({"loss": "weight", "negative_scale": 0.0}, "negative_scale must be above 0"),
        ({"loss": "weight", "threshold": 2.0}, "threshold must be between -1 and 1"),
        ({"per_class": 1}, "per_class must be 2 or more"),
        ({"crop": 0.0}, "crop must be above 0"),
        ({"size": 33}, "size must be between 1 and the 32 stored pixels, got 33"),
        ({"backbone": "resnet19"}, "backbone must be one of alexnet"),
        ({"backbone": "torchvision:resnet18@layer9"}, "must name a layer"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        small(**settings)


def test_plain_has_no_weights_and_small_pictures_are_refused_by_networks_that_take_none() -> None:
    with pytest.raises(ValueError, match="weights must be random with backbone='plain'"):
        small(weights="imagenet").check_files()
    with pytest.raises(ValueError, match="alexnet must be able to take images of 32 pixels"):
        small(backbone="alexnet")


def test_rca_is_whitening_by_the_shrunk_covariance_within_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(8)
    features = torch.randn(24, 5, generator=generator) * torch.tensor([3.0, 1, 1, 1, 0.2]) + labels[:, None]
    spec = DataSpec({"feature": (5,)}, {"feature": (5,)}, num_classes=3, paired=False)
    rca = Rca(spec, shrinkage=0.5)
    rows = {"feature": features}
    rca.fit(TrainRows(rows, labels, rows, labels, torch.full((24,), -1)))
    exact = features.double()
    within = torch.cat([exact[labels == label] - exact[labels == label].mean(0) for label in range(3)])
    covariance = within.T @ within / 24
    shrunk = covariance + 0.5 * covariance.trace() / 5 * torch.eye(5)
    values, vectors = torch.linalg.eigh(shrunk)
    whitened = (exact - exact.mean(0)) @ vectors @ torch.diag(values**-0.5) @ vectors.T
    ours = rca.embed_query(rows)["feature"].double()
    scale = ours.norm() / whitened.norm()
    assert torch.allclose(ours, whitened * scale, atol=1e-4)
