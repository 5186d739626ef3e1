"""Sketch-GAN and thin-GAN: the same number of parameters, two players, the discriminator as encoder."""

import pytest
import torch
from torch import nn

from sbir.models.gan_encoder import KERNELS, GANEncoder, num_parameters
from sbir.types import DataSpec
from tests.models.test_drawings import batch, rows_of, small


def network(filters: str, width: int, side: int = 64) -> GANEncoder:
    shapes = {"image": (side, side, 3)}
    with torch.device("meta"):
        return GANEncoder(
            DataSpec(shapes, shapes, num_classes=2, paired=False),
            filters=filters,  # type: ignore[arg-type]
            width=width,
        )


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("side", [32, 64, 128])
@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_both_networks_have_the_same_number_of_parameters_within_2_percent(width: int, side: int) -> None:
    large, thin = network("large", width, side), network("thin", width, side)
    assert abs(count(thin) / count(large) - 1) < 0.02
    for model, kernels in ((large, KERNELS["large"]), (thin, KERNELS["thin"])):
        convolutions = [layer for layer in model.encoder if isinstance(layer, nn.Conv2d)]
        assert tuple(layer.kernel_size[0] for layer in convolutions) == kernels
        late = [layer for layer in model.generator if isinstance(layer, nn.ConvTranspose2d)]
        assert tuple(layer.kernel_size[0] for layer in late) == kernels[::-1]
        widths = [layer.out_channels for layer in convolutions]
        assert count(model) == num_parameters(kernels, widths, 100, side // 16)


def test_sketch_gan_has_large_filters_first_and_thin_gan_small_ones_everywhere() -> None:
    assert KERNELS == {"large": (9, 7, 5, 3), "thin": (3, 3, 3, 3)}


def test_the_discriminator_steps_on_what_the_generator_draws_and_never_moves_it() -> None:
    model = small(GANEncoder)
    assert isinstance(model, GANEncoder)
    discriminator, generator = model.players()
    torch.stack(list(discriminator.loss(batch(model)).values())).sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in model.generator.parameters())
    assert {id(p) for p in discriminator.parameters}.isdisjoint({id(p) for p in generator.parameters})
    assert 0 <= model.metrics()["discriminator_accuracy"] <= 1


def test_the_generator_draws_pictures_of_the_datas_size_between_white_and_black() -> None:
    model = small(GANEncoder)
    assert isinstance(model, GANEncoder)
    drawn = model.generator(torch.randn(3, model.noise))
    assert drawn.shape == (3, 1, 32, 32)
    assert drawn.abs().max() <= 1


def test_the_code_is_what_the_last_layer_of_the_discriminator_sees() -> None:
    model = small(GANEncoder).eval()
    assert isinstance(model, GANEncoder)
    rows, _ = rows_of(model)
    few = {"image": rows["image"][:4]}
    seen: list[torch.Tensor] = []
    model.judge.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.judge(model.encoder(1 - 2 * few["image"].float().mean(3)[:, None] / 255))
        assert torch.allclose(model.embed_query(few)["code"], seen[0], atol=1e-6)
    assert model.given == "nothing"


def test_bad_settings_and_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="filters must be one of"):
        small(GANEncoder, filters="wide")
    with pytest.raises(ValueError, match="multiple of 16"):
        network("large", 8, 40)


def test_the_encoder_remembers_the_statistics_of_real_drawings_alone() -> None:
    model = small(GANEncoder).train()
    assert isinstance(model, GANEncoder)
    norm = next(layer for layer in model.encoder if isinstance(layer, nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    discriminator, generator = model.players()
    discriminator.loss(batch(model))
    generator.loss(batch(model))
    real, *drawn = seen
    assert len(drawn) == 2
    assert norm.running_mean is not None
    assert norm.momentum is not None
    wanted = norm.momentum * real.mean((0, 2, 3))  # the running mean begins at 0
    assert torch.allclose(norm.running_mean, wanted, atol=1e-6)
    assert not any(torch.allclose(one.mean((0, 2, 3)), real.mean((0, 2, 3)), atol=1e-3) for one in drawn)
