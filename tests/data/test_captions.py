"""Photos with captions: read by language, stored with their labels, split with their photo, and scored both ways."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sbir.data.dataset import identities, told_columns
from sbir.data.feed import Columns, make_feed
from sbir.data.items import Items, Payload
from sbir.data.loader import Shared
from sbir.data.protocol import make_protocol, partition, reverse
from sbir.data.readers import read_dataset
from sbir.data.smoke import write_smoke_store
from sbir.data.splits import assign
from sbir.data.store import verify_store
from sbir.data.store_write import write_store
from sbir.data.transform import TransformSettings
from sbir.features.extract import extract
from sbir.metrics.identity import Identity
from sbir.metrics.retrieval import retrieve
from sbir.models.method import Method
from sbir.training.evaluate import evaluate
from sbir.types import DataSpec, Rows, Views
from tests.data import miniatures

CLASSES, PHOTOS = ("ant", "bee", "cat"), 4
Line = dict[str, Any]


def line(name: str, number: int) -> Line:
    index = CLASSES.index(name)
    words = {"en": f"a {name} no. {number}", "de": f"größer: {name} {number}"}
    return {"id": f"{name}_{number}", "class": name, **words, "labels": [index, 3 + (index > 0)]}


def captioned(root: Path, change: Callable[[list[Line]], None] = lambda _: None) -> Path:
    """Three classes of four photos, one photo more without a caption, and sketches that nobody asks for."""
    for name in CLASSES:
        names = [f"photo/{name}/{name}_{number}.jpg" for number in range(PHOTOS)]
        miniatures.picture(root, *names, f"photo/{name}/spare.jpg", f"sketch/{name}/{name}_0-1.png")
    found = [line(name, number) for name in CLASSES for number in range(PHOTOS)]
    change(found)
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found)
    (root / "captions.jsonl").write_text(text, encoding="utf-8")
    return root


def test_captions_of_one_language_stand_beside_their_photos(tmp_path: Path) -> None:
    dataset = read_dataset(captioned(tmp_path), variant="text=de")
    assert (len(dataset.items), dataset.domains, dataset.language) == (24, ("photo", "text"), "de")
    assert dataset.label_names == ("0", "1", "2", "3", "4")
    text = next(item for item in dataset.items if item.item_id == "captions.jsonl/de/bee/bee_2")
    photo = next(item for item in dataset.items if item.item_id == "photo/bee/bee_2.jpg")
    assert text.text == "größer: bee 2"
    assert (text.instance, text.labels, text.split) == (photo.instance, photo.labels, photo.split)
    assert photo.labels == (1, 4)


def test_without_a_language_the_same_folder_has_sketches(tmp_path: Path) -> None:
    assert {item.domain for item in read_dataset(captioned(tmp_path)).items} == {"photo", "sketch"}


def drop(lines: list[Line], key: str) -> None:
    del lines[5][key]


@pytest.mark.parametrize(
    ("change", "variant", "text"),
    [
        (lambda lines: None, "text=fr", "line 1 has en, de, got fr"),
        (lambda lines: lines[5].update(de=" "), "text=de", "line 6 has en, de, got de"),
        (lambda lines: lines[5].update(id="nobody"), "text=de", "line 6 must describe a photo, .* photo/bee/nobody"),
        (lambda lines: lines.append(lines[0]), "text=de", "line 13 must describe a photo"),
        (lambda lines: lines[5].update(labels=["x"]), "text=en", r"line 6: labels must be a list .* got \['x'\]"),
        (lambda lines: drop(lines, "class"), "text=en", 'line 6 must be a JSON object with "id" and "class"'),
    ],
)
def test_bad_captions_are_named_by_their_line(
    tmp_path: Path, change: Callable[[list[Line]], None], variant: str, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        read_dataset(captioned(tmp_path, change), variant=variant)


def test_lines_that_are_no_json_and_a_missing_file_are_named(tmp_path: Path) -> None:
    root = captioned(tmp_path)
    (root / "captions.jsonl").write_text("{]\n")
    with pytest.raises(ValueError, match="line 1 must be one JSON object"):
        read_dataset(root, variant="text=en")
    (root / "captions.jsonl").unlink()
    with pytest.raises(ValueError, match=r"needs the file .*captions\.jsonl"):
        read_dataset(root, variant="text=en")


@pytest.mark.usefixtures("ray_session")
def test_captions_are_extracted_with_the_names_of_their_labels_and_split_with_their_photo(tmp_path: Path) -> None:
    root = captioned(tmp_path / "data")
    extract(root, tmp_path / "store", backbone="none", images=8, workers=1, variant="text=de")
    store = verify_store(tmp_path / "store")
    assert store.manifest["label_names"] == ["0", "1", "2", "3", "4"]
    assert store.manifest["given"] == "images of 8 px; texts (de); several labels an item and text-photo pairs"
    items = store.items()
    parts = assign(items, "seen:0").rows
    for instance in np.unique(items.instance_id):
        assert len(set(parts[items.instance_id == instance])) == 1


def labelled(path: Path) -> Items:
    """The miniature of IAPR TC-12 as a store of the photos' numbers in place of pictures, with labels of our own."""
    dataset = read_dataset(miniatures.iapr(path / "data", count=42), split="iapr:half")
    rows = identities(dataset.items)
    feature = np.array([[float(item.instance or 0), 1.0] for item in dataset.items], np.float32)
    numbers = [int(item.instance or 0) for item in dataset.items]
    tags = np.array([[number % 5 == tag for tag in range(5)] + [number % 3 == 0] for number in numbers], np.uint8)
    payload = {"feature": Payload([feature]), **told_columns(dataset.items), "labels": Payload([tags])}
    write_store(path / "store", replace(rows, payload=payload), dataset="iapr", synthetic=False, given="numbers")
    return Shared.mapped(path / "store").items()


@pytest.mark.parametrize("name", [None, "overlapping"])
def test_texts_and_photos_are_scored_both_ways_on_their_labels(tmp_path: Path, name: str | None) -> None:
    items = labelled(tmp_path)
    split = assign(items, "stored")
    made = make_protocol(
        items, split, split_spec="stored", content_hash="x", synthetic=False, select="map_all", query="text", name=name
    )
    rows = partition(items, split, made, "test")
    back = reverse(items, rows, made)
    assert back is not None
    assert set(items.domain[back.query]) == {"text"}
    assert set(items.domain[back.gallery]) == {"photo"}
    assert (items.instance_id[back.gallery] == items.instance_id[rows.query]).all()
    assert set(items.instance_id[back.query]) == set(items.instance_id[rows.gallery])
    feed = make_feed(Columns(items), rows, ("feature",), ("feature",), TransformSettings())
    found = evaluate(Numbers(feed.spec()), feed, made)
    views, tags = items.payload["feature"].take(np.arange(len(items))), items.payload["labels"].take

    def identity(of: np.ndarray) -> Identity:
        labels, instances = (torch.from_numpy(column[of]) for column in (items.class_id, items.instance_id))
        return Identity(labels, instances, torch.from_numpy(tags(of) > 0))

    expected = retrieve(
        {"feature": torch.from_numpy(views[back.gallery]).sin()},
        {"feature": torch.from_numpy(views[back.query])},
        identity(back.gallery),
        identity(back.query),
        distance="euclidean",
        k=made.k,
        select="map_all",
    )
    for metric, values in expected.per_query.items():
        assert torch.equal(found.per_query[f"reverse_{metric}"], values), metric
    assert found.means["reverse_map_all"] != found.means["map_all"]


class Numbers(Method):
    """Texts and photos by a number of theirs, which photos bend."""

    distance = "euclidean"

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()

    def embed_query(self, rows: Rows) -> Views:
        return {"feature": rows["feature"]}

    def embed_gallery(self, rows: Rows) -> Views:
        return {"feature": rows["feature"].sin()}


def test_the_sources_protocol_searches_training_items_and_never_a_querys_own(tmp_path: Path) -> None:
    items = labelled(tmp_path)
    split = assign(items, "stored")

    def made(name: str | None, gallery: str = "photo") -> Any:
        return make_protocol(
            items,
            split,
            split_spec="stored",
            content_hash="x",
            synthetic=False,
            query="text",
            gallery=gallery,
            name=name,
        )

    honest, source = made(None), made("overlapping")
    assert honest.fingerprint() != source.fingerprint()
    assert "of training too" in str(source.lines()["gallery"])
    apart, mixed = partition(items, split, honest, "test"), partition(items, split, source, "test")
    assert not set(items.instance_id[apart.train_query]) & set(items.instance_id[apart.gallery])
    assert set(items.instance_id[mixed.train_query]) & set(items.instance_id[mixed.gallery])
    assert len(mixed.query) == 4  # a tenth of 40 texts
    assert not set(items.instance_id[mixed.query]) & set(items.instance_id[mixed.gallery])
    assert len(mixed.query) + len(mixed.gallery) == 40
    with pytest.raises(ValueError, match="protocol overlapping is one of texts and photos, got texts for texts"):
        made("overlapping", "text")


def test_the_smoke_store_has_texts_where_they_are_asked_for(tmp_path: Path) -> None:
    write_smoke_store(tmp_path / "store", texts=True)
    items = verify_store(tmp_path / "store").items()
    assert set(items.payload) == {"image", "labels", "text"}
    is_text = items.domain == "text"
    assert items.payload["text"].take(np.flatnonzero(is_text)).any(1).all()
    assert not items.payload["text"].take(np.flatnonzero(~is_text)).any()
    tags = items.payload["labels"].take(np.arange(len(items)))
    assert (tags.sum(1) == 2).all()
    order = np.lexsort((is_text, items.instance_id))
    assert (tags[order[::2]] == tags[order[1::2]]).all()
