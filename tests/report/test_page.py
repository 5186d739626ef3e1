import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from sbir.report.grid import choose_queries, retrieval_grid, thumbnails
from sbir.report.load import load_run
from sbir.report.page import write_report

MakeRun = Callable[..., Path]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
    assert re.findall(r'id="figure-([^"]+)"', text) == ["learning", "lambda", "parallel-cross_modal"]


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
    thumbnail = thumbnails(run)
    assert thumbnail("photo/anchor/0000.jpg")
    assert thumbnail("../secret.jpg") is None
    assert thumbnail(str(store / "secret.jpg")) is None
    inside.write_bytes(b"no image")
    assert thumbnail("photo/anchor/0000.jpg") is None


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
    page = write_report(make_run(num_trials=num_trials)).read_text(encoding="utf-8")
    assert outside_scripts(page).count("<td>declared</td>") == num_trials


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium to open the page")
def test_a_browser_opens_it_without_an_error_and_draws_every_figure(run_dir: Path, page: str, tmp_path: Path) -> None:
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
               f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom",
               (run_dir / "report.html").as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    figures = re.findall(r'<div class="figure[^"]*" id="figure-[^"]+"[^>]*>(?=<div class="plot-container)', done.stdout)
    assert len(figures) == 3
