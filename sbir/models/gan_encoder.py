"""Sketch-GAN and thin-GAN: what the discriminator of an unlabelled GAN on drawings has learnt, as a code for search."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from sbir.losses.adversarial import fool, judge
from sbir.models.drawings import check_drawings, ink
from sbir.models.method import Method
from sbir.models.settings import check, check_choice, check_range
from sbir.types import Batch, DataSpec, Player, Rows, Views

KERNELS = {"large": (9, 7, 5, 3), "thin": (3, 3, 3, 3)}  # of the discriminator; the generator has them in reverse
SLOPE = 0.2  # of LeakyReLU


class GANEncoder(Method):
    """A DCGAN on drawings without labels; its discriminator without the last layer embeds both sides, by cosine.

    `filters` "large" is the source's sketch-GAN, with large filters in the shallow layers of the discriminator and in
    the late layers of the generator; "thin" is its thin-GAN, with small filters everywhere and as many of them as give
    both networks the same number of parameters (within 2 %). View `code` (n, D): the flattened last feature maps.

    Source: A. Creswell, A. A. Bharath, "Adversarial Training for Sketch Retrieval" (2016,
    https://arxiv.org/abs/1607.02748); no code was released. From the paper: the two networks as described above, equal
    parameter counts, the encoder, and the normalised dot product. Not to be verified, and so our defaults after DCGAN
    (A. Radford et al. 2016, https://arxiv.org/abs/1511.06434): kernels 9, 7, 5, 3 with stride 2, widths 64 to 512,
    batch norm but in the first layer, 100 noise inputs, the non-saturating loss, weights drawn from N(0, 0.02), Adam at
    2e-4. The paper drew merchant marks; here any drawings will do. The encoder's batch norms remember real drawings
    alone, since it embeds no others: with the generator's among them, which are two of three batches, all real ones lie
    on one side, and cosines tell them apart less.
    """

    query_columns = gallery_columns = ("image",)
    gallery_domain = "sketch"

    def __init__(
        self, spec: DataSpec, *, filters: Literal["large", "thin"] = "large", width: int = 64, noise: int = 100
    ) -> None:
        super().__init__()
        check_choice("filters", filters, tuple(KERNELS))
        check_range(1, width=width, noise=noise)
        check_drawings(spec.query["image"], None)
        side = spec.query["image"][0]
        check(
            side % 16 == 0, f"images must have a multiple of 16 pixels a side, got {side}; write them with --images 64"
        )
        self.noise, self.last = noise, side // 16
        widths = large_widths(width) if filters == "large" else thin_widths(width, noise, self.last)
        kernels = KERNELS[filters]
        self.encoder = nn.Sequential(*_convolutions(kernels, widths), nn.Flatten())
        self.judge = nn.Linear(widths[-1] * self.last**2, 1)
        self.generator = nn.Sequential(*_transposed(kernels[::-1], widths[::-1], noise, self.last))
        self.apply(_draw_weights)
        self._last: dict[str, Tensor] = {}

    def players(self) -> list[Player]:
        """The discriminator first, then the generator."""
        critic = [*self.encoder.parameters(), *self.judge.parameters()]
        return [
            Player("discriminator", critic, self.discriminator_loss),
            Player("generator", list(self.generator.parameters()), self.loss),
        ]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The generator's term: its drawings pass for real ones."""
        with _statistics_kept(self.encoder):
            return {"generator": fool(self.judge(self.encoder(self._drawn(batch))))}

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminator's term: real drawings from the generator's."""
        with torch.no_grad():
            drawn = self._drawn(batch)
        real = self.judge(self.encoder(_signed(batch.query)))
        with _statistics_kept(self.encoder):
            fake = self.judge(self.encoder(drawn))
        self._last = {"discriminator_accuracy": torch.cat([real > 0, fake < 0]).float().mean()}
        return {"discriminator": judge(real, fake)}

    def metrics(self) -> dict[str, float]:
        """How often the discriminator was right on the last batch."""
        return {name: float(value) for name, value in self._last.items()}

    def embed_query(self, rows: Rows) -> Views:
        """The discriminator's last features as `code` (n, D)."""
        return {"code": self.encoder(_signed(rows))}

    def embed_gallery(self, rows: Rows) -> Views:
        """As the query."""
        return self.embed_query(rows)

    def _drawn(self, batch: Batch) -> Tensor:
        """As many drawings of the generator as the batch has, (B, 1, S, S) in [-1, 1]."""
        noise = torch.randn(len(batch.labels), self.noise, device=batch.labels.device)
        drawn: Tensor = self.generator(noise)
        return drawn


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Batch norms normalise by the batch, as in training always, but do not remember it for evaluation."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def large_widths(width: int) -> list[int]:
    """Filters of each layer of sketch-GAN's discriminator."""
    return [width, 2 * width, 4 * width, 8 * width]


@cache  # every draw of a sweep is built once to be checked
def thin_widths(width: int, noise: int, last: int) -> list[int]:
    """Filters of each layer of thin-GAN's, all scaled by the factor that gives as many parameters as sketch-GAN has."""
    wanted = num_parameters(KERNELS["large"], large_widths(width), noise, last)
    every = [
        [max(1, round(size * step / (8 * width))) for size in large_widths(width)] for step in range(1, 32 * width)
    ]
    return min(every, key=lambda widths: abs(num_parameters(KERNELS["thin"], widths, noise, last) - wanted))


def num_parameters(kernels: tuple[int, ...], widths: list[int], noise: int, last: int) -> int:
    """Parameters of both networks: convolutions without bias but the generator's last, batch norm between."""
    sizes = [1, *widths]
    convolutions = sum(k * k * a * b for k, a, b in zip(kernels, sizes, sizes[1:], strict=False))
    flat = widths[-1] * last**2
    critic = convolutions + 2 * sum(widths[1:]) + flat + 1
    generator = noise * flat + 2 * sum(widths) + convolutions + 1
    return critic + generator


def _convolutions(kernels: tuple[int, ...], widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for index, (kernel, before, after) in enumerate(zip(kernels, [1, *widths], widths, strict=False)):
        layers.append(nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2, bias=False))
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE)] if index else [nn.LeakyReLU(SLOPE)]
    return layers


def _transposed(kernels: tuple[int, ...], widths: list[int], noise: int, last: int) -> list[nn.Module]:
    """Noise (n, Z) -> drawings (n, 1, S, S)."""
    layers: list[nn.Module] = [
        nn.Linear(noise, widths[0] * last**2, bias=False),
        nn.Unflatten(1, (widths[0], last, last)),
    ]
    for index, (kernel, before, after) in enumerate(zip(kernels, widths, [*widths[1:], 1], strict=True)):
        layers += [nn.BatchNorm2d(before), nn.ReLU()]
        layers.append(
            nn.ConvTranspose2d(
                before, after, kernel, stride=2, padding=kernel // 2, output_padding=1, bias=index == len(kernels) - 1
            )
        )
    return [*layers, nn.Tanh()]


def _signed(rows: Rows) -> Tensor:
    """Images as a generator draws them: 1 is black, -1 white, (n, 1, S, S)."""
    return 2 * ink(rows) - 1


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
