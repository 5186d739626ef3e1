"""Settings by their prefixed keys: `method/x`, `train/x`, `data/x` belong to a trial, the rest to the whole run."""

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sbir.data.transform import TransformSettings
from sbir.models.method import Method
from sbir.training.train_settings import TrainSettings

RUN_KEYS = ("data/split", "data/query", "eval/protocol", "eval/k", "eval/metric", "eval/lambda", "eval/centre")


@dataclass(frozen=True)
class Settings:
    """One trial's settings, each with its owner."""

    method: Mapping[str, Any]  # keyword arguments of the method's constructor
    train: TrainSettings
    data: TransformSettings


def group(settings: Mapping[str, Any]) -> Settings:
    """Hand every setting to its owner, which checks its value."""
    parts: dict[str, dict[str, Any]] = {"method": {}, "train": {}, "data": {}}
    for key, value in settings.items():
        prefix, _, name = key.partition("/")
        parts[prefix][name] = value
    return Settings(parts["method"], TrainSettings(**parts["train"]), TransformSettings(**parts["data"]))


def method_settings(method: type[Method]) -> dict[str, Any]:
    """The settings that a method's constructor takes, with their defaults."""
    parameters = inspect.signature(method).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def full_key(key: str, method: type[Method], *, run_keys: bool = False) -> str:
    """The prefixed form of a key (a bare one is the method's); raises on one that nothing reads.

    >>> from sbir.models.method import Method
    >>> full_key("train/stpes", Method)
    Traceback (most recent call last):
    ValueError: a setting must be one that is read, got 'train/stpes'; did you mean 'train/steps'?
    """
    key = key if "/" in key else f"method/{key}"
    known = [f"method/{name}" for name in method_settings(method)]
    known += [f"train/{field.name}" for field in fields(TrainSettings)]
    known += [f"data/{field.name}" for field in fields(TransformSettings)]
    known += RUN_KEYS if run_keys else ()
    if key not in known:
        close = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        raise ValueError(f"a setting must be one that is read, got {key!r}; {hint}")
    return key
