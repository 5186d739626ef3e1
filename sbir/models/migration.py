"""Networks that migrate images from one domain to another: generator, patch critic, and the pool of earlier fakes."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["batch", "instance"]
NORMS = ("batch", "instance")
KEPT = 0.1  # a position is kept where its attention is above this part of the mean (the source's 2.44e-5 at 64 x 64)


class Generator(nn.Module):
    """Images (n, 3, S, S) in [-1, 1] -> images of the other domain, S a multiple of 4.

    The residual generator of J. Johnson et al. (2016) as CycleGAN (J.-Y. Zhu et al., ICCV 2017,
    https://arxiv.org/abs/1703.10593) and GDH have it: reflection padding and a 7 x 7 convolution, two of stride 2,
    `blocks` residual blocks, two transposed ones, a 7 x 7 convolution and tanh. With `attention` the feature maps after
    the blocks are multiplied by a binary mask of the positions that matter.

    Where we differ from GDH's code: convolutions before a norm have no bias, which the norm would remove; and the
    mask's threshold, which lets no gradient through, is straight-through, else the attention would stay as drawn.
    """

    def __init__(self, width: int, blocks: int, norm: Norm, *, attention: bool) -> None:
        super().__init__()
        sizes = [width, 2 * width, 4 * width]
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7, bias=False), *_after(width, norm)]
        for before, after in pairwise(sizes):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), *_after(after, norm)]
        self.inner = nn.Sequential(*layers, *(ResidualBlock(sizes[-1], norm) for _ in range(blocks)))
        self.attention = Attention(sizes[-1]) if attention else nn.Identity()
        layers = []
        for before, after in pairwise(sizes[::-1]):
            layers.append(nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1, bias=False))
            layers += _after(after, norm)
        self.outer = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())
        self.apply(draw_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Migrate images (n, 3, S, S)."""
        migrated: Tensor = self.outer(self.attention(self.inner(images)))
        return migrated


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside the identity, (n, width, h, w) -> the same."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            *_after(width, norm),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            _norm(width, norm),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Add what the layers find."""
        added: Tensor = maps + self.layers(maps)
        return added


class Attention(nn.Module):
    """Multiplies feature maps (n, width, h, w) by a mask of 0 and 1 over their positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(width, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """The maps where attention is above a tenth of its mean over the positions, 0 elsewhere."""
        kept: Tensor = maps * self.mask(maps)
        return kept

    def mask(self, maps: Tensor) -> Tensor:
        """(n, 1, h, w): 0 and 1, with the gradient of the attention relative to its mean."""
        scores = self.score(maps).relu().flatten(2)
        relative = scores.softmax(2) * scores.shape[2]
        hard = (relative > KEPT).to(relative)
        mask: Tensor = hard + relative - relative.detach()
        return mask.view(len(maps), 1, *maps.shape[2:])


class PatchCritic(nn.Module):
    """Tells real from made, patch by patch: images (n, 3, S, S) -> one logit a patch, (n, 1, h, w).

    The 70 x 70 PatchGAN of P. Isola et al. (CVPR 2017, https://arxiv.org/abs/1611.07004): 4 x 4 convolutions with
    LeakyReLU, a norm on the middle three. GDH's scripts give it one output channel a bit; here it is one.
    """

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for before, after, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
            layers.append(nn.Conv2d(before * width, after * width, 4, stride=stride, padding=1, bias=False))
            layers += [_norm(after * width, norm), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, padding=1))
        self.apply(draw_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of every patch."""
        logits: Tensor = self.layers(images)
        return logits


class ReplayPool(nn.Module):
    """The last `size` made images: a critic sees, half of the time, an earlier one in place of one just made.

    A. Shrivastava et al. (CVPR 2017, https://arxiv.org/abs/1612.07828), as CycleGAN has it. It belongs to the state of
    a training, so it is a buffer, in half precision; size 0 is no pool.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, side: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, 3, side, side, dtype=torch.float16))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def query(self, made: Tensor) -> Tensor:
        """Put images (n, 3, S, S) in, and take as many out, in the type of `made`."""
        size, held = len(self.images), int(self.count)
        out = made.detach().clone()
        new = out.to(self.images.dtype)
        swap, place = torch.rand(len(out)).tolist(), torch.rand(len(out)).tolist()
        for row in range(len(out) if size else 0):
            if held < size:
                self.images[held] = new[row]
                held += 1
            elif swap[row] > 0.5:
                at = int(place[row] * size)
                out[row] = self.images[at]
                self.images[at] = new[row]
        self.count.fill_(held)
        return out


def draw_weights(module: nn.Module) -> None:
    """Convolutions from N(0, 0.02) with zero biases, as the source draws them."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _norm(width: int, norm: Norm) -> nn.Module:
    return nn.BatchNorm2d(width) if norm == "batch" else nn.InstanceNorm2d(width)


def _after(width: int, norm: Norm) -> list[nn.Module]:
    return [_norm(width, norm), nn.ReLU()]
