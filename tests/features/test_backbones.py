import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sbir.features.backbones import Backbone, find_source, normalise
from sbir.features.networks import Preprocessing
from sbir.features.weights import load_backbone


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


def test_random_weights_depend_on_the_seed_alone() -> None:
    first = Backbone("squeezenet1_1", "random:0", 64, 0).build(None).state_dict()
    torch.manual_seed(7)
    again = Backbone("squeezenet1_1", "random:0", 224, 0).build(None).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    weight = next(value for name, value in again.items() if name.endswith("features.0.weight"))
    drawn = np.random.default_rng(0).standard_normal(2, dtype=np.float32) * (2 / (64 * 9)) ** 0.5
    assert weight.flatten()[:2].tolist() == pytest.approx(drawn.tolist())  # the same on every machine


WIDTHS = {
    "alexnet": 4096,
    "googlenet": 1024,
    "resnet18": 512,
    "squeezenet1_1": 512,
    "mobilenet_v2": 1280,
    "torchvision:resnet18@layer2": 128,
    "torchvision:swin_t@flatten": 768,
    "timm:test_resnet": 96,
    "timm:test_vit": 64,
    "openclip:ViT-S-32-alt": 256,
}


def whole_feature(name: str, state: Any, images: torch.Tensor) -> torch.Tensor:
    """The feature by the library's own means: the whole network with its head taken off, or hooked."""
    if name.startswith("timm:"):
        import timm

        network = timm.create_model(name.removeprefix("timm:"))
        network.load_state_dict(state, strict=False)
        network.eval()
        return torch.as_tensor(network.forward_head(network.forward_features(images), pre_logits=True))
    if name.startswith("openclip:"):
        import open_clip

        network = open_clip.create_model(name.removeprefix("openclip:"))
        network.load_state_dict(state, strict=False)
        return torch.as_tensor(network.eval().encode_image(images))
    from torchvision.models import get_model

    own = {"transform_input": True, "init_weights": False} if name == "googlenet" else {}
    whole: torch.nn.Module = get_model(name.removeprefix("torchvision:").partition("@")[0], weights=None, **own)
    whole.load_state_dict(state, strict=False)
    seen: list[torch.Tensor] = []
    layer = {"alexnet": "classifier.6", "googlenet": "fc", "resnet18": "fc", "torchvision:swin_t@flatten": "head"}
    if name in layer:
        whole.get_submodule(layer[name]).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    else:
        part = "layer2" if name.endswith("@layer2") else "features"
        whole.get_submodule(part).register_forward_hook(lambda _m, _i, out: seen.append(out.mean((2, 3))))
    whole.eval()(images)
    return seen[0]


@pytest.mark.parametrize("name", WIDTHS)
def test_a_backbone_gives_what_its_library_computes(name: str) -> None:
    size = 224 if name.startswith("openclip:") else 64  # its position embedding is of one size
    backbone, _ = load_backbone(name, "random", size=size, seed=3)
    network = backbone.build(None)
    images = normalise(random_images(2, size), backbone.preprocessing)
    with torch.inference_mode():
        feature = network(images)
        whole = whole_feature(name, network.state_dict(), images)
    torch.testing.assert_close(feature, whole, rtol=1e-3, atol=1e-3)  # ours lies in channels-last memory
    assert feature.shape == (2, WIDTHS[name])
    assert backbone.describe()["width"] == WIDTHS[name]
    assert not torch.allclose(feature[0], feature[1])


def test_a_whole_networks_file_serves_a_part_of_it(tmp_path: Path) -> None:
    import open_clip
    import timm
    from torchvision.models import get_model

    wholes = {
        "timm:test_resnet": timm.create_model("test_resnet"),
        "openclip:ViT-S-32-alt": open_clip.create_model("ViT-S-32-alt"),
        "torchvision:resnet18@layer2": get_model("resnet18", weights=None),
    }
    for name, whole in wholes.items():
        torch.save(whole.state_dict(), tmp_path / "w.pth")
        backbone, state = load_backbone(name, str(tmp_path / "w.pth"))
        assert state is not None
        built = backbone.build(state).state_dict()
        assert all(torch.equal(value, whole.state_dict()[key]) for key, value in built.items())
        torch.save({"stem.weight": torch.zeros(1)} | whole.state_dict(), tmp_path / "w.pth")
        if not name.startswith("openclip:"):
            with pytest.raises(ValueError, match=r"has 1 others \['stem.weight'\]"):
                load_backbone(name, str(tmp_path / "w.pth"))


def test_preprocessing_is_what_the_libraries_say() -> None:
    import open_clip
    import timm
    from torchvision.models import EfficientNet_V2_L_Weights

    said = timm.data.resolve_data_config({}, model=timm.create_model("test_vit"))
    found = find_source("timm:test_vit").preprocessing()
    assert (found.mean, found.std, found.bicubic) == (said["mean"], said["std"], said["interpolation"] == "bicubic")
    assert found.size == said["input_size"][1]
    visual = open_clip.create_model("ViT-S-32-alt").visual
    clip = find_source("openclip:ViT-S-32-alt").preprocessing()
    assert (clip.mean, clip.std, clip.bicubic) == (visual.image_mean, visual.image_std, True)
    large = EfficientNet_V2_L_Weights.IMAGENET1K_V1.transforms()
    own = find_source("torchvision:efficientnet_v2_l@avgpool").preprocessing()
    assert (own.size, list(own.mean), own.bicubic) == (large.crop_size[0], large.mean, True)


def test_the_sources_channels_are_swapped_under_the_same_means(vgg: torch.nn.Module) -> None:
    images = random_images(2, 64)
    bgr = Backbone("vgg16:bgr", "random:0", 64, 0)
    torch.testing.assert_close(normalise(images, bgr.preprocessing), normalise(images.flip(3)))
    assert all(torch.equal(value, vgg.state_dict()[key]) for key, value in bgr.build(None).state_dict().items())


def test_dino_takes_whole_patches_of_any_number() -> None:
    backbone, _ = load_backbone("dinov2_small", "random")
    assert (backbone.size, backbone.width) == (224, 384)
    assert load_backbone("dinov2_small", "random", size=70)[0].width == 384
    with pytest.raises(ValueError, match=r"dinov2_small must be able to take images of 64 pixels, it cannot: .*patch"):
        load_backbone("dinov2_small", "random", size=64)


def test_pixels_are_normalised_as_torchvision_does() -> None:
    from torchvision.transforms.v2.functional import normalize

    images = random_images(3, 5)
    expected = normalize(images.permute(0, 3, 1, 2) / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(normalise(images), expected)
    other = normalise(images, Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)))
    expected = normalize(images.permute(0, 3, 1, 2) / 255, [0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    torch.testing.assert_close(other, expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnet", "one of vgg16, vgg16:bgr, alexnet, .*, timm:NAME, openclip:NAME/TAG, got resnet"),
        ("timm:", "openclip:NAME/TAG, got timm:"),
        ("vgg16:rgb", "got vgg16:rgb"),
        ("torchvision:resnet18", "torchvision:NAME@LAYER, .* got torchvision:resnet18"),
        ("torchvision:resnt18@avgpool", "torchvision's classifiers, got resnt18; near: resnet18"),
        ("torchvision:resnet18@avgpol", "resnet18@LAYER must name a layer of the network: node: 'avgpol' is not"),
        ("timm:test_resnt", "timm's networks, got test_resnt; near: test_resnet"),
        ("openclip:ViT-B-3", "OpenCLIP's models, got ViT-B-3; near: ViT-B-32"),
        ("openclip:ViT-B-32/laion2b", "the tags of openclip:ViT-B-32, got laion2b; near: laion2b_"),
    ],
)
def test_an_unknown_backbone_is_refused_with_what_there_is(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        load_backbone(name, "random")


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"timm:test_vit needs the package timm: pip install 'sbir\[backbones\]'"):
        load_backbone("timm:test_vit", "random")
