"""The training loop: torch alone, and no method known by name."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, get_args

import numpy as np
import torch

from sbir.data.feed import Feed
from sbir.data.sampler import Sampler
from sbir.models.method import Method
from sbir.types import Batch, Player, Stage

Schedule = Literal["constant", "inverse_sqrt"]


@dataclass(frozen=True)
class TrainSettings:
    """How a method is trained; the defaults are the source's (methods of the SJTU code, 2019)."""

    steps: int = 50_000  # optimiser steps at most; the source only stops by patience
    eval_every: int = 500  # steps between evaluations
    patience: int = 20  # evaluations without improvement before a trial ends
    batch_size: int = 64
    lr: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    warmup: int = 1000  # steps of linear warm-up
    schedule: Schedule = "constant"  # after it: the full rate, or falling as step^-0.5
    clip_norm: float = 1.0  # of the gradient, per player; 0 leaves it alone
    weight_decay: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"  # of matrix products in training; weights stay float32

    def __post_init__(self) -> None:
        for name in ("steps", "eval_every", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"train/{name} must be at least 1, got {getattr(self, name)}")
        if not self.lr > 0:
            raise ValueError(f"train/lr must be above 0, got {self.lr}")
        for name in ("warmup", "clip_norm", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"train/{name} must be 0 or more, got {getattr(self, name)}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"train/precision must be float32 or bfloat16, got {self.precision!r}")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"train/{name} must be in [0, 1), got {getattr(self, name)}")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"train/schedule must be one of {', '.join(get_args(Schedule))}, got {self.schedule!r}")
        if self.schedule == "inverse_sqrt" and not self.warmup:
            raise ValueError("train/schedule inverse_sqrt falls from the end of the warm-up; set train/warmup above 0")

    def rate(self, update: int) -> float:
        """Part of the learning rate that update 1, 2, ... takes.

        "inverse_sqrt" is that of Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762), with its peak of 1 at the end
        of the warm-up; fairseq, whose schedule the image-text source took over, starts from 1e-7 and not from 0.

        >>> [TrainSettings(warmup=4, schedule="inverse_sqrt").rate(update) for update in (1, 4, 16)]
        [0.25, 1.0, 0.5]
        >>> [TrainSettings(warmup=4).rate(update) for update in (1, 4, 16)]
        [0.25, 1.0, 1.0]
        """
        if update < self.warmup:
            return update / self.warmup
        return (self.warmup / update) ** 0.5 if self.schedule == "inverse_sqrt" else 1.0


class NonFiniteLossError(ValueError):
    """A loss term is no longer a number: the trial has failed, not the sweep."""


class Loop:
    """Steps a method's players on batches; the state after n steps depends on the seed and n alone.

    Every call of `train` seeds torch's generator by `(seed, step)`, so a trial that resumes at such a boundary
    continues exactly, without generator state in its checkpoint. A method's stages share `length` steps (as many as
    the settings say when left out), whether all of them are taken or not.
    """

    def __init__(
        self, method: Method, feed: Feed, settings: TrainSettings, seed: int, *, length: int | None = None
    ) -> None:
        self.method, self.step = method, 0
        self._feed, self._settings, self._seed = feed, settings, seed
        self._device = feed.columns.device.type
        self._stages = method.stages() if method.players() else []
        self._starts = stage_starts(self._stages, settings.steps if length is None else length)
        self._optimizers = [[make_optimizer(player, settings) for player in stage.players] for stage in self._stages]
        self._sampler = self._make_sampler() if self._stages else None

    def train(self, steps: int) -> dict[str, float]:
        """Take `steps` steps; the mean of every loss term over them, and the method's own metrics of the last batch."""
        torch.manual_seed(mix(self._seed, self.step))
        self.method.train()
        sums: defaultdict[str, float] = defaultdict(float)
        target = self.step + steps
        counts: defaultdict[str, int] = defaultdict(int)
        while self.step < target:
            for batch in self._rest_of_epoch():
                for name, value in self._step(batch).items():
                    sums[name] += value
                    counts[name] += 1
                self.step += 1
                if self.step == target:
                    break
        return {**{name: total / counts[name] for name, total in sums.items()}, **self.method.metrics()}

    @property
    def in_last_stage(self) -> bool:
        """Whether the next step is one of the last stage, after which nothing new begins."""
        return self.step >= self._starts[-1] if self._starts else True

    def state(self) -> dict[str, Any]:
        """Everything that a resumed trial needs."""
        optimizers = [optimizer.state_dict() for of_stage in self._optimizers for optimizer in of_stage]
        return {"step": self.step, "method": self.method.state_dict(), "optimizers": optimizers}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.step = state["step"]
        self.method.load_state_dict(state["method"])
        optimizers = [optimizer for of_stage in self._optimizers for optimizer in of_stage]
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def _make_sampler(self) -> Sampler:
        items, partition = self._feed.columns.items, self._feed.partition
        return Sampler(
            partition.train_query,
            partition.train_gallery,
            items.class_id,
            items.instance_id,
            sampling=self.method.sampling,
            batch_size=self._settings.batch_size,
            seed=self._seed,
        )

    def _rest_of_epoch(self) -> Any:
        assert self._sampler is not None  # a method without players takes no step
        epoch, start = divmod(self.step, len(self._sampler))
        return self._feed.batches(self._sampler, epoch, start)

    def _step(self, batch: Batch) -> dict[str, float]:
        """Every player of the stage steps once; the values of all their terms."""
        number = bisect_right(self._starts, self.step) - 1
        stage = self._stages[number]
        if stage.begin is not None and self.step == self._starts[number]:
            stage.begin(self._feed.train_queries())
            self.method.train()
        values = self._begin_epoch()
        for player, optimizer in zip(stage.players, self._optimizers[number], strict=True):
            values.update(self._update(player, optimizer, batch, stage.lr))
        return values

    def _begin_epoch(self) -> dict[str, float]:
        assert self._sampler is not None  # a method without players takes no step
        if self.step % len(self._sampler):
            return {}
        figures = self.method.begin_epoch(self._feed.train_queries(), self._feed.train_gallery())
        self.method.train()
        return figures

    def _update(
        self, player: Player, optimizer: torch.optim.Optimizer, batch: Batch, factor: float
    ) -> dict[str, float]:
        with torch.autocast(self._device, torch.bfloat16, enabled=self._settings.precision == "bfloat16"):
            terms = player.loss(batch)
        stacked = torch.stack(list(terms.values()))
        values = dict(zip(terms, stacked.tolist(), strict=True))  # one wait for a GPU, not one a term
        for name, value in values.items():
            if not math.isfinite(value):
                raise NonFiniteLossError(f"loss term {name} is {value} at step {self.step + 1}")
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(stacked.sum(), inputs=parameters)
        if self._settings.clip_norm:
            torch.nn.utils.clip_grad_norm_(parameters, self._settings.clip_norm)
        rate = self._settings.rate(self.step + 1)
        for group in optimizer.param_groups:
            group["lr"] = rate * factor * group["base_lr"]
        optimizer.step()
        return values


def make_optimizer(player: Player, settings: TrainSettings) -> torch.optim.Optimizer:
    """Adam on a player's parameters; each group keeps its own learning rate, before warm-up, as `base_lr`."""
    optimizer = torch.optim.Adam(
        player.parameters,
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"] * group.get("lr_scale", 1.0)
    return optimizer


def stage_starts(stages: Sequence[Stage], steps: int) -> list[int]:
    """The first step of each stage; every stage has one step at least where there are as many.

    >>> stage_starts([Stage("one", 0.5, []), Stage("two", 0.3, []), Stage("three", 0.2, [])], 10)
    [0, 5, 8]
    """
    before = accumulate((stage.share for stage in stages[:-1]), initial=0.0)
    starts = [round(share * steps) for share in before] if stages else []
    return [max(start, number) for number, start in enumerate(starts)]


def mix(*parts: int) -> int:
    """One 32-bit seed out of several numbers.

    >>> mix(1, 2) == mix(1, 2), mix(1, 2) == mix(2, 1)
    (True, False)
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
