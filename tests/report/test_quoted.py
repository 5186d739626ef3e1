"""Figures that papers report stand on the page of a run on their data set, and nowhere else."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sbir.data.protocol import RECALL
from sbir.report.load import Run
from sbir.report.quoted import TABLES, quoted
from sbir.report.reported import load_reported

SEEDS = Path(__file__).parents[3] / "shared/seeds"
SEED, TEXTS = SEEDS / "004_14c7913403d7ea77.txt", SEEDS / "002_fd4dd166bfa6869d.txt"


def run(dataset: str, query: str = "photo", name: str = "zero_shot") -> Run:
    protocol = {"name": name, "query": query, "gallery": "photo", "recall": list(RECALL.get(dataset, (1,)))}
    return cast(Run, SimpleNamespace(summary={"protocol": protocol}, manifest={"data": {"dataset": dataset}}))


def test_rows_of_the_data_set_stand_with_their_network() -> None:
    text = quoted(run("cub"))
    assert "Recall@1, 2, 4, 8, 16, 32 in percent" in text
    assert "HDC (GoogLeNet, 384) 53.6 / 65.7 / 77.0 / 85.6 / 91.5 / 95.5; Clustering (BN-Inception, 64) 48.2" in text
    assert "no controlled comparison" in text
    assert "Smart Mining" not in quoted(run("sop"))
    assert "Clustering" not in quoted(run("inshop"))  # the source has no figures of it there


def test_photos_by_texts_stand_with_direction_language_and_the_sources_protocol() -> None:
    text = quoted(run("iapr", "text", "seen"))
    assert text.startswith("mAP over the whole ranking in percent, as README of the image-text hashing repository")
    assert "photos by texts, English, 32 bits 45.8; photos by texts, German, 32 bits 45.1; texts by photos" in text
    assert "--set eval/protocol=overlapping" in text


def test_photos_by_sketches_of_the_training_classes_stand_with_what_people_find() -> None:
    text = quoted(run("sketchy", "sketch", "seen"))
    assert "AN Siamese real 21.4; GN Siamese real 27.4; GN Triplet real 37.1; GDH 64 bits 48.4; human 54.3" in text


@pytest.mark.parametrize(
    ("dataset", "query"), [("doodles", "photo"), ("cub", "sketch"), ("doodles", "text"), ("sketchy", "sketch")]
)
def test_other_runs_have_none(dataset: str, query: str) -> None:
    assert quoted(run(dataset, query)) == ""


@pytest.mark.skipif(not SEED.exists(), reason="needs the source document in ../shared/seeds")
def test_every_quoted_figure_is_in_the_source() -> None:
    lines = [re.findall(r"[\d.]+", line.replace(",", ".")) for line in SEED.read_text().splitlines() if "|" in line]
    for name in set(TABLES.values()):
        for row in load_reported()[name].rows:
            values = [value for column in ("cub", "cars", "sop", "inshop") for value in row.get(column, [])]
            assert any([f"{100 * v:.4g}" for v in values] == [f"{float(n):.4g}" for n in line] for line in lines), row


@pytest.mark.skipif(not TEXTS.exists(), reason="needs the source document in ../shared/seeds")
def test_every_figure_of_photos_by_texts_is_in_the_source_in_its_order() -> None:
    found = re.findall(r"\*\*(0\.\d+)\*\*", TEXTS.read_text(encoding="utf-8"))
    assert found == [f"{row['map']:.4f}" for row in load_reported()["image_text_hashing"].rows]
