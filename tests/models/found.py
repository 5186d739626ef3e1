"""Every method of the package, whichever file it is in: a new one is held to the contract without being listed."""

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module

import sbir.models
from sbir.models.method import Method


def methods_where(wanted: Callable[[type[Method]], bool]) -> list[type[Method]]:
    """By name."""
    found: dict[str, type[Method]] = {}
    for module in pkgutil.walk_packages(sbir.models.__path__, "sbir.models."):
        for value in vars(import_module(module.name)).values():
            is_method = isinstance(value, type) and issubclass(value, Method) and not inspect.isabstract(value)
            if is_method and wanted(value):
                found[value.__qualname__] = value
    return [found[name] for name in sorted(found)]
