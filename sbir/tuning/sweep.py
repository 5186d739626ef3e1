"""The declaration of a sweep: which method, which axes, which rows of the source."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution

from sbir.models.method import Method
from sbir.tuning.draw import Draw

Domain = Sequence[Any] | FloatDistribution | IntDistribution
Space = Mapping[str, Domain] | Callable[[Draw], None]


@dataclass(frozen=True)
class Demo:
    """What `--scale demo` changes so that a laptop's CPU can follow; every result of it is marked demo scale."""

    settings: Mapping[str, Any] = field(default_factory=dict)  # key -> value
    replace: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)  # axis -> {declared value: value used}


@dataclass(frozen=True)
class Sweep:
    """A sweep over the settings of one method, as a script declares it.

    Keys are settings of the method's constructor, or carry a prefix (`train/lr`, `data/feature_dim`). `space` is a
    dict of domains (a list of choices, or an Optuna distribution) or a function that draws from a `Draw`, for
    conditional axes.
    `published` are the source's rows, label -> settings: run exactly by `--stage published`, and those named in `first`
    before Optuna's own suggestions in a search. `best` pins settings that a search found, for `--stage ablate`.
    `defaults` take the place of the trainer's and the method's own at every scale, unless the user sets others.
    `variants` are settings of retrieval alone, scored on the same weights beside each published row.
    `run` are settings of the whole run (`data/split`, `eval/metric`) that hold unless the user sets them, or another
    method of the run declares others.
    `untrained` is what the row of the network before training is called, of sweeps that begin with the same one.
    `fixed` settings hold for every trial: two sweeps over one class with different `fixed` and `key` are two methods.
    """

    method: type[Method]
    space: Space
    title: str = ""
    key: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    first: Sequence[str] = ()
    best: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    demo: Demo = field(default_factory=Demo)
    run: Mapping[str, Any] = field(default_factory=dict)
    untrained: str = ""

    @property
    def name(self) -> str:
        """The method's name in keys, folders and files: `key`, or from the class, `CrossModal` -> `cross_modal`."""
        return self.key or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.method.__name__).lower()

    @property
    def label(self) -> str:
        """What tables call the method."""
        return self.title or self.method.__name__
