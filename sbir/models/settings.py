"""Checks of constructor settings: rule, value, fix, before anything is built."""

import inspect
from collections.abc import Sequence
from typing import Any, Literal

from sbir.types import DataSpec, Pairing

PairingSetting = Literal["auto", "paired", "unpaired"]


def check(rule: bool, text: str) -> None:
    """Raise `ValueError` with the text (rule, value, fix) unless the rule holds."""
    if not rule:
        raise ValueError(text)


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise unless `value` is one of the choices.

    >>> check_choice("decode", "se", ("e", "s", "s+e"))
    Traceback (most recent call last):
    ValueError: decode must be one of e, s, s+e, got 'se'
    """
    check(value in choices, f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_range(low: float, high: float = float("inf"), **values: float) -> None:
    """Raise unless every value lies in [low, high]; NaN lies nowhere.

    >>> check_range(0, kl_weight=-1.0)
    Traceback (most recent call last):
    ValueError: kl_weight must be 0 or more, got -1.0
    """
    for name, value in values.items():
        rule = f"{low} or more" if high == float("inf") else f"between {low} and {high}"
        check(low <= value <= high, f"{name} must be {rule}, got {value}")


def check_positive(**values: float) -> None:
    """Raise unless every value is above 0 and finite.

    >>> check_positive(penalty=0.0)
    Traceback (most recent call last):
    ValueError: penalty must be above 0 and finite, got 0.0
    """
    for name, value in values.items():
        check(0 < value < float("inf"), f"{name} must be above 0 and finite, got {value}")


def check_dropout(dropout: float) -> None:
    """Raise unless it is a share of units that leaves some."""
    check(0 <= dropout < 1, f"dropout must be 0 or more and below 1, got {dropout}")


def check_unused(method: type, reason: str, **values: Any) -> None:
    """Raise where a setting without effect was given another value than its default in the method's signature."""
    for name, value in values.items():
        default = inspect.signature(method).parameters[name].default
        check(value == default, f"{name} has no effect with {reason}, got {value!r}; leave it at {default!r}")


def resolve_pairing(pairing: PairingSetting, spec: DataSpec) -> Pairing:
    """ "auto" is paired wherever the data have pairs; asking for pairs that are not there is an error."""
    check_choice("pairing", pairing, ("auto", "paired", "unpaired"))
    missing = "pairing must be auto or unpaired on data without pairs, got 'paired'; set it to unpaired"
    check(pairing != "paired" or spec.paired, missing)
    return "paired" if pairing != "unpaired" and spec.paired else "unpaired"


def feature_widths(spec: DataSpec) -> tuple[int, int]:
    """Width of the query's and of the gallery's `feature`."""
    return spec.query["feature"][0], spec.gallery["feature"][0]


def common_width(spec: DataSpec) -> int:
    """The one width of both sides' features; raises where features of two backbones cannot be compared."""
    query, gallery = feature_widths(spec)
    rule = "query and gallery features must have one width to be compared"
    check(query == gallery, f"{rule}, got {query} and {gallery}; map one to the other (ridge) or use one backbone")
    return query


def check_decodable(spec: DataSpec) -> None:
    """Raise on features with negative entries, which a decoder that ends in a ReLU cannot give."""
    rule = "features must not be negative, since decoders end in a ReLU as the source's do"
    check(not spec.signed, f"{rule}, got negative ones; take features after a ReLU, without data/centre or data/pca")
