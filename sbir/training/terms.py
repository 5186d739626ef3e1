"""Values of loss terms, step by step: that they are numbers, and their means."""

import math
from collections import defaultdict
from collections.abc import Mapping


class NonFiniteLossError(ValueError):
    """A loss term is no longer a number: the trial has failed, not the sweep."""


def check_finite(values: Mapping[str, float], step: int) -> None:
    """Raise `NonFiniteLossError` with the first term that is no number at this step, counted from 1."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise NonFiniteLossError(f"loss term {name} is {value} at step {step}")


class Means:
    """The mean of each term over the steps that have it."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, values: Mapping[str, float]) -> None:
        """One step's."""
        for name, value in values.items():
            self._sums[name] += value
            self._counts[name] += 1

    def result(self) -> dict[str, float]:
        """By name, in the order of their coming."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}
