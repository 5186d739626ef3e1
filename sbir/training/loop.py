"""The training loop: torch alone, and no method known by name."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from sbir.data.feed import Feed
from sbir.data.sampler import Sampler
from sbir.models.method import Method
from sbir.training.descent import descend, load_optimizer, losses_of, make_optimizer, play, products, set_rate
from sbir.training.device_steps import DeviceSteps, side_stream
from sbir.training.terms import Means, check_finite
from sbir.training.train_settings import TrainSettings
from sbir.types import Batch, Player, Stage


class Loop:
    """Steps a method's players on batches; the state after n steps depends on the seed and n alone.

    Every call of `train` seeds torch's generator by `(seed, step)`, so a trial that resumes at such a boundary
    continues exactly, without generator state in its checkpoint. A method's stages share `length` steps (as many as
    the settings say when left out), whether all of them are taken or not.

    On a GPU the steps of a method that is `capturable` run without the host: its terms are looked at when a call of
    `train` ends, so one that is no number is found there. `on_device` asks for such steps, or for none, anywhere; they
    come to the same weights and figures.
    """

    def __init__(
        self,
        method: Method,
        feed: Feed,
        settings: TrainSettings,
        seed: int,
        *,
        length: int | None = None,
        on_device: bool | None = None,
    ) -> None:
        self.method, self.step = method, 0
        self._feed, self._settings, self._seed = feed, settings, seed
        self._device = feed.columns.device
        if settings.precision == "tf32" and self._device.type != "cuda":
            raise ValueError("train/precision tf32 needs a GPU, this trial has none; take float32 or bfloat16")
        self._on_device = method.capturable and self._device.type == "cuda" if on_device is None else on_device
        self._stages = method.stages() if method.players() else []
        self._starts = stage_starts(self._stages, settings.steps if length is None else length)
        self._optimizers = [[make_optimizer(player, settings) for player in stage.players] for stage in self._stages]
        self._sampler = self._make_sampler() if self._stages else None
        self._running: tuple[int, DeviceSteps] | None = None  # a stage's number and steps

    def train(self, steps: int) -> dict[str, float]:
        """Take `steps` steps; the mean of every loss term over them, and the method's own metrics of the last batch."""
        torch.manual_seed(mix(self._seed, self.step))
        self.method.train()
        means = Means()
        with products(self._settings.precision):
            (self._run_on_device if self._on_device else self._run)(self.step + steps, means)
        return {**means.result(), **self.method.metrics()}

    def _run(self, target: int, means: Means) -> None:
        while self.step < target:
            for batch in self._rest_of_epoch():
                means.add(self._step(batch))
                self.step += 1
                if self.step == target:
                    break

    def _run_on_device(self, target: int, means: Means) -> None:
        with side_stream(self._device):
            while self.step < target:
                number, stage = self._stage()
                steps = self._steps_of(number, means)
                means.add(self._begin(number))
                for optimizer in self._optimizers[number]:
                    set_rate(optimizer, self._settings.rate(self.step + 1) * stage.lr)
                steps.take(self.step)
                self.step += 1
                if steps.is_full or self.step == target:
                    self._look(steps, means)

    def _steps_of(self, number: int, means: Means) -> DeviceSteps:
        """The steps of a stage; those of the one before are read and given up."""
        if self._running is None or self._running[0] != number:
            if self._running is not None:
                self._look(self._running[1], means)
            assert self._sampler is not None  # a method without players takes no step
            update = partial(play, self._stages[number].players, self._optimizers[number], self._settings)
            self._running = number, DeviceSteps(self._feed, self._sampler, self.method.sampling.roles, update)
        return self._running[1]

    def _look(self, steps: DeviceSteps, means: Means) -> None:
        found = steps.read()
        for step, values in enumerate(found, self.step - len(found) + 1):
            check_finite(values, step)
            means.add(values)

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
            load_optimizer(optimizer, saved)
        self._running = None  # a graph knows the tensors that were there before

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

    def _stage(self) -> tuple[int, Stage]:
        """The stage of the next step, with its number."""
        number = bisect_right(self._starts, self.step) - 1
        return number, self._stages[number]

    def _step(self, batch: Batch) -> dict[str, float]:
        """Every player of the stage steps once; the values of all their terms."""
        number, stage = self._stage()
        values = self._begin(number)
        for player, optimizer in zip(stage.players, self._optimizers[number], strict=True):
            values.update(self._update(player, optimizer, batch, stage.lr))
        return values

    def _begin(self, number: int) -> dict[str, float]:
        """What comes before the first step of a stage, and of an epoch."""
        stage = self._stages[number]
        if stage.begin is not None and self.step == self._starts[number]:
            stage.begin(self._feed.train_queries())
            self.method.train()
        return self._begin_epoch()

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
        names, losses = losses_of(player, batch, self._settings)
        values = dict(zip(names, losses.tolist(), strict=True))  # one wait for a GPU, not one a term
        check_finite(values, self.step + 1)
        set_rate(optimizer, self._settings.rate(self.step + 1) * factor)
        descend(losses, optimizer, self._settings)
        return values


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
