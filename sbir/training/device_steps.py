"""Steps that the host takes no part in: rows are gathered, losses logged and weights moved where the features lie.

On a GPU such a step is captured once as a CUDA graph and repeated from then on: one launch in place of some hundred.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from torch import Tensor

from sbir.data.feed import Feed
from sbir.data.sampler import Sampler
from sbir.types import Batch, Role

WARM_UP = 3  # steps before the capture, as PyTorch asks for: libraries choose kernels, and the optimiser its state
LOGGED = 1024  # steps whose terms are kept on the device, before the host has to look


class DeviceSteps:
    """The steps of one stage, over buffers that stay where they are.

    `update` lets every player step on a batch and gives the terms, scalars by name. The first steps run as they are, so
    that a capture changes neither weights nor random numbers; from then on the graph runs, whose random numbers go on
    where the generator is (PyTorch, "CUDA Graph-safe RNG states"). Without a GPU every step runs as it is.
    """

    def __init__(
        self, feed: Feed, sampler: Sampler, roles: Sequence[Role], update: Callable[[Batch], dict[str, Tensor]]
    ) -> None:
        self._feed, self._sampler, self._roles, self._update = feed, sampler, roles, update
        self._device = feed.columns.device
        self._epoch, self._rows = -1, torch.empty(0)
        self._at, self._count = (torch.zeros(1, dtype=torch.int64, device=self._device) for _ in range(2))
        self._next, self._pending, self._taken = -1, 0, 0  # the step that the buffers are ready for; steps to be read
        self._names: list[str] = []
        self._log = torch.empty(0)
        self._graph: torch.cuda.CUDAGraph | None = None

    def take(self, step: int) -> None:
        """Take step number `step`, from 0; nothing is waited for but where an epoch begins."""
        if step != self._next or step % len(self._sampler) == 0:
            self._seek(*divmod(step, len(self._sampler)))
        if self._device.type != "cuda" or self._taken < WARM_UP:
            self._step()
        else:
            self._graph = self._graph or self._captured()
            self._graph.replay()
        self._next, self._pending, self._taken = step + 1, self._pending + 1, self._taken + 1

    @property
    def is_full(self) -> bool:
        """Whether the terms must be read before the next step."""
        return self._pending == LOGGED

    def read(self) -> list[dict[str, float]]:
        """The terms of every step since the last time; waits for the device."""
        rows = self._log[: self._pending].tolist()
        self._count.zero_()
        self._pending = 0
        return [dict(zip(self._names, row, strict=True)) for row in rows]

    def _seek(self, epoch: int, at: int) -> None:
        if epoch != self._epoch:
            rows = torch.from_numpy(np.ascontiguousarray(self._sampler.rows(epoch)))  # batches, 1 + roles, B
            if self._epoch < 0:
                self._rows = torch.empty_like(rows, device=self._device)
            self._rows.copy_(rows)
            self._epoch = epoch
        self._at.fill_(at)

    def _step(self) -> None:
        rows = self._rows.index_select(0, self._at)[0]
        terms = self._update(self._feed.gathered(rows, self._roles))
        values = torch.stack(list(terms.values()))
        if not self._names:
            self._names, self._log = list(terms), values.new_zeros(LOGGED, len(terms))
        self._log.index_copy_(0, self._count, values[None])
        self._at.add_(1)
        self._count.add_(1)

    def _captured(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream(self._device)):
            self._step()
        return graph


@contextmanager
def side_stream(device: torch.device) -> Iterator[None]:
    """Work on a stream of this process's own, as a capture needs it; nothing without a GPU."""
    if device.type != "cuda":
        yield
        return
    side, usual = _stream(device), torch.cuda.current_stream(device)
    side.wait_stream(usual)
    try:
        with torch.cuda.stream(side):
            yield
    finally:
        usual.wait_stream(side)


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
