"""Who is trained on, selected on and tested on: class-disjoint, generalised and seen-class splits."""

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sbir.data.items import DOMAINS, Array, Items, plural

Kind = Literal["zero_shot", "seen"]
SPECS = "stored, halves, halves:<seed>, zero_shot:<seed>, generalised:<seed> or seen:<seed>"


@dataclass(frozen=True)
class Split:
    """The split of each row: train, val, test, held (items of seen classes kept out of training), or empty."""

    rows: Array  # (n,) str
    kind: Kind  # whether test classes are unseen
    hash: str  # of (item, split) pairs, whatever their order


def assign(items: Items, spec: str) -> Split:
    """Split items as `spec` says: the store's own column, or one of the seeded splits.

    `zero_shot:<seed>` parts the classes, about 70/13/17 % into train, val and test, val never fewer than 8 where there
    are at least 24. `generalised:<seed>` is the same with 10 % of the photos of train classes and their sketches held
    out for the test gallery. `seen:<seed>` parts the photos of every class 70/10/20 %; sketches follow their photo.
    `halves` is the convention of deep metric learning: the first half of the classes, in the order of their names, is
    for training (of which a fixed part is val), the other half for test; `halves:<seed>` orders them at random.
    """
    name, _, seed = spec.partition(":")
    if name == "stored" and not seed:
        return _stored(items)
    if spec == "halves":
        seed = "0"
    if name not in ("zero_shot", "generalised", "seen", "halves") or not seed.isdecimal():
        raise ValueError(f"a split must be {SPECS}, got {spec}")
    rng = np.random.default_rng([int(seed), 20260])
    if name == "seen":
        rows = _by_photo(items, rng)
    else:
        rows = _by_half(items, rng, shuffled=spec != "halves") if name == "halves" else _by_class(items, rng)
        if name == "generalised":
            _hold(items, rows, rng)
    _check_sides(items, rows)
    return Split(rows, "seen" if name == "seen" else "zero_shot", split_hash(items.item_id, rows))


def class_parts(class_names: Iterable[str], rng: np.random.Generator, *, test: bool = True) -> dict[str, str]:
    """Class name -> split: about 13 % val (at least 8 of 24 or more), 17 % test (0 without `test`), the rest train."""
    names = sorted(class_names)
    count = len(names)
    num_val = max(8 if count >= 24 else 1, round(0.13 * count))
    num_test = max(1, round(0.17 * count)) if test else 0
    if count - num_val - num_test < 1:
        needed = 3 if test else 2
        raise ValueError(
            f"a class-disjoint split needs at least {needed} classes, got {count}; take seen:<seed> instead"
        )
    parts = ["val"] * num_val + ["test"] * num_test
    parts += ["train"] * (count - len(parts))
    return {names[position]: part for position, part in zip(rng.permutation(count), parts, strict=True)}


def split_hash(item_id: Array, rows: Array) -> str:
    """Sixteen hex digits over the (item, split) pairs, independent of the order of rows."""
    lines = sorted(f"{item}\t{part}\n" for item, part in zip(item_id, rows, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def _stored(items: Items) -> Split:
    rows = items.split
    missing = [part for part in ("train", "val", "test") if not (rows == part).any()]
    if missing:
        raise ValueError(
            f"the stored split must have train, val and test rows, {missing} are missing; take zero_shot:<seed>"
        )
    train, other = _classes(items, rows, "train"), _classes(items, rows, "val") | _classes(items, rows, "test")
    if both := train & other:
        if other - train:
            names = [items.class_names[number] for number in sorted(both)[:5]]
            raise ValueError(
                f"the classes of train and of val or test must be all different or all the same, got {len(both)} of "
                f"{len(other)} in both (such as {', '.join(names)}); mend the split file"
            )
        _check_instances(items, rows)
    elif shared := _classes(items, rows, "val") & _classes(items, rows, "test"):
        names = [items.class_names[number] for number in sorted(shared)[:5]]
        raise ValueError(
            f"unseen classes must be in val or in test, got {', '.join(names)} in both; mend the split file"
        )
    _check_sides(items, rows)
    return Split(rows, "seen" if both else "zero_shot", split_hash(items.item_id, rows))


def _classes(items: Items, rows: Array, part: str) -> set[int]:
    return set(items.class_id[rows == part].tolist())


def _check_instances(items: Items, rows: Array) -> None:
    known = (items.instance_id >= 0) & (rows != "")
    pairs = sorted(set(zip(items.instance_id[known].tolist(), rows[known].tolist(), strict=True)))
    for (one, first), (two, second) in itertools.pairwise(pairs):
        if one == two:
            row = int(np.argmax(items.instance_id == one))
            raise ValueError(
                f"sketches must be in the split of their photo, the instance of {items.item_id[row]} is in {first} and "
                f"in {second}; mend the split file"
            )


def _check_sides(items: Items, rows: Array) -> None:
    present = [domain for domain in DOMAINS if (items.domain == domain).any()]
    for part in ("train", "val", "test"):
        counts = {domain: int(((rows == part) & (items.domain == domain)).sum()) for domain in present}
        if present and min(counts.values()) == 0:
            raise ValueError(
                f"every split needs {' and '.join(plural(domain) for domain in present)}, {part} has "
                f"{' and '.join(map(str, counts.values()))}; take another split or more data"
            )


def _by_half(items: Items, rng: np.random.Generator, *, shuffled: bool) -> Array:
    names = sorted(items.class_names[number] for number in np.unique(items.class_id))
    if shuffled:
        names = [names[position] for position in rng.permutation(len(names))]
    middle = len(names) // 2
    parts = dict.fromkeys(names[middle:], "test") | class_parts(names[:middle], rng, test=False)
    by_id = np.array([parts.get(name, "") for name in items.class_names], dtype=object)
    return by_id[items.class_id]


def _by_class(items: Items, rng: np.random.Generator) -> Array:
    present = [items.class_names[number] for number in np.unique(items.class_id)]
    parts = class_parts(present, rng)
    by_id = np.array([parts.get(name, "") for name in items.class_names], dtype=object)
    return by_id[items.class_id]


def _hold(items: Items, rows: Array, rng: np.random.Generator) -> None:
    """Move 10 % of the photos of each train class, with their sketches, to "held"."""
    for number in sorted(_classes(items, rows, "train"), key=lambda number: items.class_names[number]):
        photos = _sorted_rows(items, (items.class_id == number) & (items.domain == "photo"))
        held = rng.permutation(photos)[: round(0.1 * len(photos))]
        rows[held] = "held"
        instances = items.instance_id[held]
        rows[(items.domain != "photo") & np.isin(items.instance_id, instances[instances >= 0])] = "held"


def _by_photo(items: Items, rng: np.random.Generator) -> Array:
    rows = np.full(len(items), "", dtype=object)
    for number in sorted(np.unique(items.class_id), key=lambda number: items.class_names[number]):
        of_class = items.class_id == number
        photos = _sorted_rows(items, of_class & (items.domain == "photo"))
        rows[photos] = _thirds(len(photos), rng)
        part_of = {int(items.instance_id[row]): rows[row] for row in photos if items.instance_id[row] >= 0}
        others = _sorted_rows(items, of_class & (items.domain != "photo"))
        alone = np.array([row for row in others if int(items.instance_id[row]) not in part_of], dtype=np.int64)
        rows[alone] = _thirds(len(alone), rng)
        for row in others:
            rows[row] = part_of.get(int(items.instance_id[row]), rows[row])
    return rows


def _thirds(count: int, rng: np.random.Generator) -> Array:
    """70/10/20 % of `count` as train, val and test, at least one each of test and val where there are three."""
    num_test = max(round(0.2 * count), int(count >= 3))
    num_val = max(round(0.1 * count), int(count >= 3))
    parts = ["test"] * num_test + ["val"] * num_val + ["train"] * (count - num_test - num_val)
    return np.array(parts, dtype=object)[rng.permutation(count)]


def _sorted_rows(items: Items, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows by item id, so that a split does not depend on the order in the store."""
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(items.item_id[rows].astype(str), kind="stable")]
