"""What a trial is called where people read it: in the live view, in W&B, in the report."""

from collections.abc import Iterable, Mapping
from typing import Any


def trial_name(settings: Mapping[str, Any], axes: Iterable[str]) -> str:
    """The axes that vary with their values, without the room of the key where that stays unambiguous.

    >>> trial_name({"method/latent": 512, "train/lr": 0.00031623}, ["method/latent", "train/lr"])
    'latent=512 lr=0.0003162'
    >>> trial_name({"method/margin": 1, "eval/margin": 2}, ["method/margin", "eval/margin", "method/unused"])
    'method/margin=1 eval/margin=2'
    """
    present = [axis for axis in axes if axis in settings]
    shorts = [axis.rsplit("/", 1)[-1] for axis in present]
    names = [short if shorts.count(short) == 1 else axis for axis, short in zip(present, shorts, strict=True)]
    return " ".join(f"{name}={readable(settings[axis])}" for name, axis in zip(names, present, strict=True))


def readable(value: Any) -> str:
    """A setting's value in few characters: four significant digits for a float, on and off for a bool.

    >>> [readable(value) for value in (0.00031623, 1.0, True, None, "s+e")]
    ['0.0003162', '1', 'on', 'none', 's+e']
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def readable_time(seconds: float) -> str:
    """A duration in at most two units.

    >>> [readable_time(seconds) for seconds in (7.4, 95, 3725, 180000)]
    ['7 s', '1 min 35 s', '1 h 02 min', '2 d 02 h']
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"
