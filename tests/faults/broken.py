"""A user's sweep whose method breaks in every way that a trial can: one row for each, beside a row that does not."""

import os
import time

import torch
from torch import Tensor

from sbir.models.triplet import Triplet
from sbir.tuning import runner
from sbir.tuning.main import main
from sbir.tuning.sweep import Sweep
from sbir.types import Batch, DataSpec

runner.STEP_LIMIT = 30.0


class Broken(Triplet):
    """A triplet network, except where `how` says otherwise."""

    def __init__(self, spec: DataSpec, *, how: str = "works") -> None:
        super().__init__(spec, hidden=16, latent=8)
        self.how = how

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        terms = super().loss(batch)
        if self.how == "not finite":
            return {name: term * float("nan") for name, term in terms.items()}
        if self.how == "raises":
            raise KeyError("what the method's author forgot")
        if self.how == "hangs":
            time.sleep(3600)
        if self.how == "waits":
            time.sleep(1)  # long enough to be there when another trial fills the memory
        if self.how == "eats memory":
            eat()
        if self.how == "dies":
            os.abort()
        if self.how == "out of memory" or (self.how == "fits a whole GPU" and gpu() < 1):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return terms


def eat() -> None:
    """Take memory until somebody ends this process."""
    taken = []
    while True:
        taken.append(torch.ones(16 << 20, dtype=torch.int32))  # 64 MiB, touched
        time.sleep(0.05)


def gpu() -> float:
    """The part of a GPU that this process was given."""
    import ray

    given = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
    return float(given.get("GPU", 0))


HOW = ("works", "not finite", "raises", "hangs", "dies", "out of memory", "fits a whole GPU", "eats memory", "waits")
SWEEP = Sweep(Broken, {"how": list(HOW)}, published={how: {"how": how} for how in HOW})

if __name__ == "__main__":
    main(SWEEP)
