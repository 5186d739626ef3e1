"""The drawing page: strokes drawn in a browser find what the stored sketch finds, and nobody else is served."""

import http.client
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sbir.cli import main
from sbir.data.feed import Columns
from sbir.data.items import Items
from sbir.data.loader import Shared
from sbir.serving.draw import BODY, HOST, listen, make_server
from sbir.serving.drawing import POINTS, STROKES, read_drawing
from sbir.serving.model import Exported
from sbir.serving.pad import Pad
from sbir.serving.sketch import Sketcher

TOP = 6
Strokes = Sequence[Sequence[Sequence[int]]]


@pytest.fixture(scope="module")
def port(drawn_model: Path) -> Iterator[int]:
    """A running server of the page."""
    model = Exported(drawn_model)
    server = make_server(Pad(model, Sketcher(model.about), top=TOP, root=Path(model.about["root"])))
    with listen(0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield int(listening.getsockname()[1])
        server.should_exit = True
        thread.join(10)
    assert not thread.is_alive()


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body or None, named)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def search(port: int, body: bytes) -> tuple[int, Any]:
    status, answer = ask(port, "POST", "/search", body, content_type="application/json")
    return status, json.loads(answer)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
        (b"9" * 5000, "must be JSON"),
        (b"[]", f"a list of 1 to {STROKES} strokes; draw something"),
        (b'{"drawing": []}', f"a list of 1 to {STROKES} strokes; draw something"),
        (b'{"drawing": [[[], []]]}', f"a drawing must have 1 to {POINTS} points, got 0"),
        (b'{"drawing": [[[1, 2], [1]]]}', "as many xs as ys, got 2 and 1"),
        (b'{"drawing": [[[1], ["1"]]]}', "coordinates must be numbers"),
        (b'{"drawing": [[[1], [NaN]]]}', "coordinates must be numbers"),
        (b'{"drawing": [[[1e300], [0]]]}', "coordinates must be numbers"),
        (b'{"drawing": [7]}', "a stroke must be [xs, ys]"),
        (json.dumps({"drawing": [[[0] * POINTS, [0] * POINTS], [[1], [1]]]}).encode(), f"got {POINTS + 1}"),
    ],
)
def test_a_bad_drawing_is_answered_with_its_rule(port: int, body: bytes, error: str) -> None:
    status, answer = search(port, body)
    assert status == 400
    assert error in answer["error"]


def test_a_body_that_is_too_long_is_not_read(port: int) -> None:
    for length in (BODY + 1, 10 << 20):
        try:
            status, answer = search(port, b" " * length)
        except (BrokenPipeError, ConnectionResetError):  # answered and closed before all was sent
            continue
        assert (status, answer["error"]) == (413, f"a search must have at most {BODY} bytes; clear the pad")
    assert search(port, b'{"drawing": [[[1], [1]]]}')[0] == 200


def test_a_dot_is_a_drawing(port: int) -> None:
    status, answer = search(port, b'{"drawing": [[[5], [5]]]}')
    assert (status, len(answer["answers"])) == (200, TOP)
    assert set(answer["milliseconds"]) == {"feature", "ranking"}


def test_other_hosts_origins_and_kinds_of_request_are_refused(port: int) -> None:
    body = b'{"drawing": [[[1], [1]]]}'
    json_type = {"content_type": "application/json"}
    assert ask(port, "GET", "/", Host="evil.example")[0] == 400
    assert ask(port, "GET", "/", Host=f"{HOST}.evil.example:{port}")[0] == 400
    assert ask(port, "POST", "/search", body, **json_type, Origin="http://evil.example")[0] == 403
    assert ask(port, "POST", "/search", body, **json_type, Origin="null")[0] == 403
    assert ask(port, "POST", "/search", body, content_type="text/plain")[0] == 415
    assert ask(port, "POST", "/search", body, **json_type, Origin=f"http://{HOST}:{port}")[0] == 200
    assert ask(port, "GET", "/search")[0] == 405


def test_photos_are_those_of_the_gallery_and_no_other_file(port: int, drawn_model: Path, drawn_store: Path) -> None:
    model = Exported(drawn_model)
    status, photo = ask(port, "GET", f"/photo/{model.item_id[0]}")
    assert (status, photo[:3]) == (200, b"\xff\xd8\xff")
    items = Shared.mapped(drawn_store).items()
    other = next(item for item in items.item_id.tolist() if item.endswith(".jpg") and item not in model.item_id)
    for path in (other, "../../../etc/passwd", "%2e%2e/%2e%2e/store/manifest.json", "/etc/passwd", "%00", ""):
        assert ask(port, "GET", f"/photo/{path}")[0] == 404, path


def test_an_index_that_names_files_outside_the_data_set_serves_none_of_them(drawn_model: Path, tmp_path: Path) -> None:
    model = Exported(drawn_model)
    (tmp_path / "data").mkdir()
    inside = Path(model.about["root"]) / model.item_id[0]
    shutil.copy(inside, tmp_path / "secret.jpg")
    shutil.copy(inside, tmp_path / "data/mine.jpg")
    model.item_id[:3] = ["../secret.jpg", str(tmp_path / "secret.jpg"), "mine.jpg"]
    pad = Pad(model, Sketcher(model.about), top=TOP, root=tmp_path / "data")
    assert [pad.photo(item) is not None for item in model.item_id[:3]] == [False, False, True]


def test_a_port_that_is_taken_is_an_error_of_one_line(
    port: int, drawn_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retrieve", str(drawn_model), "--draw", "--port", str(port)]) == 2
    assert f"the port must be free, {port} is not" in capsys.readouterr().err


def test_the_page_says_what_it_shows_and_escapes_it(drawn_model: Path) -> None:
    model = Exported(drawn_model)
    model.about["dataset"] = "<script>alert(1)</script>"
    page = Pad(model, Sketcher(model.about), top=TOP, root=None).page()
    assert "SYNTHETIC, DEMO SCALE: an example" in page
    assert "<script>alert" not in page
    assert f"fingerprint\n{model.about['protocol']['fingerprint']}" in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium; closed at the end."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("chromium and chromedriver are not here")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1100,900"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(str(shutil.which("chromedriver"))))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


def draw(browser: Any, strokes: Strokes) -> None:
    """Follow strokes with the pointer, each point to the pixel: the first with a finger, the others with a mouse."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    box = browser.execute_script("return document.getElementById('pad').getBoundingClientRect().toJSON()")
    left, top = int(box["x"]) + 9, int(box["y"]) + 9
    for kind, some in (("touch", strokes[:1]), ("mouse", strokes[1:])):
        actions = ActionBuilder(browser, mouse=PointerInput(kind, kind), duration=0)  # type: ignore[no-untyped-call]
        pointer: Any = actions.pointer_action
        for xs, ys in some:
            pointer.move_to_location(left + xs[0], top + ys[0]).pointer_down()
            for x, y in zip(xs[1:], ys[1:], strict=True):
                pointer.move_to_location(left + x, top + y)
            pointer.pointer_up()
        if some:
            actions.perform()


def settled(browser: Any) -> list[str]:
    """The items on the page, once they are those of the drawing as it is."""
    from selenium.webdriver.support.wait import WebDriverWait

    done = "return !waiting && document.getElementById('status').dataset.version == version"
    WebDriverWait(browser, 20, poll_frequency=0.05).until(lambda one: one.execute_script(done))
    shown = "return [...document.querySelectorAll('#answers li')].map(item => item.dataset.item)"
    items: list[str] = browser.execute_script(shown)
    return items


def test_strokes_drawn_in_a_browser_find_what_the_stored_sketch_finds(
    browser: Any, port: int, drawn_model: Path, drawn_store: Path
) -> None:
    shared = Shared.mapped(drawn_store)
    items = shared.items()
    row, expected = found_right(items, Exported(drawn_model))
    strokes = drawing_of(Path(str(shared.manifest["root"])), items.item_id[row])
    browser.get(f"http://{HOST}:{port}/")
    draw(browser, strokes)
    assert settled(browser) == expected
    first = browser.execute_script("return document.querySelector('#answers b').textContent")
    assert first == items.class_names[items.class_id[row]]
    sent = browser.execute_script("return strokes")
    assert [len(xs) for xs, _ in sent] == [len(xs) for xs, _ in strokes]
    assert "ms: feature" in browser.execute_script("return document.getElementById('status').textContent")
    widths = "return [...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert browser.execute_script(f"await Promise.all([...document.images].map(i => i.decode())); {widths}")

    browser.execute_script("document.getElementById('undo').click()")
    assert settled(browser) != [] or len(strokes) == 1
    assert browser.execute_script("return strokes.length") == len(strokes) - 1
    browser.execute_script("document.getElementById('clear').click()")
    assert settled(browser) == []
    assert browser.execute_script("return document.getElementById('undo').disabled")
    assert browser.get_log("browser") == []


def found_right(items: Items, model: Exported) -> tuple[int, list[str]]:
    """The first test sketch whose own class is found first, and all that is found for it."""
    for row in np.flatnonzero(items.domain == "sketch").tolist():
        answers = model.search({"feature": Columns(items).take("feature", np.array([row]))}, TOP)
        if answers[0].class_name == items.class_names[items.class_id[row]]:
            return row, [answer.item_id for answer in answers]
    raise AssertionError("the model finds no sketch's class first")


def drawing_of(root: Path, item_id: str) -> Strokes:
    file, _, key = item_id.rpartition("/")
    records = [json.loads(line) for line in (root / file).read_text().splitlines()]
    strokes: Strokes = next(record["drawing"] for record in records if record["key_id"] == key)
    assert read_drawing(json.dumps({"drawing": strokes}).encode())
    return strokes
