"""Take `docs/draw.png`: the drawing page of a running `sbir retrieve MODEL --draw`, with a QuickDraw drawing on it.

    python docs/draw_screenshot.py http://127.0.0.1:PORT/ FILE.ndjson/KEY docs/draw.png

Needs Chromium with its driver and the extra `sbir[dev]`.
"""

import json
import shutil
import sys
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from sbir.data.pictures import CANVAS, placed

SHOWN = """return !waiting && document.getElementById('status').dataset.version == version
    && [...document.images].every(image => image.complete)"""
PUT = "strokes.push(...arguments[0]); changed()"


def read(name: str) -> list[list[list[float]]]:
    """The strokes of one drawing, placed on the page's pad as the server places them."""
    path = Path(name)
    records = map(json.loads, path.parent.read_text(encoding="utf-8").splitlines())
    drawing = next(record["drawing"] for record in records if str(record["key_id"]) == path.name)
    return [(stroke * 400 / CANVAS).round(1).T.tolist() for stroke in placed(drawing)]


def main(url: str, drawing: str, out: str) -> None:
    """Open the page, put the drawing on it, wait for the answers and save the picture."""
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1180,860"):
        options.add_argument(word)
    with Chrome(options, Service(str(shutil.which("chromedriver")))) as browser:
        browser.get(url)
        browser.execute_script(PUT, read(drawing))
        WebDriverWait(browser, 30).until(lambda one: one.execute_script(SHOWN))
        browser.save_screenshot(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
