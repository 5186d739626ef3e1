"""Blocks that several methods on features share."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

NormOrder = Literal["post", "pre"]

VALUES_AT_ONCE = 2**22  # of one activation while samples are decoded: 16 MB, which bounds memory and fits caches


def encoder(
    sizes: list[int],
    *,
    dropout: float,
    norm_order: NormOrder = "post",
    norm_eps: float = 1e-5,
    norm_momentum: float = 0.1,
) -> nn.Sequential:
    """Linear blocks with ReLU and batch norm, dropout between blocks: sizes [D, hidden, ..., H], (B, D) -> (B, H).

    "post" normalises after the ReLU (the source's rows up to 27 October 2019), "pre" before it (later rows).
    `norm_momentum` is torch's: the weight of the newest batch in the running statistics.
    """
    layers: list[nn.Module] = []
    for index, (width, out) in enumerate(pairwise(sizes)):
        if index:
            layers.append(nn.Dropout(dropout))
        relu_and_norm = [nn.ReLU(), nn.BatchNorm1d(out, eps=norm_eps, momentum=norm_momentum)]
        layers += [nn.Linear(width, out), *(relu_and_norm if norm_order == "post" else reversed(relu_and_norm))]
    return nn.Sequential(*layers)


def decoder(sizes: list[int]) -> nn.Sequential:
    """Linear layers, each with a ReLU since features are outputs of ReLUs: sizes [H, hidden, ..., D]."""
    layers: list[nn.Module] = []
    for width, out in pairwise(sizes):
        layers += [nn.Linear(width, out), nn.ReLU()]
    return nn.Sequential(*layers)


def critic(sizes: list[int], *, norm: bool = False) -> nn.Sequential:
    """A judge of real and fake with LeakyReLUs of slope 0.2, (B, sizes[0]) -> one logit, (B, 1).

    `norm` puts batch norm before every LeakyReLU, which then sees real and fake rows as batches of their own.
    """
    layers: list[nn.Module] = []
    for width, out in pairwise(sizes):
        layers += [nn.Linear(width, out, bias=not norm), *([nn.BatchNorm1d(out)] if norm else []), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 1))


def mean_decoded(photo_decoder: nn.Sequential, latents: Tensor, given: Tensor) -> Tensor:
    """Mean over all latents (N, H) of decoding [latent; given] for each row of `given` (n, d): (n, D).

    The same latents serve every row. The first layer is linear, so its two parts are computed once a latent and once a
    row and added; the ReLU between forbids more. Rows are decoded a few at a time to bound the memory.
    """
    first, rest = photo_decoder[0], photo_decoder[1:]
    assert isinstance(first, nn.Linear)
    of_latents = functional.linear(latents, first.weight[:, : latents.shape[1]])  # (N, hidden)
    of_given = functional.linear(given, first.weight[:, latents.shape[1] :], first.bias)  # (n, hidden)
    widest = max(layer.out_features for layer in photo_decoder if isinstance(layer, nn.Linear))
    rows = max(1, VALUES_AT_ONCE // (len(latents) * widest))
    return torch.cat([rest(some[:, None] + of_latents).mean(1) for some in torch.split(of_given, rows)])


def sample(mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Draws of N(mean, exp(logvar)) from standard normal noise, (B, H) each (or one noise (1, H) for the batch)."""
    return mean + (0.5 * logvar).exp() * noise


def seeded_noise(num_samples: int, latent: int, like: Tensor) -> Tensor:
    """(num_samples, latent) draws of N(0, I), the same in every process and on every device: a score that depends on
    nothing but the model. No samples are one row of zeros, the mean of N(0, I) itself."""
    if not num_samples:
        return torch.zeros(1, latent).to(like)
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num_samples, latent, generator=generator).to(like)
