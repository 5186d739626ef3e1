"""IAPR TC-12: photos with descriptions in two languages (Grubinger et al. 2006) and SAIAPR's labels."""

import re
from collections.abc import Mapping
from pathlib import Path

from sbir.data.dataset import Dataset, Item
from sbir.data.sets.files import inside, number, rows, text_of

LANGUAGES = ("eng", "ger")
LABELS = ("saiapr_tc-12", "saiaprtc12ok/benchmark/saiapr_tc-12")
_TAG = re.compile(r"<([A-Z]+)>([^<]*)</\1>")


def is_iapr(root: Path) -> bool:
    """Whether the folder of annotations is there."""
    return any((root / f"iaprtc12/annotations_complete_{language}").is_dir() for language in LANGUAGES)


def read_iapr(root: Path, variant: Mapping[str, str]) -> Dataset:
    """Photos and their descriptions (`variant` `text=ger`; English otherwise), both with the photo's labels.

    Only photos with both are kept: 19 999 of 20 000, 255 labels. Items have no classes but labels, so that there is
    one class. Label ids of SAIAPR (`labels.txt`, third field) become positions in the order of their numbers.
    """
    language = variant.get("text", LANGUAGES[0])
    folder = root / f"iaprtc12/annotations_complete_{language}"
    if language not in LANGUAGES or not folder.is_dir():
        raise ValueError(f"variant text must be one of {', '.join(LANGUAGES)} with a folder {folder}, got {language}")
    labels = _labels(root)
    names = sorted({label for found in labels.values() for label in found})
    position = {label: place for place, label in enumerate(names)}
    items: list[Item] = []
    for file in sorted(folder.glob(f"*/*.{language}")):
        if file.stem in labels and not file.name.startswith("."):
            items += _pair(root, file, tuple(sorted(position[label] for label in labels[file.stem])))
    return Dataset(
        "iapr", root, False, tuple(items), domains=("photo", "text"), least_classes=1,
        label_names=tuple(str(name) for name in names), language=language,
    )  # fmt: skip


def _pair(root: Path, file: Path, labels: tuple[int, ...]) -> tuple[Item, Item]:
    """A photo and its description."""
    tags = dict(_TAG.findall(text_of(file, "cp1252")))
    if missing := [tag for tag in ("DESCRIPTION", "IMAGE") if tag not in tags]:
        raise ValueError(f"{file} must have the tags DESCRIPTION and IMAGE, {' and '.join(missing)} missing")
    photo = inside(root / "iaprtc12", tags["IMAGE"].strip(), source=file)
    if photo.stem != file.stem:
        raise ValueError(f"{file} must describe the photo of its own number, got {tags['IMAGE'].strip()}")
    text = " ".join(tags["DESCRIPTION"].split())
    if not text:
        raise ValueError(f"{file}: DESCRIPTION must be a text, got an empty one")
    photo_id, text_id = (path.relative_to(root).as_posix() for path in (photo, file))
    return (
        Item(photo_id, "photo", "iapr", file.stem, str(photo), labels=labels),
        Item(text_id, "text", "iapr", file.stem, str(file), text=text, labels=labels),
    )


def _labels(root: Path) -> dict[str, set[int]]:
    """Image number -> label ids, of all folders."""
    folder = next((root / name for name in LABELS if (root / name).is_dir()), None)
    if folder is None:
        raise ValueError(f"IAPR TC-12 needs SAIAPR's labels in {LABELS[0]}/<00..40>/labels.txt, {root} has none")
    labels: dict[str, set[int]] = {}
    for file in sorted(folder.glob("*/labels.txt")):
        for image, _, label in rows(file, 3):
            labels.setdefault(image, set()).add(number(file, label.split()[0]))
    return labels
