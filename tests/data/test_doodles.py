"""What the procedural data set promises."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sbir.data.doodles import write
from sbir.data.doodles.captions import GERMAN, caption, labels
from sbir.data.doodles.card import colour_histograms
from sbir.data.doodles.categories import CATEGORIES, FAMILIES, SAME_RASTER, distance, min_distance
from sbir.data.doodles.photo import render
from sbir.data.doodles.sketch import BAD, DRAWERS, draw_sketch, drawer, rasterise
from sbir.data.readers import identities, read_dataset

CARD = json.loads((Path(write.__file__).parent / "card-demo-v1.json").read_text())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("doodles") / "demo"
    write.write_doodles(path)
    return path


def test_the_split_is_36_8_20_and_unseen_classes_combine_seen_parts() -> None:
    split = write.split("demo")
    assert [len(split[part]) for part in ("train", "val", "test")] == [36, 8, 20]
    assert len(CATEGORIES) == 64
    assert len(FAMILIES) == 12
    parts = {}
    for name, kind in CATEGORIES.items():
        drawn = [kind.parts(values) for values in kind.instances(8, np.random.default_rng(0))]
        parts[name] = {part.name for one in drawn for part in one}
    seen = set().union(*(parts[name] for name in split["train"]))
    for name in split["test"]:
        assert parts[name] <= seen, name
    counts = {
        name: Counter(part.name for part in kind.parts(kind.instances(1, np.random.default_rng(0))[0]))
        for name, kind in CATEGORIES.items()
    }
    assert all(counts[name] != counts[other] for name in split["test"] for other in split["train"])


def test_the_real_reader_serves_what_was_written(root: Path) -> None:
    items = identities(read_dataset(root).items)
    assert {name: int((items.domain == name).sum()) for name in ("photo", "sketch")} == {"photo": 1280, "sketch": 2560}
    held = (items.split == "held") & (items.domain == "photo")
    assert held.sum() == 72
    sketches = items.domain == "sketch"
    assert set(items.instance_id[sketches]) == set(items.instance_id[~sketches])


def test_instances_of_a_class_keep_their_distance_and_parameters_rank_perfectly() -> None:
    for name, kind in CATEGORIES.items():
        every = kind.instances(20, np.random.default_rng([3, 1]))
        for index, values in enumerate(every):
            gaps = [distance(values, other) for other in every]
            assert int(np.argmin(gaps)) == index, name
            assert sorted(gaps)[1] >= min_distance(values), name


def test_the_same_seed_draws_the_same_pictures(root: Path) -> None:
    for name in ("cat", "windmill"):
        values, stand = write.instance(name, 3, seed=0)
        of_photo = write.photo_id(name, 3)
        index = list(CATEGORIES).index(name)
        rng = np.random.default_rng([write.VERSION, 0, index, 3, 1])
        again = np.asarray(render(CATEGORIES[name].parts(values), stand, rng, 96), dtype=int)
        with Image.open(root / "photo" / name / f"{of_photo}.jpg") as picture:
            assert np.abs(np.asarray(picture, dtype=int) - again).mean() < 8  # JPEG loses a little
        lines = [json.loads(line) for line in (root / "strokes" / f"{name}.ndjson").read_text().splitlines()]
        written = next(line for line in lines if line["key_id"] == f"{of_photo}-1")
        sketch = draw_sketch(name, values, stand, written["drawer"], np.random.default_rng([1, 0, index, 3, 3]))
        assert written["drawing"][0][0] == np.round(sketch.strokes[0][:, 0] * 255, 1).tolist()
        raster = np.asarray(rasterise(sketch.strokes, drawer(sketch.drawer).pen, 96))
        with Image.open(root / "sketch" / name / f"{of_photo}-1.png") as picture:
            assert np.array_equal(np.asarray(picture), raster)


def test_colour_tells_almost_nothing_about_the_class(root: Path) -> None:
    names = sorted(CATEGORIES)
    ids = [(index, path) for index, name in enumerate(names) for path in sorted((root / "photo" / name).iterdir())]
    histograms = colour_histograms(root, [path.relative_to(root).as_posix() for _, path in ids])
    classes = np.array([index for index, _ in ids])
    fold = np.arange(len(ids)) % 2
    means = np.stack([histograms[(classes == one) & (fold == 0)].mean(0) for one in range(64)])
    nearest = ((histograms[fold == 1][:, None] - means) ** 2).sum(2).argmin(1)
    accuracy = float((nearest == classes[fold == 1]).mean())
    assert accuracy < 0.06, accuracy  # chance is 0.016


def test_drawers_differ_and_strokes_are_timed() -> None:
    kind = CATEGORIES["cat"]
    values = kind.instances(1, np.random.default_rng(0))[0]
    stand = {"mirror": 0.0, "turn": 0.0, "squash": 1.0, "size": 0.4, "x": 0.5, "y": 0.5}
    sketches = [draw_sketch("cat", values, stand, number, np.random.default_rng(5)) for number in range(DRAWERS)]
    pictures = [np.asarray(rasterise(one.strokes, 2, 64)) for one in sketches]
    assert len({picture.tobytes() for picture in pictures}) == DRAWERS
    for one in sketches:
        times = np.concatenate([stroke[:, 2] for stroke in one.strokes])
        assert (np.diff(times) >= 0).all()
        assert times[-1] > 100


def test_some_classes_differ_in_stroke_order_more_than_in_ink() -> None:
    stand = {"mirror": 0.0, "turn": 0.0, "squash": 1.0, "size": 0.4, "x": 0.5, "y": 0.5}
    for pair in SAME_RASTER:
        first, second = (
            draw_sketch(
                name, dict.fromkeys(("size", "stick", "handle", "hole", "rim"), 0.5), stand, 2, np.random.default_rng(1)
            )
            for name in pair
        )
        widths = [[float(np.ptp(stroke[:, 0])) for stroke in one.strokes] for one in (first, second)]
        assert (widths[0][0] > widths[0][-1]) != (widths[1][0] > widths[1][-1])


def test_about_six_in_a_hundred_sketches_are_bad(root: Path) -> None:
    lines = [json.loads(line) for path in (root / "strokes").iterdir() for line in path.read_text().splitlines()]
    share = np.mean([line["bad"] for line in lines])
    assert share == pytest.approx(BAD, abs=0.015)


def test_captions_in_two_languages_name_the_class_and_drop_attributes(root: Path) -> None:
    lines = [json.loads(line) for line in (root / "captions.jsonl").read_text().splitlines()]
    assert len(lines) == 1280
    assert all(line["class"].replace("_", " ") in line["en"] and GERMAN[line["class"]] in line["de"] for line in lines)
    lengths = {line["en"].count(",") for line in lines}
    assert lengths == {0, 1, 2, 3}
    assert set(GERMAN) == set(CATEGORIES)
    stand = {"mirror": 1.0, "turn": 0.0, "size": 0.4}
    assert caption("cat", stand, np.random.default_rng(1)) == caption("cat", stand, np.random.default_rng(1))


def test_between_5_and_20_in_a_hundred_pairs_share_a_label() -> None:
    sets = [set(labels(name)) for name in CATEGORIES]
    share = np.mean([bool(one & other) for one in sets for other in sets])
    assert 0.05 < share < 0.20


def test_the_card_belongs_to_this_generator_and_holds_every_row() -> None:
    assert CARD["version"] == write.VERSION
    for part in ("zero_shot", "seen"):
        assert list(CARD[part]) == ["chance", "raw", "mean removed", "ridge", "Procrustes", "oracle"]
    assert CARD["colour histogram"]["accuracy"] < 4 * CARD["colour histogram"]["chance"]


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size must be one of demo, full, got 'huge'"):
        write.write_doodles(tmp_path / "x", size="huge")  # type: ignore[arg-type]
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="exists"):
        write.write_doodles(tmp_path / "there")
