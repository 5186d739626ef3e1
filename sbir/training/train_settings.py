"""How a method is trained: settings that are checked before anything is built."""

from dataclasses import dataclass
from typing import Literal, get_args

Schedule = Literal["constant", "inverse_sqrt"]
Precision = Literal["float32", "tf32", "bfloat16"]


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
    precision: Precision = "float32"  # of matrix products in training; weights stay float32; tf32 on GPUs alone

    def __post_init__(self) -> None:
        for name in ("steps", "eval_every", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"train/{name} must be at least 1, got {getattr(self, name)}")
        if not self.lr > 0:
            raise ValueError(f"train/lr must be above 0, got {self.lr}")
        for name in ("warmup", "clip_norm", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"train/{name} must be 0 or more, got {getattr(self, name)}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"train/precision must be one of {', '.join(get_args(Precision))}, got {self.precision!r}")
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
