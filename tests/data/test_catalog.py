import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sbir.cli import main
from sbir.commands.cite import entries
from sbir.data.sets import catalog
from sbir.data.sets.known import KNOWN
from sbir.data.sets.published import class_lists, names
from tests.data import miniatures


def test_every_data_set_that_is_read_is_listed_with_its_splits() -> None:
    listed = catalog.entries()
    assert set(KNOWN) - {"folders"} <= set(listed)
    assert {split for entry in listed.values() for split in entry.splits} == set(names())
    for name in listed:
        text = catalog.describe(name)
        assert all(f"{word}:" in text for word in ("files", "where", "licence", "ImageNet"))


def test_published_counts_of_the_parts_add_up() -> None:
    """Figures that papers give for train and test parts, against the totals in the catalog."""
    photos = {name: entry.counts.get("photo") for name, entry in catalog.entries().items()}
    assert photos["sketchy-extended"] == 62_549 + 10_453 == 12_500 + 60_502
    assert catalog.entry("sketchy").counts["sketch"] == 62_787 + 12_694
    assert photos["cub"] == 5_864 + 5_924
    assert photos["cars"] == 8_054 + 8_131
    assert (photos["sop"], catalog.entry("sop").counts["class"]) == (59_551 + 60_502, 11_318 + 11_316)
    assert photos["inshop"] == 25_882 + 14_218 + 12_612
    assert photos["qmul-v1"] == 304 + 115 + 200 + 97
    assert photos["wikipedia"] == 2_173 + 693


@pytest.mark.parametrize("split", [name for name in names() if name.partition(":")[2] in ("eccv18", "sake", "seed")])
def test_no_class_of_a_published_split_is_in_two_parts(split: str) -> None:
    lists = class_lists(split)
    every = [name for part in lists.values() for name in part]
    assert len(every) == len(set(every)) == catalog.entry(split.partition(":")[0]).counts["class"]


def test_a_whole_sketchy_has_all_classes_and_is_told_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = miniatures.sketchy(tmp_path)
    assert main(["data", "check", "sketchy-extended", str(root)]) == 2
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "ok  classes: 125 of 125", "NOT photos: 250 of 73002", "NOT sketches: 250 of 75481",
    ]  # fmt: skip
    assert shown.err.endswith("is not all of sketchy-extended: 250 of 73002 photos; 250 of 75481 sketches\n")


def test_missing_and_unknown_classes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = miniatures.tuberlin(tmp_path, {"airplane": "airplane", "horze": "horze"})
    assert main(["data", "check", "tuberlin-extended", str(root)]) == 2
    shown = capsys.readouterr().out
    assert "NOT missing classes: alarm clock, angel," in shown
    assert "NOT unknown classes: horze" in shown


def test_a_folder_that_is_all_there_ends_with_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = catalog.Entry("x", "x", "x", "x", "x", "", [], counts={"class": 5, "photo": 10})
    monkeypatch.setattr(catalog, "entry", lambda name: whole)
    assert main(["data", "check", "cub", str(miniatures.cub(tmp_path))]) == 0
    assert capsys.readouterr().out.splitlines() == ["ok  classes: 5 of 5", "ok  photos: 10 of 10"]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("sketchy", miniatures.sketchy), ("tuberlin", miniatures.tuberlin), ("quickdraw", miniatures.quickdraw),
        ("qmul-v1", miniatures.qmul_v1), ("qmul-v2", miniatures.qmul_v2), ("cub", miniatures.cub),
        ("cars", miniatures.cars), ("sop", miniatures.sop), ("inshop", miniatures.inshop), ("iapr", miniatures.iapr),
        ("wikipedia", miniatures.wikipedia), ("sketchy-eccv18-features", miniatures.authors),
    ],
)  # fmt: skip
def test_every_set_is_counted(tmp_path: Path, name: str, write: Callable[[Path], Path]) -> None:
    lines, wrong = catalog.check(name, write(tmp_path))
    assert len(lines) >= len(catalog.entry(name).counts)
    assert wrong, "a miniature is not the whole set"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["data", "check", "cubs", "."], "a data set must be one of sketchy, .*, got cubs"),
        (["data", "check", "cub", "."], "needs the file image_class_labels.txt"),
        (["data", "check", "cub", "nowhere"], "nowhere is not a folder"),
        (["data", "check", "caltech101", "."], "is a source of photos and not checked"),
        (["data", "list", "cubs"], "a data set must be one of"),
        (["cite", "sketchi"], "takes names of data sets and methods, got sketchi; near it: sketchy"),
    ],
)
def test_a_wrong_name_or_folder_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], rule: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert re.search(rule, error)
    assert error.count("\n") == 1


def test_the_list_prints_one_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "cars"]) == 0
    assert capsys.readouterr().out.startswith("cars: Cars-196\n")
    assert main(["data", "list"]) == 0
    assert capsys.readouterr().out.count("licence:") == len(catalog.entries())


def test_every_data_set_and_every_method_can_be_cited() -> None:
    for name in [*catalog.entries(), "cross_modal", "bdt", "cvae", "caae", "siamese", "triplet", "eszsl", "sae"]:
        assert entries([name]), name


def test_bibtex_is_well_formed_and_each_entry_stands_once() -> None:
    every = entries([])
    keys = [re.match(r"@(\w+)\{([\w-]+),\n", entry) for entry in every]
    assert all(keys)
    assert len({match[2] for match in keys if match}) == len(every)
    for entry in every:
        assert entry.count("{") == entry.count("}")
        assert "title = {" in entry
        assert entry.endswith("\n}")
    assert len(entries(["sketchy", "sketchy-extended"])) == 2, "Sketchy's own is not printed twice"
