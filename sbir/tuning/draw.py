"""What a space draws from: an Optuna trial, with what `--set` fixes or narrows and what a scale replaces."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class Suggests(Protocol):
    """The three calls of an Optuna trial that a space may use."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number in [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number in [low, high]."""


class Draw:
    """Draws settings by key, and keeps what it drew in `settings` and the domains it was asked for in `domains`."""

    def __init__(
        self,
        trial: Suggests,
        key: Callable[[str], str],
        wanted: Mapping[str, Sequence[Any]],
        replace: Mapping[str, Mapping[Any, Any]],
        width: int | None = None,
    ) -> None:
        self.settings: dict[str, Any] = {}
        self.domains: dict[str, list[Any] | str] = {}
        self._trial, self._key, self._wanted, self._replace = trial, key, wanted, replace
        self._width = width  # of the stored features: a wider data/feature_dim is not on offer

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        key = self._key(name)
        swap = self._replace.get(key, {})
        offered = list(dict.fromkeys(swap.get(choice, choice) for choice in choices))
        if key == "data/feature_dim" and self._width is not None:
            offered = [choice for choice in offered if choice is None or choice <= self._width] or [None]
        wanted = self._wanted.get(key)
        if wanted is not None:
            outside = [value for value in wanted if value not in offered]
            if outside:
                hint = "; --scale paper has the declared ones" if swap else "; --set it to one of these"
                raise ValueError(f"{key} must be among {offered}, got {outside[0]!r}{hint}")
            offered = list(wanted)
        self.domains[key] = offered
        return self._take(key, offered)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number in [low, high]."""
        key = self._key(name)
        self.domains[key] = f"{low} to {high}{' (log)' if log else ''}"
        if key in self._wanted:
            self.domains[key] = list(self._wanted[key])
            return float(self._wanted_number(key, low, high))
        return float(self._keep(key, self._trial.suggest_float(key, low, high, step=step, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number in [low, high]."""
        key = self._key(name)
        self.domains[key] = f"{low} to {high}{' (log)' if log else ''}"
        if key in self._wanted:
            self.domains[key] = list(self._wanted[key])
            return int(self._wanted_number(key, low, high))
        return int(self._keep(key, self._trial.suggest_int(key, low, high, step=step, log=log)))

    def setting(self, name: str, default: Any) -> Any:
        """What the user set for a setting that is no axis, for a space that depends on it."""
        values = self._wanted.get(self._key(name))
        return values[0] if values else default

    def _wanted_number(self, key: str, low: float, high: float) -> Any:
        for value in self._wanted[key]:
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ValueError(f"{key} must be a number from {low} to {high}, got {value!r}")
        return self._take(key, list(self._wanted[key]))

    def _take(self, key: str, offered: list[Any]) -> Any:
        return self._keep(key, offered[0] if len(offered) == 1 else self._trial.suggest_categorical(key, offered))

    def _keep(self, key: str, value: Any) -> Any:
        self.settings[key] = value
        return value
