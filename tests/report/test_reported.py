"""The reported rows are those of the sources."""

import re
from pathlib import Path

import pytest

from sbir.report.reported import load_reported

SEED = Path(__file__).parents[3] / "shared/seeds/000_8a9d4048c16ef138.txt"


def test_the_tables_have_the_sources_rows() -> None:
    tables = load_reported()
    assert {name: len(table.rows) for name, table in tables.items()} == {
        "cvae": 13, "siamese_1": 6, "cross_modal": 20, "domain_migration_hashing": 5, "image_text_hashing": 4,
        "metric_learning_cub_cars": 8, "metric_learning_sop_inshop": 7,
    }  # fmt: skip
    rows = {row["row"]: row for row in tables["cross_modal"].rows}
    assert (rows[7]["p_at_200"], rows[7]["map_at_200"], rows[7]["lambda"]) == (0.392, 0.273, "0.4")
    assert rows[5]["p_at_200"] is rows[15]["p_at_200"] is None  # left blank
    assert [rows[number]["p_at_200"] for number in (18, 19)] == [0.298, 0.299]  # a replicate
    assert tables["cross_modal"].left_open(19)[0].startswith("a repetition of row 18")


@pytest.mark.skipif(not SEED.exists(), reason="needs the source document in ../shared/seeds")
def test_every_percentage_is_in_the_source_in_its_order() -> None:
    text = SEED.read_text(encoding="utf-8")
    tables = load_reported()
    rows = [row for name in ("cvae", "siamese_1", "cross_modal") for row in tables[name].rows]
    for words, column in (("P@200", "p_at_200"), ("mAP@200", "map_at_200")):
        found = [float(number) for number in re.findall(rf"(?<![\w@]){words}\s*[-:]\s*([\d.]+)%", text)]
        assert found == pytest.approx([100 * row[column] for row in rows if row[column] is not None])


TABLE = '[[table]]\nid="a"\nsource="s"\nprotocol="p"\n'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[[table", "must be TOML"),
        ("", "tables of different ids, got none"),
        ('[[table]]\nid = "a"\n', "lacks source, protocol, columns, rows"),
        (
            '[[table]]\nid="a"\nsource="s"\nprotocol="p"\ncolumns=["row", "p"]\nrows=[[1]]',
            "value for each of 2 columns",
        ),
        (
            '[[table]]\nid="a"\nsource="s"\nprotocol="p"\ncolumns=["row"]\nrows=[[1], [1]]',
            "a row's number must be its own",
        ),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=error):
        load_reported(path)
