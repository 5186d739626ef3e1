"""Migration between two domains of images, trained with critics and cycles."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sbir.losses.adversarial import fool, judge
from sbir.losses.label_codes import cycle_error
from sbir.models.migration import NORMS, Generator, Norm, PatchCritic, ReplayPool
from sbir.models.settings import check_choice, check_range

ENLARGED = 286 / 256  # images are enlarged so before a random crop of their own size


class CycleGAN(nn.Module):
    """Two generators and two critics between sketches and photos, images (n, 3, S, S) in [-1, 1].

    J.-Y. Zhu et al. (ICCV 2017, https://arxiv.org/abs/1703.10593) as GDH has it: least-squares losses, no identity
    loss. Losses of critics judge what the last `generator_loss` has made of the same images.
    """

    def __init__(
        self,
        side: int,
        *,
        generator_width: int,
        blocks: int,
        critic_width: int,
        norm: Norm,
        attention: bool,
        cycle_weight: float,
        pool: int,
    ) -> None:
        super().__init__()
        check_choice("norm", norm, NORMS)
        check_range(1, generator_width=generator_width, critic_width=critic_width)
        check_range(0, blocks=blocks, pool=pool, cycle_weight=cycle_weight)
        self.to_photo, self.to_sketch = (
            Generator(generator_width, blocks, norm, attention=attention) for _ in range(2)
        )
        self.photo_critic, self.sketch_critic = (PatchCritic(critic_width, norm) for _ in range(2))
        self.photo_pool, self.sketch_pool = (ReplayPool(pool, side) for _ in range(2))
        self.cycle_weight = cycle_weight
        self._photos: Tensor | None = None
        self._sketches: Tensor | None = None

    def generators(self) -> list[nn.Parameter]:
        """What the first player steps."""
        return [*self.to_photo.parameters(), *self.to_sketch.parameters()]

    def generator_loss(self, sketches: Tensor, photos: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Each generator fools its critic, and what comes back after a cycle is what went in; and the sketches as
        photos."""
        as_photos, as_sketches = self.to_photo(sketches), self.to_sketch(photos)
        self._photos, self._sketches = as_photos.detach(), as_sketches.detach()
        terms = {
            "photo_adversarial": 2 * fool(self.photo_critic(as_photos), "lsgan"),
            "sketch_adversarial": 2 * fool(self.sketch_critic(as_sketches), "lsgan"),
        }
        if self.cycle_weight:
            terms["sketch_cycle"] = self.cycle_weight * cycle_error(self.to_sketch(as_photos), sketches)
            terms["photo_cycle"] = self.cycle_weight * cycle_error(self.to_photo(as_sketches), photos)
        return terms, as_photos

    def photo_critic_loss(self, sketches: Tensor, photos: Tensor) -> Tensor:
        """Photos from migrated sketches, of this batch and of earlier ones."""
        made = self._made(self._photos, self.to_photo, sketches)
        return judge(self.photo_critic(photos), self.photo_critic(self.photo_pool.query(made)), "lsgan")

    def sketch_critic_loss(self, sketches: Tensor, photos: Tensor) -> Tensor:
        """Sketches from migrated photos, of this batch and of earlier ones."""
        made = self._made(self._sketches, self.to_sketch, photos)
        return judge(self.sketch_critic(sketches), self.sketch_critic(self.sketch_pool.query(made)), "lsgan")

    @torch.no_grad()
    def pictures(self, sketches: Tensor, photos: Tensor) -> dict[str, Tensor]:
        """Sketches as photos and back, photos as sketches and back."""
        as_photos, as_sketches = self.to_photo(sketches), self.to_sketch(photos)
        return {
            "sketch": sketches,
            "as a photo": as_photos,
            "and back": self.to_sketch(as_photos),
            "photo": photos,
            "as a sketch": as_sketches,
            "and back again": self.to_photo(as_sketches),
        }

    def forget(self) -> None:
        """Other images come next."""
        self._photos = self._sketches = None

    @staticmethod
    def _made(last: Tensor | None, generator: Generator, images: Tensor) -> Tensor:
        if last is not None:
            return last
        with torch.no_grad():
            made: Tensor = generator(images)
        return made


def augmented(images: Tensor) -> Tensor:
    """Each image enlarged and cropped at random to its own size, and flipped half of the time; (n, 3, S, S)."""
    side = images.shape[2]
    large = round(side * ENLARGED)
    wide = functional.interpolate(images, (large, large), mode="bilinear", align_corners=False)
    corners = torch.randint(large - side + 1, (2, len(images))).tolist()
    flips = (torch.rand(len(images)) < 0.5).tolist()
    crops = [one[:, top : top + side, left : left + side] for one, top, left in zip(wide, *corners, strict=True)]
    return torch.stack([crop.flip(2) if flip else crop for crop, flip in zip(crops, flips, strict=True)])
