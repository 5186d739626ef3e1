import numpy as np
import pytest
import torch

from sbir.features.backbones import BACKBONES, Backbone, empty_network, normalise


def random_images(count: int, size: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (count, size, size, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def vgg() -> torch.nn.Module:
    return Backbone("vgg16", "random:0", 64, 0).build(None)


@pytest.mark.parametrize("size", [64, 96])
def test_vgg_taps_are_those_of_torchvisions_network(vgg: torch.nn.Module, size: int) -> None:
    from torchvision.models import vgg16
    from torchvision.models.feature_extraction import create_feature_extractor

    peer = vgg16(weights=None, init_weights=False).eval()
    peer.load_state_dict(vgg.state_dict(), strict=False)
    relus = {"features.3": "1", "features.8": "2", "features.15": "3", "features.22": "4", "features.29": "5"}
    extractor = create_feature_extractor(peer, relus | {"classifier.4": "fc2"})
    images = normalise(random_images(2, size))
    with torch.inference_mode():
        found, nodes = vgg(images), extractor(images)
    expected = torch.cat([nodes[str(block)].mean((2, 3)) for block in range(1, 6)] + [nodes["fc2"]], 1)
    assert found.shape == (2, 5568)
    torch.testing.assert_close(found, expected)
    assert [nodes[str(block)].shape[1] for block in range(1, 6)] == [64, 128, 256, 512, 512]
    assert (found[:, -4096:] >= 0).all()


def test_random_weights_depend_on_the_seed_alone(vgg: torch.nn.Module) -> None:
    torch.manual_seed(7)
    again = Backbone("vgg16", "random:0", 224, 0).build(None).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in vgg.state_dict().items())
    first = again["features.0.weight"].flatten()[:2].tolist()
    drawn = np.random.default_rng(0).standard_normal(2, dtype=np.float32) * (2 / (64 * 9)) ** 0.5
    assert first == pytest.approx(drawn.tolist())  # the same on every machine


@pytest.mark.parametrize(("name", "width"), [("squeezenet1_1", 512), ("mobilenet_v2", 1280)])
def test_pooled_networks_give_channel_means(name: str, width: int) -> None:
    network = Backbone(name, "random:3", 64, 3).build(None)
    with torch.inference_mode():
        feature = network(normalise(random_images(2, 64)))
    assert feature.shape == (2, width)
    assert torch.isfinite(feature).all()
    assert not torch.allclose(feature[0], feature[1])


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_describes_itself_with_its_width(name: str) -> None:
    described = Backbone(name, "imagenet", 64).describe()
    widths = {"vgg16": 5568, "squeezenet1_1": 512, "mobilenet_v2": 1280}
    assert (described["width"], described["size"], described["name"]) == (widths[name], 64, name)


def test_pixels_are_normalised_as_torchvision_does() -> None:
    from torchvision.transforms.v2.functional import normalize

    images = random_images(3, 5)
    expected = normalize(images.permute(0, 3, 1, 2) / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(normalise(images), expected)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of vgg16, squeezenet1_1, mobilenet_v2, got resnet"):
        empty_network("resnet")
