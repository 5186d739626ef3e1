import itertools
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from sbir.cli import main
from sbir.report.cost import cost_to_reach, stopped_early
from sbir.report.grid import choose_queries, looks, retrieval_grid
from sbir.report.load import load_run
from sbir.report.page import write_report
from sbir.report.queries import query_answers
from sbir.tracking.names import readable_time

MakeRun = Callable[..., Path]


class Loads(HTMLParser):
    """Everything that a browser would fetch, and how often each tag stands there."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.tags: dict[str, int] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        names = ("src", "srcset", "data", "poster", "action") + (("href",) if tag != "a" else ())
        self.urls += [value or "" for name, value in attrs if name in names]


@pytest.fixture(scope="module")
def page(run_dir: Path) -> str:
    return write_report(run_dir).read_text(encoding="utf-8")


def outside_scripts(page: str) -> str:
    return re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)


def page_data(page: str) -> dict[str, Any]:
    """What the page's script is given of its first run."""
    found = re.search(r'<script type="application/json" class="data">(.*?)</script>', page, flags=re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_is_one_file_that_loads_nothing(page: str) -> None:
    assert len(page.encode()) < 10e6
    loads = Loads(page)
    assert loads.urls == []
    assert loads.tags.get("link", 0) == loads.tags.get("iframe", 0) == loads.tags.get("form", 0) == 0
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import", "".join(re.findall(r"<style>.*?</style>", page, flags=re.DOTALL)))


def test_it_holds_question_lines_one_table_one_grid_and_the_figures(page: str) -> None:
    text = outside_scripts(page)
    for part in ("Which setting of CMDT retrieves best", "fingerprint 1a2b3c4d", "VGG-16 with seeded random weights",
                 "3 (runs of this folder scored on this split)", "higher is better", "Higher is better",
                 "not enough: 6 axes need 60 complete trials"):  # fmt: skip
        assert part.lower() in (text + page[-200_000:]).lower()
    assert text.count('class="results"') == text.count('id="grid"') == 1
    assert text.count('class="answers"') == 6
    assert text.count('class="tile right"') + text.count('class="tile wrong"') == 60
    assert re.findall(r'id="figure-([^"]+)"', text) == ["learning", "lambda"]


def test_right_and_wrong_differ_by_symbol_too(page: str) -> None:
    text = outside_scripts(page)
    for kind, mark in (("right", "✓"), ("wrong", "✗")):
        assert text.count(f'<span class="mark" aria-label="{kind}">{mark}</span>') == text.count(f'class="tile {kind}"')


def test_flags_become_banners(make_run: MakeRun) -> None:
    text = outside_scripts(write_report(make_run(flags=("synthetic", "demo scale"))).read_text(encoding="utf-8"))
    assert re.findall(r'class="banner" role="note">([A-Z ]+):', text) == ["SYNTHETIC DATA", "DEMO SCALE"]


def test_the_same_run_gives_the_same_page(run_dir: Path, page: str) -> None:
    assert write_report(run_dir).read_text(encoding="utf-8") == page


def test_text_of_the_run_is_never_markup(make_run: MakeRun) -> None:
    evil = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    folder = make_run()
    summary = json.loads((folder / "summary.json").read_text())
    summary |= {"question": evil, "given": evil}
    summary["table"][1]["row"] = evil
    summary["best"]["settings"] = {f"method/{evil}": evil}
    summary["importance"] = {"cross_modal": {evil: 0.7, "x": 0.3}}
    (folder / "summary.json").write_text(json.dumps(summary))
    trials = pd.read_parquet(folder / "trials.parquet")
    trials["reason"], trials["method/decode"] = evil, evil + trials["method/decode"]
    trials.rename(columns={"method/dropout": f"method/{evil}"}).to_parquet(folder / "trials.parquet")
    top = folder / "finalists/cross_modal-13-0/top.parquet"
    pd.read_parquet(top).assign(gallery=evil).to_parquet(top)
    page = write_report(folder).read_text(encoding="utf-8")
    assert Loads(page).tags.get("img", 0) == 0
    assert "<script>document" not in page
    assert "&lt;script&gt;document" in page


def test_pictures_are_embedded_where_the_store_names_their_folder(make_run: MakeRun, store: Path) -> None:
    folder = make_run(store=store)
    page = write_report(folder).read_text(encoding="utf-8")
    images = [url for url in Loads(page).urls if url.startswith("data:image/jpeg;base64,")]
    assert len(images) == len(Loads(page).urls) == 6 * 11


def test_an_item_id_cannot_reach_outside_the_data_set(make_run: MakeRun, store: Path) -> None:
    run = load_run(make_run(store=store))
    inside = store / "images/photo/anchor/0000.jpg"
    shutil.copy(inside, store / "secret.jpg")
    look = looks(run)
    assert look("photo/anchor/0000.jpg")
    assert look("../secret.jpg") is None
    assert look(str(store / "secret.jpg")) is None
    inside.write_bytes(b"no image")
    assert look("photo/anchor/0000.jpg") is None


def test_queries_are_drawn_by_seed_one_a_class_whatever_their_result() -> None:
    classes = {f"sketch/{name}/{n}": name for name in "abcdefgh" for n in range(5)}
    chosen = choose_queries(list(classes), classes, num=6, seed=0)
    assert len({classes[query] for query in chosen}) == 6
    assert chosen == choose_queries(list(reversed(classes)), classes, num=6, seed=0)
    assert chosen != choose_queries(list(classes), classes, num=6, seed=1)
    assert len(choose_queries(list(classes), classes, num=20, seed=0)) == 8


def test_a_run_without_finalists_says_so(make_run: MakeRun) -> None:
    folder = make_run()
    shutil.rmtree(folder / "finalists")
    assert retrieval_grid(load_run(folder), lambda item: None) is None
    assert "No finalist left its ranking" in write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("num_trials", [1, 2])
def test_a_run_of_one_or_two_trials_has_a_page_too(make_run: MakeRun, num_trials: int) -> None:
    data = page_data(write_report(make_run(num_trials=num_trials)).read_text(encoding="utf-8"))
    assert [trial["kind"] for trial in data["trials"]] == ["declared"] * num_trials + ["refit"] * 3


def test_the_script_is_given_every_trial_best_first_with_its_curve_over_lambda(run_dir: Path, page: str) -> None:
    data, run = page_data(page), load_run(run_dir)
    values = [trial["value"] for trial in data["trials"] if trial["value"] is not None]
    assert values == sorted(values, reverse=True)
    assert len(data["trials"]) == len(run.trials)
    first = next(trial for trial in data["trials"] if trial["number"] == 0 and trial["kind"] == "declared")
    kept = run.rows[run.rows["number"] == 0].sort_values("val/precision_at_20").iloc[-1]
    assert first["curve"] == pytest.approx([100 * kept[f"curve/{fusion}"] for fusion in data["lambdas"]], abs=0.006)
    assert first["settings"]["latent"] == str(run.trials.loc[0, "method/latent"])
    assert first["note"] == "row 6: 1024 s"


def test_the_figure_of_a_class_is_the_mean_of_its_queries_and_seeds(run_dir: Path, page: str) -> None:
    data, frame = page_data(page)["classes"], load_run(run_dir).per_query
    for row, name in (("CMDT", "crab"), ("ridge", "lamp")):
        values = frame.loc[(frame["row"] == row) & (frame["class"] == name), "precision_at_20"]
        mean, low, high = data["rows"][row][data["classes"].index(name)]
        assert mean == pytest.approx(100 * values.mean(), abs=0.006)
        assert low < mean < high


def test_queries_of_the_picker_are_the_extreme_ones_of_their_group(run_dir: Path, page: str) -> None:
    data, frame = page_data(page)["queries"], load_run(run_dir).per_query
    rows = ["CMDT", "ridge", "raw"]
    assert data["rows"] == rows  # those that left a ranking, best on test first
    wide = frame.pivot_table(index="item", columns="row", values="precision_at_20")[rows]
    groups = {title: [data["items"][query["item"]][0] for query in queries] for title, queries in data["groups"]}
    assert groups["Worst of CMDT"][0] == wide["CMDT"].idxmin()
    assert groups["Where the rows disagree most"][0] == wide.std(axis=1, ddof=0).idxmax()
    assert all(len(queries) == 11 for title, queries in data["groups"] if title.startswith("Drawn"))
    query = data["groups"][1][1][0]
    assert query["values"] == pytest.approx(
        (100 * wide.loc[groups["Where the rows disagree most"][0]]).tolist(), abs=0.06
    )


def test_marks_tell_wrong_right_and_own_photo(run_dir: Path, page: str) -> None:
    data = page_data(page)["queries"]
    for _, queries in data["groups"]:
        for query in queries:
            name, label, *_ = data["items"][query["item"]]
            for item, mark in itertools.chain.from_iterable(query["answers"]):
                photo, other, *_ = data["items"][item]
                own = photo.removeprefix("photo/").removesuffix(".jpg") == name.removeprefix("sketch/").removesuffix(
                    ".png"
                )
                assert mark == (other == label) + own


def test_pictures_stand_once_and_keep_their_budget(make_run: MakeRun, store: Path) -> None:
    run = load_run(make_run(store=store))
    whole = query_answers(run, looks(run))
    assert whole is not None
    assert len({name for name, *_ in whole["items"]}) == len(whole["items"])
    sizes = [len(picture) for _, _, picture, _ in whole["items"]]
    assert min(sizes) > 0
    budget = sum(sizes) // 2
    part = query_answers(run, looks(run), budget)
    assert part is not None
    largest_query = 31 * max(sizes)
    assert sum(len(picture) for _, _, picture, _ in part["items"]) < budget + largest_query
    assert [len(queries) > 0 for _, queries in part["groups"]] == [True] * 3


def test_cost_counts_the_search_until_the_level_was_reached(run_dir: Path) -> None:
    run = load_run(run_dir)
    levels, (cost,) = cost_to_reach(run)
    trials = run.search_trials()
    best = trials["value"].max()
    assert levels[-1] == f"the best: {100 * best:.1f}"
    until = trials.iloc[: int(trials["value"].argmax()) + 1]
    assert cost.reached[-1].startswith(readable_time(until["device_seconds"].sum()))
    assert cost.reached[0].startswith("–") == (best < 0.278)  # ridge on validation


def test_stopped_and_failed_trials_are_counted_with_their_reasons(run_dir: Path, page: str) -> None:
    (stopped,) = stopped_early(load_run(run_dir))
    assert (stopped.label, stopped.steps, stopped.count) == ("CMDT", 200, 7)
    assert "Failed, 1 trial: loss term kl is nan at step 100" in outside_scripts(page)


def test_every_point_of_a_curve_names_its_trial(run_dir: Path, page: str) -> None:
    for trace in page_data(page)["figures"]["learning"]["data"]:
        assert sum(count for _, count in trace["textRuns"]) == len(trace["x"])
        names = [text for text, count in trace["textRuns"]]
        assert all(name.startswith("cross_modal-") for name in names)
        assert len(set(names)) == len(names) == trace["x"].count(None)


def test_the_command_writes_the_page_of_one_run_and_one_page_of_several(
    make_run: MakeRun, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run()
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"wrote {folder / 'report.html'}\n"
    joint = tmp_path / "joint.html"
    assert main(["report", str(folder), str(run_dir), "--out", str(joint)]) == 0
    page = joint.read_text(encoding="utf-8")
    assert len(page.encode()) < 10e6
    assert Loads(page).urls == []
    text = outside_scripts(page)
    assert text.count('id="comparison"') == 1
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert main(["report", str(folder), "--out", str(joint)]) == 2
    assert "--out is for several runs" in capsys.readouterr().err


def test_a_damaged_ranking_is_named(make_run: MakeRun) -> None:
    folder = make_run()
    path = folder / "baseline_top.parquet"
    pd.read_parquet(path).drop(columns="correct").to_parquet(path)
    with pytest.raises(ValueError, match=r"baseline_top\.parquet must have the columns .* it lacks correct"):
        write_report(folder)
    path.write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"baseline_top\.parquet must be Parquet"):
        write_report(folder)


def test_sheets_of_a_finalist_that_draws_stand_in_the_order_of_their_steps(make_run: MakeRun) -> None:
    folder, title = make_run(), "What CMDT draws, by training step"
    assert title not in write_report(folder).read_text(encoding="utf-8")
    for step in (360, 0, 90):
        path = folder / f"finalists/cross_modal-13-0/pictures/{step:07d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (step % 256, 0, 0)).save(path)
    page = write_report(folder).read_text(encoding="utf-8")
    assert title in page
    picture = '</figcaption><img src="data:image/jpeg;base64,'
    assert re.findall(rf"<figcaption>step (\d+){re.escape(picture)}", page) == ["0", "90", "360"]
    assert all(url.startswith("data:") for url in Loads(outside_scripts(page)).urls)
