"""Photos by texts between features: texts' own column and width, the baselines, and the wording beside the figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sbir.data.feed import Columns, make_feed
from sbir.data.items import Items, Payload
from sbir.data.loader import Shared
from sbir.data.protocol import make_protocol, partition
from sbir.data.splits import assign
from sbir.data.store_write import write_store
from sbir.data.transform import TransformSettings
from sbir.models.direct_regression import DirectRegression
from sbir.models.domain_migration import DomainMigrationHashing
from sbir.models.linear_map import LinearMap
from sbir.models.siamese import Siamese
from sbir.training.baselines import score_baselines
from sbir.tuning.options import parse
from sbir.tuning.setup import Setup
from sbir.tuning.sweep import Sweep

CLASSES, PAIRS, PHOTO, TEXT = 12, 6, 10, 7


def stored(path: Path, *, own: bool = True) -> Path:
    """Photos around class means with labels, and texts whose features are another linear map of the same things.

    With `own` the texts' stand in `text_feature`, else there are none.
    """
    rng = np.random.default_rng(0)
    class_id = np.repeat(np.arange(CLASSES), PAIRS)
    things = rng.normal(size=(CLASSES, 4))[class_id] + 0.3 * rng.normal(size=(len(class_id), 4))
    feature, text = np.zeros((2 * len(things), PHOTO), np.float32), np.zeros((2 * len(things), TEXT), np.float32)
    feature[: len(things)] = things @ rng.normal(size=(4, PHOTO))
    text[len(things) :] = things @ rng.normal(size=(4, TEXT))
    items = Items(
        item_id=np.array([f"{domain}/{row}" for domain in ("photo", "text") for row in range(len(class_id))]),
        domain=np.repeat(["photo", "text"], len(class_id)),
        class_id=np.tile(class_id, 2),
        instance_id=np.tile(np.arange(len(class_id)), 2),
        split=np.tile(np.repeat(["train", "val", "test"], [6 * PAIRS, 3 * PAIRS, 3 * PAIRS]), 2),
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        payload={"feature": Payload([feature])} | ({"text_feature": Payload([text])} if own else {}),
    )
    write_store(path, items, dataset="pairs", synthetic=True, given="numbers; class labels and text-photo pairs")
    return path


def asked(store: Path, method: type[Any] = DirectRegression, *more: str) -> Setup:
    words = ["--data", str(store), "--smoke", "--set", "data/query=text", *more]
    return Setup([Sweep(method=method, space={})], parse("x.py", None, words))


def test_a_methods_feature_of_texts_is_their_own_column_and_that_of_photos_stays(tmp_path: Path) -> None:
    items = Shared.mapped(stored(tmp_path / "store")).items()
    split = assign(items, "stored")
    protocol = make_protocol(
        items, split, split_spec="stored", content_hash="x", synthetic=True, select="map_all", query="text"
    )
    rows = partition(items, split, protocol, "test")
    feed = make_feed(Columns(items), rows, ("feature",), ("feature",), TransformSettings(centre=True))
    spec = feed.spec()
    assert (spec.query["feature"], spec.gallery["feature"], spec.paired) == ((TEXT,), (PHOTO,), True)
    for take, fitted, wanted, column in (
        (feed.query, rows.train_query, rows.query, "text_feature"),
        (feed.gallery, rows.train_gallery, rows.gallery, "feature"),
    ):
        numbers = items.payload[column].take
        expected = torch.from_numpy(numbers(wanted)) - torch.from_numpy(numbers(fitted)).mean(0)
        torch.testing.assert_close(take(wanted)["feature"], expected)
    baselines = {one.row: one for one in score_baselines(Columns(items), split, protocol)}
    assert list(baselines) == ["ridge"]  # the others compare features of one width
    assert baselines["ridge"].given == "text-photo pairs"
    assert baselines["ridge"].test.means["map_all"] > 0.6  # linear in truth; chance is 0.33
    assert "reverse_map_all" in baselines["ridge"].test.means
    none = Shared.mapped(stored(tmp_path / "none", own=False)).items()
    assert score_baselines(Columns(none), split, protocol) == []  # rather than figures of zeros


def test_a_sweep_between_features_takes_texts_on_request_and_says_so(tmp_path: Path) -> None:
    setup = asked(stored(tmp_path / "store"))
    assert setup.domains == ("text", "photo")
    assert setup.columns == {"feature", "text_feature"}
    assert setup.protocol.lines()["query"] == "texts"
    assert setup.given("direct_regression", {}) == "text-photo pairs"
    assert asked(tmp_path / "store", LinearMap).given("linear_map", {}) == "text-photo pairs"


def test_texts_without_features_and_methods_that_need_one_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs features of texts, the store has none; .* --text-backbone hf:NAME"):
        asked(stored(tmp_path / "none", own=False))
    with pytest.raises(ValueError, match="must have one width to be compared, got 7 and 10"):
        asked(stored(tmp_path / "store"), Siamese)
    with pytest.raises(ValueError, match="data/query must be one of sketch, text, got photo"):
        asked(tmp_path / "store", DirectRegression, "--set", "data/query=photo")
    with pytest.raises(ValueError, match="data/query=text is for methods between features, got domain_migration"):
        asked(tmp_path / "store", DomainMigrationHashing)
    with pytest.raises(ValueError, match=r"this needs sketches, .* holds photos and texts; take another --data"):
        Setup([Sweep(method=DirectRegression, space={})], parse("x.py", None, ["--data", str(tmp_path / "store")]))
