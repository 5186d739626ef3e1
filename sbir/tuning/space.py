"""A declared sweep at one scale, with what the user fixed: checked keys and values, axes, declared rows."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from sbir.data.transform import TransformSettings
from sbir.models.method import Method
from sbir.training.settings import full_key, group, method_settings
from sbir.training.train_settings import TrainSettings
from sbir.tuning.draw import Draw, Suggests
from sbir.tuning.probe import Fixed, Noted, Random
from sbir.tuning.sweep import Sweep
from sbir.types import DataSpec

PROBES = 64  # random draws that show which axes a space function has


@dataclass(frozen=True)
class Declared:
    """A row that is run as it is declared."""

    label: str
    settings: dict[str, Any]
    replicate: int = 0  # rows with equal settings and replicate share one training


class Resolved:
    """What a sweep's trials are drawn from; `width` is that of the stored features, once it is known."""

    def __init__(
        self, sweep: Sweep, *, scale: str, wanted: Mapping[str, Sequence[Any]], width: int | None = None
    ) -> None:
        self.sweep, self.width = sweep, width
        demo = scale == "demo"
        self._replace = self._full(sweep.demo.replace) if demo else {}
        self._wanted = {full_key(key, sweep.method): list(values) for key, values in wanted.items()}
        self.fixed = self._full(sweep.fixed)
        scaled = self._full(sweep.demo.settings) if demo else {}
        self.constants = self._full(sweep.defaults) | scaled | self.fixed
        self.axes = self._probe()
        self.constants |= self._fixed()
        self.rows = [self._declared(label, row) for label, row in sweep.published.items()]
        unknown = [label for label in sweep.first if label not in sweep.published]
        if unknown:
            raise ValueError(f"`first` must name published rows, got {unknown[0]!r}; known: {list(sweep.published)}")

    def propose(self, trial: Suggests, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a trial: constants, drawn axes, and what a declared row says beside its axes."""
        declared = attributes.get("settings", {})
        if attributes.get("exact"):
            return {**self.constants, **declared}
        return {**self.constants, **self._draw(trial).settings, **declared}

    def allowed(self, labels: Iterable[str] | None = None) -> list[Declared]:
        """The declared rows (those of `labels`, in that order) that agree with what the user set and that the store
        can serve."""
        by_label = {row.label: row for row in self.rows}
        rows = self.rows if labels is None else [by_label[label] for label in labels]
        return [
            row
            for row in rows
            if all(row.settings.get(key, values[0]) in values for key, values in self._wanted.items())
            and row.label not in self.unserved
        ]

    def row_keys(self) -> set[str]:
        """Settings that declared rows name."""
        return {key for row in self.rows for key in row.settings}

    @property
    def unserved(self) -> list[str]:
        """Labels of the rows that need wider features than the store has."""
        width = self.width or sys.maxsize
        return [row.label for row in self.rows if (row.settings.get("data/feature_dim") or 0) > width]

    def ablation(self) -> list[Declared]:
        """The pinned best setting, with what the user set, and every setting that differs in one axis of choices."""
        if not self.sweep.best:
            rule = "--stage ablate needs a setting to differ from"
            raise ValueError(f"{rule}, sweep {self.sweep.name} declares none; pin one with Sweep(best=...)")
        best, defaults = self._declared("best", self.sweep.best), self._defaults()
        named = defaults | best.settings
        given = {key: values[0] for key, values in self._wanted.items() if named.get(key) not in values}
        best = replace(best, settings=best.settings | given)
        rows = [best]
        for key, domain in self.axes.items():
            choices = domain if isinstance(domain, list) else []
            others = [choice for choice in choices if choice != best.settings.get(key, defaults.get(key))]
            rows += [Declared(f"{key}={choice}", best.settings | {key: choice}) for choice in others]
        return rows

    def parameters(self, row: Declared) -> dict[str, Any]:
        """A row as a point of the space: every axis that it does not name has the method's default."""
        drawn = self._draw(Fixed(self._defaults() | row.settings)).settings
        outside = {key: value for key, value in row.settings.items() if key in drawn and drawn[key] != value}
        if outside:
            raise ValueError(f"row {row.label!r} must lie in the space, got {outside}; add the value to the axis")
        return drawn

    def place(
        self, settings: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, BaseDistribution], dict[str, Any]]:
        """A trial that has been run as a point of this space: parameters, their distributions, and all settings.

        An axis that its settings do not name has the method's default. Raises where the trial could not be run here.
        """
        defaults: dict[str, Any] = {f"data/{name}": value for name, value in vars(TransformSettings()).items()}
        defaults |= self._defaults()
        point = Noted({**defaults, **settings})
        now = self.propose(point, attributes)
        means = defaults | now
        for key, value in settings.items():
            if means.get(key) != value:
                raise ValueError(f"{key} = {value!r} and would now have {means.get(key)!r}")
        return point.params, point.distributions, now

    @property
    def varies(self) -> bool:
        """Whether two trials of a search can differ."""
        return any(not isinstance(domain, list) or len(domain) > 1 for domain in self.axes.values())

    def check_values(
        self, spec_of: Callable[[TransformSettings], DataSpec], check: Callable[[Method], None] = lambda _: None
    ) -> None:
        """Build every declared row and some random draws without memory, so that a bad value fails before any trial.

        `spec_of` says what a method will see of the data through such transforms; each that was built is put to
        `check`.
        """
        draws = [self._draw(Random(seed)).settings for seed in range(PROBES)]
        seen = set()
        for settings in [row.settings for row in self.allowed()] + draws:
            whole = {**self.constants, **settings}
            text = json.dumps(whole, sort_keys=True)
            if text not in seen:
                seen.add(text)
                grouped = group(whole)
                spec = spec_of(grouped.data)
                with torch.device("meta"):
                    built = self.sweep.method(spec, **grouped.method)
                check(built)

    def signature(self) -> str:
        """Changes with anything that changes which trials are run."""
        parts = [self.axes, self.constants, [[row.label, row.settings, row.replicate] for row in self.rows]]
        parts += [list(self.sweep.first), dict(self.sweep.run)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]

    def _full(self, mapping: Mapping[str, Any]) -> dict[str, Any]:
        return {full_key(key, self.sweep.method): value for key, value in mapping.items()}

    def _probe(self) -> dict[str, list[Any] | str]:
        axes: dict[str, list[Any] | str] = {}
        for seed in range(PROBES):
            axes.update(self._draw(Random(seed)).domains)
        return axes

    def _fixed(self) -> dict[str, Any]:
        fixed = {}
        for key, values in self._wanted.items():
            if key not in self.axes:
                if len(values) > 1:
                    raise ValueError(f"{key} is no axis of this sweep and so takes one value, got {values}")
                if values[0] != self.fixed.get(key, values[0]):
                    made = f"{self.sweep.label} is what it is by {key} = {self.fixed[key]!r}"
                    raise ValueError(f"{made}, got {values[0]!r}; leave it out")
                fixed[key] = values[0]
        return fixed

    def _defaults(self) -> dict[str, Any]:
        method = {f"method/{name}": value for name, value in method_settings(self.sweep.method).items()}
        train = {f"train/{name}": value for name, value in vars(TrainSettings()).items()}
        return {key: self._swapped(key, value) for key, value in {**method, **train, **self.constants}.items()}

    def _swapped(self, key: str, value: Any) -> Any:
        return self._replace.get(key, {}).get(value, value)

    def _declared(self, label: str, row: Mapping[str, Any]) -> Declared:
        settings = {key: value for key, value in row.items() if key != "replicate"}
        swapped = {key: self._swapped(key, value) for key, value in self._full(settings).items()}
        return Declared(label, swapped, row.get("replicate", 0))

    def _draw(self, trial: Suggests) -> Draw:
        draw = Draw(trial, lambda key: full_key(key, self.sweep.method), self._wanted, self._replace, self.width)
        space = self.sweep.space
        if callable(space):
            space(draw)
        else:
            for name, domain in space.items():
                _suggest(draw, name, domain)
        return draw


def wanted_by(sweeps: Sequence[Sweep], wanted: Mapping[str, Sequence[Any]]) -> list[dict[str, list[Any]]]:
    """What `--set` asks of each sweep: a key reaches every method that has the setting; one must have it."""
    found: list[dict[str, list[Any]]] = [{} for _ in sweeps]
    for key, values in wanted.items():
        problems = []
        for sweep, own in zip(sweeps, found, strict=True):
            try:
                own[full_key(key, sweep.method, run_keys=True)] = list(values)
            except ValueError as error:
                problems.append(error)
        if len(problems) == len(sweeps):
            raise problems[0]
    return found


def parse_set(text: str) -> tuple[str, list[Any]]:
    """`KEY=VALUE` or `KEY=V1,V2`: numbers, true/false/none and words.

    >>> parse_set("latent=1024,2048"), parse_set("decode=s+e"), parse_set("deeper=true")
    (('latent', [1024, 2048]), ('decode', ['s+e']), ('deeper', [True]))
    """
    key, sign, value = text.partition("=")
    if not sign or not key or not value:
        raise ValueError(f"--set takes KEY=VALUE or KEY=VALUE,VALUE, got {text!r}")
    return key.strip(), [_parse_value(word.strip()) for word in value.split(",")]


def _parse_value(word: str) -> Any:
    words = {"true": True, "false": False, "none": None, "null": None}
    if word.lower() in words:
        return words[word.lower()]
    for number in (int, float):
        try:
            return number(word)
        except ValueError:
            continue
    return word


def _suggest(draw: Draw, name: str, domain: Any) -> None:
    if isinstance(domain, FloatDistribution):
        draw.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
    elif isinstance(domain, IntDistribution):
        draw.suggest_int(name, domain.low, domain.high, step=domain.step, log=domain.log)
    elif isinstance(domain, str) or not isinstance(domain, Sequence):
        raise ValueError(f"the domain of {name} must be a list of choices or an Optuna distribution, got {domain!r}")
    else:
        draw.suggest_categorical(name, domain)
