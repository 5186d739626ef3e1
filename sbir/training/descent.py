"""One step down the losses: players, their optimisers, and the precision of what they compute."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sbir.training.train_settings import Precision, TrainSettings
from sbir.types import Batch, Player


def play(
    players: Sequence[Player], optimizers: Sequence[torch.optim.Optimizer], settings: TrainSettings, batch: Batch
) -> dict[str, Tensor]:
    """Every player steps once, at the rates that are set; the values of all their terms, on the device."""
    terms: dict[str, Tensor] = {}
    for player, optimizer in zip(players, optimizers, strict=True):
        names, losses = losses_of(player, batch, settings)
        terms.update(zip(names, losses.detach().unbind(), strict=True))
        descend(losses, optimizer, settings)
    return terms


def losses_of(player: Player, batch: Batch, settings: TrainSettings) -> tuple[list[str], Tensor]:
    """Names and values of a player's terms."""
    with torch.autocast(batch.labels.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
        terms = player.loss(batch)
    return list(terms), torch.stack(list(terms.values()))


def descend(losses: Tensor, optimizer: torch.optim.Optimizer, settings: TrainSettings) -> None:
    """One step of an optimiser's parameters down the sum of the terms."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(losses.sum(), inputs=parameters)
    if settings.clip_norm:
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
    optimizer.step()


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Matrix products of float32 as they are, or with TF32's 10 bits of mantissa."""
    if precision != "tf32":
        yield
        return
    matmul = torch.backends.cuda.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def make_optimizer(player: Player, settings: TrainSettings) -> torch.optim.Optimizer:
    """Adam on a player's parameters; each group keeps its own learning rate, before warm-up, as `base_lr`.

    On a GPU the rate is a tensor there, so that a captured step finds it, and one that is not captured is the same.
    """
    optimizer = torch.optim.Adam(
        player.parameters,
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"] * group.get("lr_scale", 1.0)
        if group["params"][0].is_cuda:
            group |= {"capturable": True, "lr": torch.tensor(group["lr"], device=group["params"][0].device)}
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, part: float) -> None:
    """Step from now on at a part of each group's own learning rate."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(part * group["base_lr"])
        else:
            group["lr"] = part * group["base_lr"]


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Take in a state from whichever device: how rates are kept stays this one's."""
    own = [{name: group[name] for name in ("lr", "capturable")} for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, kept in zip(optimizer.param_groups, own, strict=True):
        group.update(kept)
