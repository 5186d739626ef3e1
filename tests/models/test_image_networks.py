"""Networks on images against torchvision's own, and weights from files."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch

from sbir.features.networks import MEAN, STD
from sbir.models.image_networks import ImageNetwork, check_weights, signed
from sbir.models.image_siamese import ImageSiamese
from sbir.models.small_networks import SMALL
from tests.models.test_drawings import batch, gallery_of, rows_of, small


@pytest.mark.parametrize("name", [*SMALL, "resnet18", "googlenet", "alexnet"])
def test_a_network_gives_as_many_features_as_it_says(name: str) -> None:
    with torch.device("meta"):
        network = ImageNetwork(name, 4).eval()
        assert network(torch.zeros(2, 3, 64, 64)).shape == (2, network.out)


def test_weights_of_a_file_give_torchvisions_own_features(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    torch.manual_seed(0)
    whole = resnet18(weights=None).eval()
    save_file(whole.state_dict(), tmp_path / "resnet18.safetensors")
    torch.save(whole.state_dict(), tmp_path / "resnet18.pth")
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    normal = ((pixels / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    seen: list[torch.Tensor] = []
    whole.fc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        whole(normal)
        for file in ("resnet18.safetensors", "resnet18.pth"):
            network = ImageNetwork("resnet18").eval()
            network.load(str(tmp_path / file))
            assert torch.allclose(network(signed(pixels)), seen[0], atol=1e-4)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"no")
    torch.save({"layers": [1, 2]}, tmp_path / "list.pth")
    network = ImageNetwork("resnet18")
    for file, text in (("other.safetensors", "must fit torchvision's resnet18"), ("torn.safetensors", "torn"),
                       ("list.pth", "more than tensors"), ("none.pth", "none.pth is not a file")):  # fmt: skip
        with torch.device("meta"):
            weightless = siamese(network="resnet18", width=64, weights=str(tmp_path / file))
        with pytest.raises(ValueError, match=text):
            network.load(str(tmp_path / file))
        with pytest.raises(ValueError, match=text):
            weightless.check_files()
    with pytest.raises(ValueError, match="weights must be random with network='small_resnet'"):
        check_weights("small_resnet", "some.pth")


def test_published_weights_that_cannot_be_had_end_in_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: Any, **__: Any) -> None:
        raise URLError("no such host")

    monkeypatch.setattr("torchvision.models.get_model", download)
    network = ImageNetwork("resnet18")
    with pytest.raises(OSError, match=r"resnet18 could not be downloaded \(.*no such host.*\); give weights as"):
        network.load("imagenet")


def siamese(**settings: Any) -> ImageSiamese:
    built = small(ImageSiamese, **settings)
    assert isinstance(built, ImageSiamese)
    return built


def test_terms_are_the_definitions_over_both_kinds_of_negatives() -> None:
    for loss, margin in (("contrastive", 1.0), ("triplet", 0.3)):
        model = siamese(loss=loss, margin=margin, augment=False, class_weight=0.5).eval()
        given = batch(model)
        terms = model.loss(given)
        with torch.no_grad():
            sketch = model.embed_query(given.query)["embedding"]
            photo = {role: model.embed_gallery(rows)["embedding"] for role, rows in given.gallery.items()}
        expected = 0.0
        for role in ("other_instance", "negative"):
            for row in range(len(sketch)):
                near, far = ((sketch[row] - photo[one][row]).norm().item() for one in ("positive", role))
                pair = (near**2 + max(0.0, margin - far) ** 2) / 2
                expected += (pair if loss == "contrastive" else max(0.0, margin + near - far)) / (2 * len(sketch))
        assert terms[loss].item() == pytest.approx(expected, abs=1e-4)
        assert set(terms) == {loss, "classes"}
    assert set(siamese(class_weight=0.0).loss(batch(siamese()))) == {"contrastive"}


def test_branches_are_two_networks_unless_they_are_shared() -> None:
    apart, shared = siamese(), siamese(shared=True)
    rows, _ = rows_of(apart)
    photos = gallery_of(apart, rows)
    assert not torch.equal(apart.eval().embed_query(photos)["embedding"], apart.embed_gallery(photos)["embedding"])
    assert torch.equal(shared.eval().embed_query(photos)["embedding"], shared.embed_gallery(photos)["embedding"])
    assert siamese(negative="class").sampling.roles == ("positive", "negative")


def test_bad_settings_are_refused() -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"margin": 3.0}, "margin must be between 0 and 2"),
        ({"loss": "quadruplet"}, "loss must be one of"),
        ({"network": "vgg"}, "network must be one of"),
        ({"class_weight": -1.0}, "class_weight must be"),
    ]
    for settings, text in refused:
        with pytest.raises(ValueError, match=text):
            siamese(**settings)
