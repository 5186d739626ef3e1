"""The data sets that are recognised by their layout, each with its reader."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from sbir.data.dataset import Dataset
from sbir.data.sets import captions, folders, iapr, metric, qmul, quickdraw, tuberlin


class Known(NamedTuple):
    """How a data set is recognised and read."""

    is_there: Callable[[Path], bool]
    read: Callable[[Path, Mapping[str, str]], Dataset]
    variants: tuple[str, ...] = ()  # what its variant may choose


def _read_folders(root: Path, variant: Mapping[str, str]) -> Dataset:
    """Photos with sketches, or with captions where their language is named."""
    return captions.read_captions(root, variant) if "text" in variant else folders.read_folders(root, variant)


KNOWN: dict[str, Known] = {  # in the order in which a folder is tried
    "iapr": Known(iapr.is_iapr, iapr.read_iapr, ("text",)),
    "cub": Known(metric.is_cub, lambda root, _: metric.read_cub(root)),
    "cars": Known(metric.is_cars, lambda root, _: metric.read_cars(root)),
    "sop": Known(metric.is_sop, lambda root, _: metric.read_sop(root)),
    "inshop": Known(metric.is_inshop, lambda root, _: metric.read_inshop(root)),
    "qmul-v2": Known(qmul.is_v2, lambda root, _: qmul.read_v2(root)),
    "qmul-v1": Known(qmul.is_v1, qmul.read_v1, ("photo",)),
    "tuberlin-extended": Known(tuberlin.is_tuberlin, lambda root, _: tuberlin.read_tuberlin_extended(root)),
    "tuberlin": Known(tuberlin.is_tuberlin_sketches, lambda root, _: tuberlin.read_tuberlin(root)),
    "quickdraw": Known(quickdraw.is_quickdraw, quickdraw.read_quickdraw, ("sketch", "first")),
    "sketchy-extended": Known(folders.is_extended, folders.read_sketchy_extended, ("sketch", "photo")),
    "sketchy": Known(folders.is_sketchy, folders.read_sketchy, ("sketch", "photo")),
    "folders": Known(Path.is_dir, _read_folders, ("text",)),
}


def find(root: Path, name: str | None) -> tuple[str, Known]:
    """The data set called `name`, or the first whose layout a folder has."""
    if name is not None and name not in KNOWN:
        raise ValueError(f"a data set must be one of {', '.join(KNOWN)}, got {name}")
    return next((key, known) for key, known in KNOWN.items() if key == name or (name is None and known.is_there(root)))


def choices(text: str | None, name: str, known: Known) -> dict[str, str]:
    """A variant such as `sketch=tx_000000000010,photo=tx_000100000000` as names and values."""
    chosen = {}
    for part in (text or "").split(",") if text else ():
        key, equals, value = part.partition("=")
        if not equals or key not in known.variants:
            rule = f"{'=..., '.join(known.variants)}=..." if known.variants else "left out"
            raise ValueError(f"a variant of {name} must be {rule}, got {part!r}")
        chosen[key] = value
    return chosen
