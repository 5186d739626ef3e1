import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sbir.data import doodles
from sbir.data.cache import cache_folder, embedded_store
from sbir.data.smoke import write_smoke_store


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-ins for the generator and the extraction, which note that they were called."""
    made: list[str] = []

    def write_doodles(root: Path, **settings: Any) -> None:
        made.append(f"doodles {settings['size']} {settings['seed']}")
        root.mkdir()
        (root / "doodles.json").write_text(
            json.dumps({"version": doodles.VERSION, **settings, "synthetic": True, "files": 0})
        )

    def extract(root: Path, out: Path, **settings: Any) -> Path:
        made.append(" ".join(str(value) for value in settings.values()))
        write_smoke_store(out, texts="variant" in settings)
        return out

    monkeypatch.setenv("SBIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sbir.data.doodles.write_doodles", write_doodles)
    monkeypatch.setattr("sbir.features.extract.extract", extract)
    return made


def test_the_embedded_data_are_made_once(calls: list[str], tmp_path: Path) -> None:
    first = embedded_store()
    assert calls == ["doodles demo 0", "vgg16 random 64 64 100 0"]
    assert embedded_store() == first
    assert len(calls) == 2
    assert first.parent == tmp_path / "cache"


def test_the_store_of_texts_is_made_of_the_same_doodles(calls: list[str]) -> None:
    drawn, written = embedded_store(), embedded_store(texts=True)
    assert calls == ["doodles demo 0", "vgg16 random 64 64 100 0", "none 64 text=en 0"]
    assert written != drawn
    assert embedded_store(texts=True) == written
    assert len(calls) == 3


def test_another_version_of_the_generator_is_another_store(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = embedded_store()
    monkeypatch.setattr("sbir.data.doodles.VERSION", 99)
    assert embedded_store() != first
    assert len(calls) == 4


def test_a_damaged_store_is_made_again(calls: list[str], caplog: pytest.LogCaptureFixture) -> None:
    path = embedded_store() / "part-00000.arrow"
    path.write_bytes(path.read_bytes()[:-10])
    embedded_store()
    assert calls == ["doodles demo 0", "vgg16 random 64 64 100 0", "vgg16 random 64 64 100 0"]
    assert "it was cut short" in caplog.text


@pytest.mark.parametrize("harm", ["version", "file", "about"])
def test_data_of_another_version_or_with_other_files_are_made_again(
    calls: list[str], caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    store = embedded_store()
    data = store.parent / f"doodles-{doodles.VERSION}-demo"
    about = json.loads((data / "doodles.json").read_text())
    if harm == "version":
        (data / "doodles.json").write_text(json.dumps(about | {"version": doodles.VERSION - 1}))
    elif harm == "file":
        (data / "doodles.json").write_text(json.dumps(about | {"files": 1}))
    else:
        (data / "doodles.json").unlink()
    shutil.rmtree(store)
    embedded_store()
    assert calls == ["doodles demo 0", "vgg16 random 64 64 100 0"] * 2
    assert "doodles are damaged or of another version" in caplog.text


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SBIR_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/sbir")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/sbir")
    monkeypatch.setenv("SBIR_CACHE", "/y")
    assert cache_folder() == Path("/y")
