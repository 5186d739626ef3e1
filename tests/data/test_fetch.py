import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sbir.cli import main
from sbir.data.readers import read_dataset
from sbir.data.sets import fetch

DRAWINGS = b"".join(b'{"word": "cat", "key_id": "%d", "drawing": [[[0, 9], [0, 9]]]}\n' % key for key in range(100))


class Handler(BaseHTTPRequestHandler):
    """Serves bytes by path, whole or from an offset; can break off in the middle and state MD5s."""

    files: dict[str, bytes]
    cut: int | None
    stated: bytes | None
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append((self.path, wanted))
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404, "Not Found")
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if wanted and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        digest = base64.b64encode(self.stated or hashlib.md5(content).digest()).decode()
        self.send_header("x-goog-hash", f"crc32c=AAAAAA==,md5={digest}")
        self.end_headers()
        self.wfile.write(content[start : self.cut])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[tuple[str, type[Handler]]]:
    class Own(Handler):
        files, cut, stated, asked = {}, None, None, []

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", Own
        http.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_quickdraw_classes_come_under_their_files_names(tmp_path: Path, server: tuple[str, type[Handler]]) -> None:
    address, handler = server
    handler.files = {"/cat.ndjson": DRAWINGS, "/palm%20tree.ndjson": DRAWINGS}
    list(fetch.get_quickdraw(tmp_path, ["cat", "palm_tree"], address=address))
    assert names(tmp_path) == ["sketch/cat.ndjson", "sketch/palm tree.ndjson"]
    assert (tmp_path / "sketch/cat.ndjson").read_bytes() == DRAWINGS
    list(fetch.get_quickdraw(tmp_path, ["cat"], address=address))
    assert len(handler.asked) == 2, "what is there is not fetched again"


def test_a_broken_download_leaves_no_file_and_goes_on_where_it_was(
    tmp_path: Path, server: tuple[str, type[Handler]]
) -> None:
    address, handler = server
    handler.files, handler.cut = {"/cat.ndjson": DRAWINGS}, 1000
    with pytest.raises(OSError, match=r"cat.ndjson cannot be reached \(.*\); a network is needed"):
        list(fetch.get_quickdraw(tmp_path, ["cat"], address=address))
    assert names(tmp_path) == ["sketch/.cat.ndjson.part"]
    handler.cut = None
    list(fetch.get_quickdraw(tmp_path, ["cat"], address=address))
    assert handler.asked[-1] == ("/cat.ndjson", "bytes=1000-")
    assert (tmp_path / "sketch/cat.ndjson").read_bytes() == DRAWINGS
    assert names(tmp_path) == ["sketch/cat.ndjson"]


def test_a_part_that_the_server_cannot_continue_is_begun_again(
    tmp_path: Path, server: tuple[str, type[Handler]]
) -> None:
    address, handler = server
    handler.files = {"/cat.ndjson": DRAWINGS}
    (tmp_path / "sketch").mkdir()
    (tmp_path / "sketch/.cat.ndjson.part").write_bytes(DRAWINGS + b"more")
    list(fetch.get_quickdraw(tmp_path, ["cat"], address=address))
    assert (tmp_path / "sketch/cat.ndjson").read_bytes() == DRAWINGS


def test_bytes_that_do_not_match_the_servers_md5_are_thrown_away(
    tmp_path: Path, server: tuple[str, type[Handler]]
) -> None:
    address, handler = server
    handler.files, handler.stated = {"/cat.ndjson": DRAWINGS}, b"0" * 16
    with pytest.raises(ValueError, match=r"must have the MD5 3030.*, got .*; download it again"):
        list(fetch.get_quickdraw(tmp_path, ["cat"], address=address))
    assert names(tmp_path) == []


def test_a_missing_file_is_the_servers_word(tmp_path: Path, server: tuple[str, type[Handler]]) -> None:
    with pytest.raises(OSError, match=r"cat.ndjson cannot be had: the server says 404 Not Found"):
        list(fetch.get_quickdraw(tmp_path, ["cat"], address=server[0]))
    assert list(tmp_path.rglob("*")) == []


def test_without_a_network_there_is_one_line_and_nothing_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetch.get_quickdraw, "__kwdefaults__", {"address": "http://127.0.0.1:9"})
    assert main(["data", "get", "quickdraw", "--out", str(tmp_path / "new"), "--classes", "cat"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot be reached" in error
    assert "a network is needed" in error
    assert not (tmp_path / "new").exists()


def test_an_unknown_class_is_an_error_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be one of Quick, Draw!'s 345, got girafe; near it: giraffe"):
        list(fetch.get_quickdraw(tmp_path, ["cat", "girafe"], address="http://127.0.0.1:9"))


def caltech(*members: str) -> bytes:
    """A zip file with the tar file inside, as Caltech publishes it."""
    inner, outer = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for name in members:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("101_ObjectCategories/ant/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("caltech-101/101_ObjectCategories.tar.gz", inner.getvalue())
        archive.writestr("caltech-101/Annotations.tar", b"")
    return outer.getvalue()


MEMBERS = [
    "101_ObjectCategories/ant/image_0001.jpg", "101_ObjectCategories/ant/image_0002.jpg",
    "101_ObjectCategories/bass/image_0001.jpg", "101_ObjectCategories/ant/._image_0001.jpg",
    "../../outside/image_0001.jpg", "101_ObjectCategories/../image_0009.jpg", "101_ObjectCategories/notes.txt",
]  # fmt: skip


def test_caltech_is_unpacked_into_class_folders_and_nothing_leaves_them(
    tmp_path: Path, server: tuple[str, type[Handler]]
) -> None:
    address, handler = server
    handler.files = {"/c.zip": caltech(*MEMBERS)}
    md5 = hashlib.md5(handler.files["/c.zip"]).hexdigest()
    out = tmp_path / "out"
    list(fetch.get_caltech(out, address=f"{address}/c.zip", md5=md5))
    assert names(tmp_path) == [
        "out/photo/ant/image_0001.jpg", "out/photo/ant/image_0002.jpg", "out/photo/bass/image_0001.jpg",
        "out/photo/outside/image_0001.jpg",
    ]  # fmt: skip
    assert (out / "photo/bass/image_0001.jpg").read_bytes() == MEMBERS[2].encode()


def test_some_classes_of_caltech_join_quickdraws_drawings(tmp_path: Path, server: tuple[str, type[Handler]]) -> None:
    address, handler = server
    classes = ["ant", "crab", "lobster"]
    archive = caltech(*(f"101_ObjectCategories/{name}/image_0001.jpg" for name in [*classes, "bass"]))
    handler.files = {f"/{name}.ndjson": DRAWINGS for name in classes} | {"/c.zip": archive}
    list(fetch.get_quickdraw(tmp_path, classes, address=address))
    md5 = hashlib.md5(archive).hexdigest()
    list(fetch.get_caltech(tmp_path, classes, address=f"{address}/c.zip", md5=md5))
    dataset = read_dataset(tmp_path)
    assert {item.class_name for item in dataset.items} == set(classes)
    asked = len(handler.asked)
    list(fetch.get_caltech(tmp_path, classes, address=f"{address}/c.zip", md5=md5))
    assert len(handler.asked) == asked, "what is there is not fetched again"


@pytest.mark.parametrize(("classes", "rule"), [(["unicorn"], "must be in the archive, unicorn are not"), ([], "MD5")])
def test_caltech_that_is_not_what_was_to_come_leaves_no_photos(
    tmp_path: Path, server: tuple[str, type[Handler]], classes: list[str], rule: str
) -> None:
    address, handler = server
    handler.files = {"/c.zip": caltech(*MEMBERS)}
    md5 = hashlib.md5(handler.files["/c.zip"]).hexdigest() if classes else fetch.CALTECH_MD5
    with pytest.raises(ValueError, match=rule):
        list(fetch.get_caltech(tmp_path, classes, address=f"{address}/c.zip", md5=md5))
    assert not (tmp_path / "photo").exists()
