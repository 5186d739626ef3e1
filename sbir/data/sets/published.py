"""Published splits by name: class lists as files in the package, and rules that are drawn with a fixed seed."""

import difflib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

import numpy as np

from sbir.data.dataset import Item
from sbir.data.splits import class_parts

STANDARD = "standard"  # the split that a data set's own lists give
GENERALISED = "generalised"
_SEED = [0, 20260]  # of every draw here


def letters(name: str) -> str:
    """A class name without case, blanks and signs, in which data sets spell it differently.

    >>> letters("hot-air_balloon") == letters("Hot Air Balloon")
    True
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def names() -> list[str]:
    """The names of all published splits."""
    listed = [path.name.removesuffix(".json").replace("-", ":", 1) for path in _folder() if path.name.count("-")]
    return sorted([*listed, *RULES])


def by_name(name: str, items: Sequence[Item]) -> list[str]:
    """The split of each item by a published split, whose class lists have to be in the data.

    Classes of the data that are in no list are not assigned (empty). Where a split has no validation part, a fixed
    eighth of its training classes is held out whole. With `+generalised` behind its name, a tenth of the photos of each
    training class is held for the gallery of the generalised protocol, with their sketches.
    """
    name, _, more = name.partition("+")
    parts = _parts(name, items)
    return _hold(items, parts) if more else parts


def is_published(name: str) -> bool:
    """Whether a split is called so, perhaps with `+generalised` behind it."""
    base, plus, more = name.partition("+")
    return base in names() and (not plus or (more == GENERALISED and base not in RULES))


def _parts(name: str, items: Sequence[Item]) -> list[str]:
    if name in RULES:
        return RULES[name](items)
    lists = class_lists(name)
    part_of = _matched(name, lists, sorted({item.class_name for item in items}))
    if "val" not in lists:
        train = [class_name for class_name, part in part_of.items() if part == "train"]
        part_of |= class_parts(train, np.random.default_rng(_SEED), test=False)
    return [part_of.get(item.class_name, "") for item in items]


def class_lists(name: str) -> dict[str, list[str]]:
    """The class lists of a published split: train, test and perhaps val."""
    path = files("sbir.data.sets").joinpath(f"classes/{name.replace(':', '-')}.json")
    lists: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))["split"]
    return lists


def standard(items: Sequence[Item]) -> list[str]:
    """The data set's own parts, with a validation part cut from train where it has none.

    That is about 13 % of the classes where those of train and test differ, else a tenth of each class's photos, with
    the sketches and texts that belong to them.
    """
    parts = [item.split for item in items]
    if not any(parts):
        raise ValueError(f"the split {STANDARD} needs a data set whose own lists have parts, these items have none")
    if "val" in parts:
        return parts
    classes = {part: {item.class_name for item in items if item.split == part} for part in ("train", "test")}
    if classes["train"] & classes["test"]:
        held = _draw(items, lambda count: max(1, round(0.1 * count)), part="train")
        return ["val" if item.split == "train" and item.instance in held else item.split for item in items]
    val = class_parts(classes["train"], np.random.default_rng(_SEED), test=False)
    return [val.get(item.class_name, item.split) for item in items]


def fine_grained(items: Sequence[Item]) -> list[str]:
    """The sizes of GDH's fine-grained split (Zhang et al. 2018, supplement): a tenth of the photos are unseen.

    Of Sketchy: 1 250 photos (10 a class) and 6 250 sketches (5 a photo) to test, 11 250 photos otherwise, as many of
    which validate as test. Which photos is not published: a draw of our own. Sketches follow their photo; photos
    without a sketch, and further sketches of test photos, are not used.
    """
    of_photo: dict[str, list[str]] = defaultdict(list)
    for item in items:
        if item.domain == "sketch" and item.instance is not None:
            of_photo[item.instance].append(item.item_id)
    paired = [item for item in items if item.instance in of_photo]
    test = _draw(paired, lambda count: max(1, round(0.1 * count)))
    val = _draw([item for item in paired if item.instance not in test], lambda count: max(1, round(count / 9)))
    spare = {sketch for instance in test for sketch in sorted(of_photo[instance])[5:]}
    part_of = {**dict.fromkeys(of_photo, "train"), **dict.fromkeys(val, "val"), **dict.fromkeys(test, "test")}
    return ["" if item.item_id in spare else part_of.get(str(item.instance), "") for item in items]


def half(items: Sequence[Item]) -> list[str]:
    """Half of the photos with their texts train (a tenth of them validate), the other half tests.

    The source (xiami2019) draws 10 000 training pairs of 19 999 and, independently, 2 000 queries and the rest as
    gallery, so that training pairs are in both; here none is.
    """
    test = _draw(items, lambda count: count - round(0.5 * count))
    rest = [item for item in items if item.instance not in test]
    val = _draw(rest, lambda count: max(1, round(0.1 * count)))
    part_of = {**dict.fromkeys(val, "val"), **dict.fromkeys(test, "test")}
    return [part_of.get(str(item.instance), "train") for item in items]


def _draw(items: Iterable[Item], how_many: Callable[[int], int], part: str | None = None) -> set[str]:
    """Instances drawn from each class's photos (of one part)."""
    by_class: dict[str, set[str]] = defaultdict(set)
    for item in items:
        if item.domain == "photo" and item.instance is not None and part in (None, item.split):
            by_class[item.class_name].add(item.instance)
    rng, drawn = np.random.default_rng(_SEED), set()
    for _, instances in sorted(by_class.items()):
        names = sorted(instances)
        drawn |= {names[position] for position in rng.permutation(len(names))[: how_many(len(names))]}
    return drawn


def _hold(items: Sequence[Item], parts: Sequence[str]) -> list[str]:
    """A tenth of the photos of each training class, and what belongs to them, as "held"."""
    by_class: dict[str, list[Item]] = defaultdict(list)
    for item, part in zip(items, parts, strict=True):
        if item.domain == "photo" and part == "train":
            by_class[item.class_name].append(item)
    rng = np.random.default_rng(_SEED)
    held, instances = set(), set()
    for _, photos in sorted(by_class.items()):
        ordered = sorted(photos, key=lambda item: item.item_id)
        for position in rng.permutation(len(ordered))[: round(0.1 * len(ordered))]:
            held.add(ordered[position].item_id)
            instances.add(ordered[position].instance)
    instances.discard(None)
    return [
        "held" if item.item_id in held or item.instance in instances else part
        for item, part in zip(items, parts, strict=True)
    ]


def _matched(name: str, lists: Mapping[str, Sequence[str]], found: Sequence[str]) -> dict[str, str]:
    """Class of the data -> part; a listed class that is not there is an error with the names that come near."""
    spelt = {letters(class_name): class_name for class_name in found}
    listed = [(class_name, part) for part, names in lists.items() for class_name in names]
    missing = [class_name for class_name, _ in listed if letters(class_name) not in spelt]
    if missing:
        near = difflib.get_close_matches(letters(missing[0]), list(spelt), n=3, cutoff=0.7)
        hint = f"; near it: {', '.join(spelt[one] for one in near)}" if near else ""
        raise ValueError(
            f"the split {name} needs its {len(listed)} classes, the data lack {len(missing)} of them such as "
            f"{missing[0]}{hint}; rename the folders or take another split"
        )
    twice = [letter for letter, count in Counter(letters(class_name) for class_name in found).items() if count > 1]
    if twice:
        raise ValueError(f"classes must differ in more than signs, {spelt[twice[0]]} is there in two spellings")
    return {spelt[letters(class_name)]: part for class_name, part in listed}


def _folder() -> Iterable[Traversable]:
    return files("sbir.data.sets").joinpath("classes").iterdir()


RULES: dict[str, Callable[[Sequence[Item]], list[str]]] = {
    "sketchy:fine_grained": fine_grained,
    "iapr:half": half,
    **{f"{name}:{STANDARD}": standard for name in ("cub", "cars", "sop", "inshop", "qmul-v1", "qmul-v2", "wikipedia")},
}
