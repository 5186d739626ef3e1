"""The page of a run of 1 000 trials: how long it takes to build, how large it is, and how long a browser needs.

    python benchmarks/page.py

Made-up trials of 20 evaluations each, and pictures of noise, which hardly compress. Needs the extra `dev`, chromium and
chromedriver. The last result is in page.txt.
"""

import json
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import plotly
from PIL import Image
from selenium import webdriver

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sbir.report.page import write_report  # noqa: E402
from tests.report.conftest import items, write_run  # noqa: E402

TRIALS, EVALUATIONS, TURNS = 1000, 20, 3
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--window-size=1300,1000",
)
LOADED = "const [one] = performance.getEntriesByType('navigation'); return one.loadEventEnd / 1000"


def main() -> None:
    """Print build time, size and load time."""
    with tempfile.TemporaryDirectory() as scratch:
        store = pictures(Path(scratch) / "store")
        run = write_run(Path(scratch) / "run", num_trials=TRIALS, store=store, evaluations=EVALUATIONS)
        started = time.perf_counter()
        page = write_report(run)
        built = time.perf_counter() - started
        print(f"plotly {plotly.__version__}, {platform.machine()} CPU")
        print(f"{TRIALS} trials of {EVALUATIONS} evaluations: built in {built:.1f} s (under 30 s asked for)")
        print(f"size {page.stat().st_size / 1e6:.2f} MB (under 10 MB asked for)")
        print(f"loaded and drawn in {load(page, Path(scratch)):.2f} s, best of {TURNS} (under 3 s asked for)")


def pictures(store: Path) -> Path:
    """A picture of noise for every item."""
    rng = np.random.default_rng(0)
    for item in (*items("photo"), *items("sketch")):
        path = store / "images" / item
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)).save(path)
    (store / "manifest.json").write_text(json.dumps({"root": str(store / "images")}))
    return store


def load(page: Path, scratch: Path) -> float:
    """Seconds from the start of the navigation to the end of the load event, by when all scripts have run."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={scratch / 'browser'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(shutil.which("chromedriver"))))
    try:
        times = []
        for _ in range(TURNS):
            driver.get(page.as_uri())
            times.append(float(driver.execute_script(LOADED)))
        return min(times)
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
