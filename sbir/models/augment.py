"""Random views of stored pictures, made on the device that holds them."""

import math

import torch
from torch import Tensor
from torch.nn import functional

TRIES = 10  # shapes drawn before the whole picture is taken, as torchvision does


def random_crops(images: Tensor, size: int, smallest: float, ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> Tensor:
    """A random part of each picture, half of them mirrored: (n, 3, S, S) -> (n, 3, size, size) float32.

    Parts have a uniform area in [smallest, 1] of the picture and a log-uniform ratio of width to height, at a uniform
    place, as torchvision's RandomResizedCrop; resampled bilinearly without antialiasing. Draws from torch's generator
    on the CPU, so that the views are the same on every device.
    """
    count, side = len(images), images.shape[-1]
    area = torch.empty(count, TRIES).uniform_(smallest, 1.0)
    shape = torch.empty(count, TRIES).uniform_(math.log(ratio[0]), math.log(ratio[1])).exp()
    extents = torch.stack([(area * shape).sqrt(), (area / shape).sqrt()], 2)  # n, tries, width and height, 1 is all
    fits = (extents <= 1).all(2)
    extent = extents[torch.arange(count), fits.int().argmax(1)]  # the first that fits
    extent = torch.where(fits.any(1, keepdim=True), extent, 1.0)
    centre = (2 * torch.rand(count, 2) - 1) * (1 - extent)  # in [-1, 1]
    mirrored = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    place = torch.zeros(count, 2, 3)
    place[:, 0, 0], place[:, 1, 1] = extent[:, 0] * mirrored, extent[:, 1]
    place[:, :, 2] = centre
    grid = functional.affine_grid(place.to(images.device), [count, 3, size, size], align_corners=False)
    assert side == images.shape[-2]
    return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def centre_crops(images: Tensor, size: int) -> Tensor:
    """The middle of each picture, (n, 3, S, S) -> (n, 3, size, size)."""
    first = (images.shape[-1] - size) // 2
    return images[..., first : first + size, first : first + size]
