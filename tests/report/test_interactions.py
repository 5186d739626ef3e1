"""The page in a real browser, opened from disk: what a reader clicks, drags and chooses changes what stands there."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from sbir.report.load import load_run
from sbir.report.page import write_joint_report, write_report
from tests.report.conftest import write_run

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--window-size=1300,1000")  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def report(run_dir: Path) -> Path:
    return write_report(run_dir)


@pytest.fixture
def page(browser: webdriver.Chrome, report: Path) -> Iterator[webdriver.Chrome]:
    """The page, opened anew; no test may leave an error in the console or a request to anywhere."""
    browser.get("about:blank")
    logged(browser, "performance")  # what the browser does at its start is not the page's
    browser.get(report.as_uri())
    yield browser
    assert logged(browser, "browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert report.as_uri() in asked  # requests are seen at all
    assert {url.split(":", 1)[0] for url in asked} <= {"file", "data", "blob"}


def logged(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """What was logged since this was asked last."""
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]


def find(page: webdriver.Chrome, selector: str) -> WebElement:
    return page.find_element(By.CSS_SELECTOR, selector)


def texts(page: webdriver.Chrome, selector: str) -> list[str]:
    return [str(found.text) for found in page.find_elements(By.CSS_SELECTOR, selector)]


def column(page: webdriver.Chrome, heading: str) -> list[str]:
    headings = [text.removesuffix(" ↓").removesuffix(" ↑") for text in texts(page, "table.trials thead th")]
    return texts(page, f"table.trials tbody td:nth-child({headings.index(heading) + 1})")


def click(page: webdriver.Chrome, target: WebElement) -> None:
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", target)
    target.click()


def heading(page: webdriver.Chrome, name: str) -> WebElement:
    (found,) = [one for one in page.find_elements(By.CSS_SELECTOR, "table.trials th button") if one.text == name]
    return found


def test_every_figure_is_drawn(page: webdriver.Chrome) -> None:
    drawn = page.find_elements(By.CSS_SELECTOR, ".figure .main-svg")
    figures = page.find_elements(By.CSS_SELECTOR, ".figure")
    assert len(figures) == 3  # learning, lambda, classes
    assert {one.find_element(By.XPATH, "ancestor::*[contains(@class, 'figure')]").id for one in drawn} == {
        one.id for one in figures
    }
    assert len(page.find_elements(By.CSS_SELECTOR, ".parallel path")) == 23


def test_a_click_on_a_heading_sorts_numbers_as_numbers_and_a_second_click_turns_them_round(
    page: webdriver.Chrome, run_dir: Path
) -> None:
    expected = sorted(load_run(run_dir).search_trials()["device_seconds"].round().astype(int), reverse=True)
    click(page, heading(page, "device s"))
    shown = [int(text) for text in column(page, "device s")]
    assert shown == sorted(shown, reverse=True)
    assert sorted(shown)[: len(expected)] == sorted(shown[-len(expected) :])
    click(page, heading(page, "device s"))
    assert [int(text) for text in column(page, "device s")] == sorted(shown)
    click(page, heading(page, "lr"))
    rates = [float(text) for text in column(page, "lr")]
    assert rates == sorted(rates, reverse=True)


def test_filters_keep_the_rows_that_match_all_of_them(page: webdriver.Chrome, run_dir: Path) -> None:
    trials = load_run(run_dir).search_trials()
    Select(find(page, ".trials-state")).select_by_visible_text("pruned")
    assert set(column(page, "state")) == {"pruned"}
    find(page, ".trials-text").send_keys("latent=512")
    expected = trials[(trials["state"] == "PRUNED") & (trials["method/latent"] == 512)]
    assert sorted(column(page, "trial")) == sorted(f"cross_modal-{number}" for number in expected["number"])
    assert texts(page, ".trials-words") == [f"{len(expected)} of 27 trials"]


def test_a_drag_along_an_axis_keeps_the_trials_that_pass_there_in_the_table_too(
    page: webdriver.Chrome, run_dir: Path
) -> None:
    trials = load_run(run_dir).search_trials()
    grip = page.find_elements(By.CSS_SELECTOR, ".parallel .grip")[-1]  # the maximised metric
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", grip)
    size = grip.size["height"]
    ActionChains(page).move_to_element_with_offset(grip, 0, -size // 2 + 2).click_and_hold().move_by_offset(
        0, size // 3
    ).release().perform()
    kept = page.find_elements(By.CSS_SELECTOR, ".parallel path:not(.off)")
    names = column(page, "trial")
    assert 0 < len(kept) < 23
    assert len(names) == len(kept)
    lowest = min(float(text) for text in column(page, "P@20"))
    values = trials["value"].dropna() * 100
    assert len(names) == (values >= lowest - 0.05).sum()
    assert texts(page, ".parallel-words") == [f"{len(kept)} of 23 trials chosen"]
    ActionChains(page).move_to_element(grip).click().perform()  # a click lets go
    assert len(page.find_elements(By.CSS_SELECTOR, ".parallel path:not(.off)")) == 23
    assert texts(page, ".trials-words") == ["27 of 27 trials"]


def slide(page: webdriver.Chrome, place: int) -> None:
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    page.execute_script(script, find(page, "input.lambda"), place)


def test_the_slider_scores_every_trial_again_at_its_lambda(page: webdriver.Chrome, run_dir: Path) -> None:
    run = load_run(run_dir)
    rows = run.rows[run.rows["curve/0.9"].notna()]
    kept = rows.sort_values("val/precision_at_20").groupby("number").tail(1)
    for place, name in ((9, "0.9"), (11, "min")):
        slide(page, place)
        best = kept.sort_values(f"curve/{name}").iloc[-1]
        assert texts(page, ".lambda-value") == [name]
        words = f"At lambda {name}: cross_modal-{best['number']} is first with {100 * best[f'curve/{name}']:.1f} %."
        assert texts(page, ".lambda-words")[0].startswith(words)
    slide(page, 4)
    lines: Any = page.execute_script(
        "return document.querySelector('[data-figure=lambda]').layout.shapes.map((one) => one.x0)"
    )
    assert lines == [0.4]


def test_a_query_shows_what_every_row_answered_and_the_buttons_go_on(page: webdriver.Chrome, run_dir: Path) -> None:
    top = load_run(run_dir).path / "finalists/cross_modal-13-0/top.parquet"
    picker = Select(find(page, ".query-picker"))
    groups = [group.get_attribute("label") for group in page.find_elements(By.CSS_SELECTOR, ".query-picker optgroup")]
    assert groups == ["Drawn by seed, whatever their result", "Where the rows disagree most", "Worst of CMDT"]
    picker.select_by_index(len(picker.options) - 1)
    query = str(picker.first_selected_option.text).split(": ")[1]
    assert [row.split("\n")[0] for row in texts(page, ".side .name")] == ["CMDT", "ridge", "raw"]
    tiles = page.find_elements(By.CSS_SELECTOR, '.side[data-row="CMDT"] .tile')
    expected = pd.read_parquet(top).query("query == @query and rank <= 10").sort_values("rank")
    assert [tile.get_attribute("title") for tile in tiles] == expected["gallery"].tolist()
    assert ["right" in str(tile.get_attribute("class")).split() for tile in tiles] == expected["correct"].tolist()
    click(page, find(page, ".query-next"))
    assert picker.first_selected_option.text == picker.options[0].text
    click(page, find(page, ".query-previous"))
    assert str(picker.first_selected_option.text).split(": ")[1] == query


def test_class_bars_follow_the_chosen_row(page: webdriver.Chrome, run_dir: Path) -> None:
    Select(find(page, ".class-row")).select_by_visible_text("ridge")
    shown: Any = page.execute_script(
        "const one = document.querySelector('[data-classes]').data[0]; return [one.name, one.text, one.y]"
    )
    frame = load_run(run_dir).per_query
    means = 100 * frame[frame["row"] == "ridge"].groupby("class")["precision_at_20"].mean().sort_values(ascending=False)
    assert shown[0] == "ridge"
    assert shown[1] == means.index.tolist()
    assert shown[2] == pytest.approx(means.tolist(), abs=0.006)


def test_several_runs_stand_behind_buttons(browser: webdriver.Chrome, run_dir: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", num_trials=9)
    path = write_joint_report([run_dir, other], tmp_path / "joint.html")
    browser.get(path.as_uri())
    assert texts(browser, "[data-tab]") == [run_dir.name, "other"]
    for at, (name, count) in enumerate(((run_dir.name, 27), ("other", 12))):
        click(browser, browser.find_elements(By.CSS_SELECTOR, "[data-tab]")[at])
        (section,) = [one for one in browser.find_elements(By.CSS_SELECTOR, "section.run") if one.is_displayed()]
        assert f"Run {name}," in section.text
        assert section.find_element(By.CSS_SELECTOR, ".trials-words").text == f"{count} of {count} trials"
        assert len(section.find_elements(By.CSS_SELECTOR, ".figure .main-svg")) > 0
    assert logged(browser, "browser") == []


def test_text_of_the_run_stays_text_in_the_browser(browser: webdriver.Chrome, tmp_path: Path) -> None:
    evil = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    folder = write_run(tmp_path / "evil")
    trials = pd.read_parquet(folder / "trials.parquet")
    trials["reason"], trials["method/decode"] = evil, evil + trials["method/decode"]
    trials.rename(columns={"method/dropout": f"method/{evil}"}).to_parquet(folder / "trials.parquet")
    frame = pd.read_parquet(folder / "per_query.parquet")
    frame["class"], frame["row"] = evil + frame["class"], frame["row"] + evil
    frame.to_parquet(folder / "per_query.parquet")
    top = folder / "finalists/cross_modal-13-0/top.parquet"
    pd.read_parquet(top).assign(gallery=evil).to_parquet(top)
    browser.get(write_report(folder).as_uri())
    assert browser.title != "owned"
    assert evil in find(browser, "table.trials").text
    assert browser.find_elements(By.CSS_SELECTOR, 'img[src="x"]') == []
    assert logged(browser, "browser") == []
