"""Stand-ins for an Optuna trial, to find out what a space draws without a study."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution


class Random:
    """Draws at random, to find out which axes a space has."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        return self._random.choice(list(choices))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number in [low, high]."""
        return self._random.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number in [low, high]."""
        return self._random.randint(low, high)


class Fixed(Random):
    """Gives the values of a row where it has them."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(0)
        self._settings = settings

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        value = self._settings.get(name, choices[0])
        return value if value in choices else choices[0]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number in [low, high]."""
        return min(max(float(self._settings.get(name, low)), low), high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number in [low, high]."""
        return min(max(int(self._settings.get(name, low)), low), high)


class Noted(Fixed):
    """Gives the values of a trial, and keeps each with its distribution: the trial as a point of another space."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        return self._keep(name, super().suggest_categorical(name, choices), CategoricalDistribution(choices))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number in [low, high]."""
        value = super().suggest_float(name, low, high, step=step, log=log)
        return float(self._keep(name, value, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number in [low, high]."""
        value = super().suggest_int(name, low, high, step=step, log=log)
        return int(self._keep(name, value, IntDistribution(low, high, log=log, step=step)))

    def _keep(self, name: str, value: Any, distribution: BaseDistribution) -> Any:
        self.params[name], self.distributions[name] = value, distribution
        return value
