import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sbir.metrics.intervals import class_bootstrap
from sbir.report.load import Run, load_run
from sbir.report.table import all_metrics, further_metrics, long_table, table_lines
from sbir.report.terminal import print_summary
from sbir.report.verdict import difference, verdicts

MakeRun = Callable[..., Path]


def test_chance_and_baselines_come_first_and_the_ceiling_last(make_run: MakeRun) -> None:
    folder = make_run()
    summary = json.loads((folder / "summary.json").read_text())
    summary["table"].reverse()
    (folder / "summary.json").write_text(json.dumps(summary))
    lines = table_lines(load_run(folder))
    assert [line.row for line in lines] == ["chance", "Procrustes", "ridge", "mean removed", "raw", "CMDT", "ceiling"]


def test_figures_are_percentages_and_the_two_intervals_stand_apart(run_dir: Path) -> None:
    lines = {line.row: line for line in table_lines(load_run(run_dir))}
    method, ridge, chance = lines["CMDT"], lines["ridge"], lines["chance"]
    assert (method.val, method.test, method.by_class, method.by_seed) == (
        "34.4",
        "33.4",
        "[29.4, 38.4]",
        "[32.3, 34.5]",
    )
    assert (method.num_seeds, method.fusion, method.best) == (3, "0.4", True)
    assert (ridge.by_class, ridge.by_seed, ridge.num_seeds) == ("[22.8, 31.8]", "–", 0)
    assert (chance.test, chance.by_class, chance.by_seed, chance.best) == ("9.1", "–", "–", False)


def test_every_metric_is_in_the_long_table_under_its_own_denominator(run_dir: Path) -> None:
    run = load_run(run_dir)
    headings, rows = long_table(run)
    assert headings == ["P@20", "mAP@20 (÷ k)", "mAP@20 (÷ hits)", "mAP@all", "acc@1"]
    assert dict(rows)["ridge"][0] == "26.8 [22.8, 31.8]"
    assert set(further_metrics(run)) < set(all_metrics(run))


def per_query(gap: float, num_classes: int) -> pd.DataFrame:
    """Two rows over the same queries whose difference is `gap`, give or take, with wide differences between classes."""
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(num_classes), 10)
    base = rng.normal(0.4, 0.2, num_classes)[classes]
    ours = base + gap + 0.01 * rng.standard_normal(len(classes))
    names = {"item": [f"sketch/{at}" for at in range(len(classes))], "class": classes.astype(str), "instance": -1}
    sides = [pd.DataFrame({**names, "row": row, "seed": 0, "m": m}) for row, m in (("a", ours), ("b", base))]
    return pd.concat(sides, ignore_index=True)


def test_the_difference_is_paired_by_query_so_that_easy_and_hard_classes_cancel() -> None:
    found = difference(per_query(0.03, 20), "a", "b", "m")
    assert found is not None
    gap, num_classes = found
    assert num_classes == 20
    assert gap.mean == pytest.approx(0.03, abs=0.003)
    assert 0.02 < gap.low < gap.mean < gap.high < 0.04
    alone = per_query(0.03, 20)
    side = alone[alone["row"] == "a"]
    wide = class_bootstrap(side["m"].to_numpy(), side["class"].to_numpy(dtype=np.int64), side["instance"].to_numpy())
    assert wide.high - wide.low > 5 * (gap.high - gap.low)


def test_the_order_of_the_queries_does_not_matter_and_seeds_are_averaged() -> None:
    frame = per_query(0.03, 12)
    second = frame[frame["row"] == "a"].assign(seed=1, m=lambda side: side["m"] + 0.02)
    shuffled = pd.concat([frame, second]).sample(frac=1, random_state=1)
    found = difference(shuffled, "a", "b", "m")
    assert found is not None
    assert found[0].mean == pytest.approx(0.04, abs=0.003)


def test_no_winner_is_named_below_ten_test_classes(make_run: MakeRun) -> None:
    folder = make_run()
    frame = pd.read_parquet(folder / "per_query.parquet")
    (sentence,) = verdicts(load_run(folder))
    assert "ridge (the best baseline there) 26.8 %" in sentence
    assert sentence.endswith("The method is better on these classes.")
    frame[frame["class"].isin(["anchor", "barn", "crab"])].to_parquet(folder / "per_query.parquet")
    (sentence,) = verdicts(load_run(folder))
    assert sentence.endswith("With 3 test classes (fewer than 10) no winner is named.")


def test_a_method_that_is_not_ahead_is_told_so(make_run: MakeRun) -> None:
    folder = make_run()
    frame = pd.read_parquet(folder / "per_query.parquet")
    ridge = frame[frame["row"] == "ridge"]
    for shift, words in ((0.0, "does not tell them apart"), (-0.1, "The baseline is better")):
        wobble = np.random.default_rng(0).normal(0, 0.05, len(ridge))
        ours = ridge.assign(row="CMDT", precision_at_20=ridge["precision_at_20"] + shift + wobble - wobble.mean())
        pd.concat([ridge, ours]).to_parquet(folder / "per_query.parquet")
        assert words in verdicts(load_run(folder))[0]


def test_the_terminal_shows_settings_table_flags_and_where_the_files_are(make_run: MakeRun) -> None:
    folder = make_run(flags=("synthetic", "demo scale"))
    (folder / "wandb").mkdir()
    out = io.StringIO()
    print_summary(folder, out)
    text = out.getvalue()
    run: Run = load_run(folder)
    settings = run.summary["best"]["settings"]
    for part in (f"method/latent={settings['method/latent']}", "SYNTHETIC, DEMO SCALE", "[29.4, 38.4]", "chance",
                 "ceiling", "looks at the test part of this split so far, in this runs folder: 3",
                 str(folder / "report.html"), f"sbir sync {folder}"):  # fmt: skip
        assert part in text
    assert "\x1b" not in text
