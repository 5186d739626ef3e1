"""A user's sweep whose trials take their time and little else, so that there is time to break something."""

import time

from optuna.distributions import FloatDistribution
from torch import Tensor

from sbir.models.triplet import Triplet
from sbir.tuning.main import main
from sbir.tuning.sweep import Sweep
from sbir.types import Batch, DataSpec


class Steady(Triplet):
    """A small triplet network that waits `wait` seconds a step."""

    def __init__(self, spec: DataSpec, *, margin: float = 1.0, wait: float = 0.1) -> None:
        super().__init__(spec, margin=margin, hidden=16, latent=8)
        self.wait = wait

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        time.sleep(self.wait)
        return super().loss(batch)


SWEEP = Sweep(Steady, {"margin": FloatDistribution(0.1, 3.0)}, published={"one": {"margin": 1.0}})

if __name__ == "__main__":
    main(SWEEP)
