"""Take the pictures of the README: parts of a run's page, and with several runs the table over them.

    python docs/screenshots.py RUN [RUN ...] --out docs

Writes `NAME.png` (the top of the first run's page, down to its table), `NAME-trials.png` (axes and trials, some of them
chosen by a drag), `NAME-classes.png`, and of a synthetic run, whose pictures are our own, `NAME-query.png`; NAME is
`report` unless `--name` says otherwise. With several runs also `compare.png`. The pages are built anew in a scratch
folder, the runs stay as they are. Needs Chromium with its driver and the extra `sbir[dev]`.
"""

import argparse
import base64
import io
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from sbir.report.load import load_run
from sbir.report.page import write_joint_report

WIDTH = 1180
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},1000")
# The page's parts are headings and what follows them: a picture shows from the top of the first to the end of the last.
PART = """
const run = document.querySelector('section.run:not([hidden])');
const heads = [...run.querySelectorAll('h2')];
const first = heads.find((one) => one.textContent.startsWith(arguments[0]));
const next = heads[heads.indexOf(first) + arguments[1]];
const [top, end] = [first, next].map((one) => one.getBoundingClientRect().top + scrollY);
return [top, end]"""


def main() -> None:
    """Build the pages and take the pictures."""
    parser = argparse.ArgumentParser(description="pictures of a run's page")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--name", default="report")
    args = parser.parse_args()
    stem = args.out / args.name
    with tempfile.TemporaryDirectory() as scratch:
        page = write_joint_report(args.runs[:1], Path(scratch) / "page.html")
        with browser() as driver:
            driver.get(page.as_uri())
            one_run(driver, str(stem), own_pictures="synthetic" in load_run(args.runs[0]).summary.get("flags", ()))
            if len(args.runs) > 1:
                driver.get(write_joint_report(args.runs, Path(scratch) / "joint.html").as_uri())
                save(driver, str(args.out / "compare.png"), 0, bottom(driver, ".tabs") + 8)


def browser() -> Chrome:
    """A browser without a window."""
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in FLAGS:
        options.add_argument(flag)
    return Chrome(options, Service(str(shutil.which("chromedriver"))))


def one_run(driver: Chrome, stem: str, *, own_pictures: bool) -> None:
    """The parts of one run's page."""
    save(driver, f"{stem}.png", 0, bottom(driver, ".results") + 16)
    save(driver, f"{stem}-classes.png", *part(driver, "Class by class"))
    if own_pictures:
        driver.execute_script(
            "const one = document.querySelector('.query-picker');"
            "one.value = one.querySelectorAll('optgroup')[1].children[0].value; one.dispatchEvent(new Event('change'))"
        )
        save(driver, f"{stem}-query.png", *part(driver, "One query"))
    if driver.find_elements(By.CSS_SELECTOR, ".parallel"):
        drag(driver)
        save(
            driver,
            f"{stem}-trials.png",
            part(driver, "Settings and result")[0],
            bottom(driver, "table.trials") + 16,
        )


def drag(driver: Chrome) -> None:
    """Choose the upper half of the last axis, the result, of the method with the most trials."""
    driver.execute_script(
        "const {parallel} = JSON.parse(document.querySelector('script.data').textContent);"
        "const select = document.querySelector('.parallel-method');"
        "const most = Object.keys(parallel).sort((a, b) => parallel[b].lines.length - parallel[a].lines.length)[0];"
        "if (select) { select.value = most; select.dispatchEvent(new Event('change')); }"
    )
    grip = driver.find_elements(By.CSS_SELECTOR, ".parallel .grip")[-1]
    height = grip.size["height"]
    moves = ActionChains(driver).move_to_element_with_offset(grip, 0, 2 - height // 2).click_and_hold()
    moves.move_by_offset(0, height // 2).release().perform()


def part(driver: Chrome, heading: str, count: int = 1) -> Sequence[float]:
    """Top and end of a part of the page, in pixels."""
    found: Sequence[float] = driver.execute_script(PART, heading, count)
    return found


def bottom(driver: Chrome, selector: str) -> float:
    """Where an element ends, in pixels."""
    rect = driver.find_element(By.CSS_SELECTOR, selector).rect
    return float(rect["y"] + rect["height"])


def save(driver: Chrome, path: str, top: float, end: float) -> None:
    """The page between two heights."""
    clip = {"x": 0, "y": top, "width": WIDTH, "height": end - top, "scale": 1}
    shot = driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "clip": clip, "captureBeyondViewport": True}
    )
    with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as picture:
        picture.convert("RGB").quantize(256).save(path, optimize=True)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
