"""Generators, critics and the pool of a CycleGAN: their sizes by equation, what goes in and what comes out."""

import torch
from torch import nn

from sbir.models.cycle_gan import CycleGAN, augmented
from sbir.models.migration import Attention, Generator, PatchCritic, ReplayPool


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def generator_parameters(w: int, blocks: int, norm: int) -> int:
    """`norm` parameters a channel: 2 of batch norm, none of instance norm."""
    ends = 3 * w * 49 + (w * 3 * 49 + 3)
    down_and_up = 2 * 9 * (w * 2 * w + 2 * w * 4 * w)
    inside = blocks * 2 * (9 * 16 * w * w + norm * 4 * w)
    return ends + down_and_up + inside + norm * (w + 2 * w + 4 * w + 2 * w + w)


def critic_parameters(w: int, norm: int) -> int:
    convolutions = 16 * (3 * w + w * 2 * w + 2 * w * 4 * w + 4 * w * 8 * w + 8 * w)
    return convolutions + w + 1 + norm * (2 * w + 4 * w + 8 * w)


def test_networks_have_the_sources_sizes() -> None:
    for width, blocks in ((32, 9), (8, 2)):
        with torch.device("meta"):
            assert count(Generator(width, blocks, "batch", attention=False)) == generator_parameters(width, blocks, 2)
            assert count(Generator(width, blocks, "instance", attention=False)) == generator_parameters(
                width, blocks, 0
            )
            with_mask = count(Generator(width, blocks, "batch", attention=True))
            assert with_mask == generator_parameters(width, blocks, 2) + 4 * width + 1
            assert count(PatchCritic(2 * width, "batch")) == critic_parameters(2 * width, 2)
            assert count(PatchCritic(2 * width, "instance")) == critic_parameters(2 * width, 0)


def test_a_generator_keeps_the_size_and_ends_within_minus_one_and_one_and_a_critic_judges_patches() -> None:
    torch.manual_seed(0)
    for side in (32, 64):
        images = torch.rand(2, 3, side, side) * 2 - 1
        made = Generator(2, 1, "batch", attention=True)(images)
        assert made.shape == images.shape
        assert made.abs().max() <= 1
        assert PatchCritic(2, "batch")(images).shape == (2, 1, side // 8 - 2, side // 8 - 2)


def test_attention_keeps_whole_positions_above_a_tenth_of_the_mean_and_learns() -> None:
    attention = Attention(1)
    attention.load_state_dict({"score.weight": torch.ones(1, 1, 1, 1), "score.bias": torch.zeros(1)})
    maps = torch.full((1, 1, 8, 8), -1.0)  # a score of 0 after the ReLU
    maps[0, 0, 2, 3] = 9.0
    mask = attention.mask(maps)
    assert mask.flatten().nonzero().tolist() == [[2 * 8 + 3]]  # beside e^9 the others are below a tenth of the mean
    assert attention.mask(torch.ones(1, 1, 8, 8)).eq(1).all()
    (attention(maps + torch.rand(maps.shape)) * torch.rand(maps.shape)).sum().backward()
    assert attention.score.weight.grad is not None
    assert attention.score.weight.grad.any()


def test_the_pool_gives_new_images_until_it_is_full_and_earlier_ones_half_of_the_time_then() -> None:
    torch.manual_seed(0)
    pool = ReplayPool(4, 2)
    numbered = torch.arange(404.0).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()
    assert torch.equal(pool.query(numbered[:4]), numbered[:4])
    earlier, swapped_out = 0, []
    for number in range(4, 404):
        (out,) = pool.query(numbered[number : number + 1])[:, 0, 0, 0].tolist()
        earlier += out < number
        if out < number:
            swapped_out.append(out)
            assert number in pool.images[:, 0, 0, 0].tolist()
    assert 160 < earlier < 240
    assert len(set(swapped_out)) == len(swapped_out), "an image that came out is in the pool no more"
    assert torch.equal(ReplayPool(0, 2).query(numbered[:3]), numbered[:3])


def test_a_pool_that_is_loaded_goes_on_as_the_one_that_was_saved() -> None:
    one, two = ReplayPool(3, 2), ReplayPool(3, 2)
    one.query(torch.rand(5, 3, 2, 2))
    two.load_state_dict(one.state_dict())
    more = torch.rand(6, 3, 2, 2)
    drawn = []
    for pool in (one, two):
        torch.manual_seed(5)
        drawn.append(pool.query(more))
    assert torch.equal(*drawn)


def test_losses_are_cyclegans_and_critics_see_what_the_generators_made() -> None:
    torch.manual_seed(0)
    gan = CycleGAN(
        32, generator_width=2, blocks=1, critic_width=2, norm="instance", attention=False, cycle_weight=10.0, pool=0
    )
    sketches, photos = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    terms, as_photos = gan.generator_loss(sketches, photos)
    assert torch.allclose(terms["photo_adversarial"], (gan.photo_critic(as_photos) - 1).square().mean())
    back = gan.to_sketch(gan.to_photo(sketches))
    assert torch.allclose(terms["sketch_cycle"], 10 * (back - sketches).abs().mean(), atol=1e-6)
    real, fake = gan.photo_critic(photos), gan.photo_critic(as_photos)
    expected = ((real - 1).square().mean() + fake.square().mean()) / 2
    assert torch.allclose(gan.photo_critic_loss(sketches, photos), expected, atol=1e-6)
    gan.cycle_weight = 0.0
    assert set(gan.generator_loss(sketches, photos)[0]) == {"photo_adversarial", "sketch_adversarial"}


def test_augmented_images_are_crops_and_flips_of_the_enlarged_ones() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(64.0).expand(40, 3, 64, 64).contiguous()  # grows to the right
    seen = augmented(ramp)
    assert seen.shape == ramp.shape
    grows = (seen[:, 0, 0, -1] > seen[:, 0, 0, 0]).float().mean()
    assert 0.2 < grows < 0.8
    spans = (seen[:, 0, 0, -1] - seen[:, 0, 0, 0]).abs()
    assert (spans < 63).all()  # an enlarged image shows less
    assert len(torch.unique(seen[:, 0, 0, 0])) > 5
