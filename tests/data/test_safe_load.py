import collections
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from sbir.data.safe_load import load_array, load_arrays, load_mat, load_pickle

ARRAYS = {
    "float64": np.arange(6.0).reshape(2, 3),
    "int16": np.arange(6, dtype=np.int16).reshape(3, 2),
    "column order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big end first": np.arange(3, dtype=">i4"),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
}


class Runs:
    """Writes a file when a plain unpickler meets it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_come_out_of_a_pickle_as_they_went_in(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "arrays"
    path.write_bytes(pickle.dumps({**ARRAYS, "numbers": [1, 2.5, "a", None]}, protocol=protocol))
    found = load_pickle(path)
    assert found.pop("numbers") == [1, 2.5, "a", None]
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype, name
        assert np.array_equal(found[name], array), name


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    """Protocol 2 as Python 2 wrote it: the bytes of an array are a plain string there."""
    raw = np.array([1.5, -2]).tobytes()
    head = b"\x80\x02}q\x00U\x01aq\x01cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    state = (
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    path = tmp_path / "two"
    path.write_bytes(head + state + b"\x89U" + bytes([len(raw)]) + raw + b"tbs.")
    assert load_pickle(path)["a"].tolist() == [1.5, -2.0]


TWO_BY_THREE = b"K\x02K\x03\x86"
HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "a call": lambda mark: pickle.dumps({"train/1_1": Runs(mark)}),
    "a call in an array of objects": lambda mark: pickle.dumps(np.array([Runs(mark)], dtype=object)),
    "eval": lambda mark: b"cbuiltins\neval\n(S\"open(%r, 'w')\"\ntR." % str(mark).encode(),
    "an old instruction for instances": lambda mark: b"(S'touch %s'\nios\nsystem\n." % str(mark).encode(),
    "an attribute of an attribute": lambda mark: b"\x80\x04\x8c\x05numpy\x8c\x0af2py.crackR\x93.",
    "numpy's own loader": lambda mark: b"cnumpy\nload\n(S'x'\ntR.",
    "a class of another package": lambda mark: pickle.dumps(collections.OrderedDict(a=1)),
    "an object outside itself": lambda mark: b"Pabc\n.",
    "a type of objects": lambda mark: b"cnumpy\ndtype\n(S'V8'\ntR.",
    "a wrong length": lambda mark: pickle.dumps(ARRAYS["float64"]).replace(TWO_BY_THREE, b"K\x7fK\x7f\x86"),
    "a list that holds itself": lambda mark: b"]q\x00h\x00a.",
    "a length beyond memory": lambda mark: b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "cut short": lambda mark: pickle.dumps(ARRAYS)[:-40],
    "nothing": lambda mark: b"",
    "no pickle": lambda mark: b"GIF89a",
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_is_not_plain_is_refused_and_nothing_runs(tmp_path: Path, kind: str) -> None:
    mark, path = tmp_path / "ran", tmp_path / "file"
    path.write_bytes(HOSTILE[kind](mark))
    with pytest.raises(ValueError, match=r"file must be a pickle of plain arrays, got: ."):
        load_pickle(path)
    assert not mark.exists()


def test_a_plain_unpickler_would_have_run_it(tmp_path: Path) -> None:
    pickle.loads(HOSTILE["a call"](tmp_path / "ran"))
    assert (tmp_path / "ran").exists()


def test_a_pickle_cannot_change_how_the_next_one_is_read(tmp_path: Path) -> None:
    setting = b"cnumpy\nndarray\n(N}S'value'\nS'poison'\nstb."  # BUILD with a slot state: setattr on what it found
    (tmp_path / "bad").write_bytes(
        b"\x80\x02cnumpy.core.numeric\n_frombuffer\nN}X\x05\x00\x00\x00valueX\x01\x00\x00\x00xs\x86b."
    )
    (tmp_path / "worse").write_bytes(setting)
    for name in ("bad", "worse"):
        with pytest.raises(ValueError, match="plain arrays"):
            load_pickle(tmp_path / name)
    for protocol in (2, 5):
        (tmp_path / "good").write_bytes(pickle.dumps(ARRAYS, protocol=protocol))
        assert np.array_equal(load_pickle(tmp_path / "good")["float64"], ARRAYS["float64"])


def test_npy_and_npz_files_of_objects_are_read_without_plain_pickle(tmp_path: Path) -> None:
    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.array([[1, 2, 0]], np.int16), np.array([[3, 4, 1], [5, 6, 1]], np.int16)]
    np.save(tmp_path / "a.npy", ragged)
    np.savez(tmp_path / "a.npz", train=ragged, other=np.ones(3))
    for found in (load_array(tmp_path / "a.npy"), load_arrays(tmp_path / "a.npz", ("train", "test"))["train"]):
        assert [one.tolist() for one in found] == [one.tolist() for one in ragged]
    assert load_arrays(tmp_path / "a.npz", ("other",))["other"].tolist() == [1, 1, 1]


def test_npy_and_npz_files_with_code_are_refused_and_nothing_runs(tmp_path: Path) -> None:
    bad = np.empty(1, dtype=object)
    bad[0] = Runs(tmp_path / "ran")
    np.save(tmp_path / "a.npy", bad)
    np.savez(tmp_path / "a.npz", train=bad)
    with pytest.raises(ValueError, match=r"a.npy must be an .npy file of plain arrays, got: it asks for posix.system"):
        load_array(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"a.npz must be an .npz file of plain arrays, got: it asks for posix.system"):
        load_arrays(tmp_path / "a.npz", ("train",))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"text"])
def test_damaged_arrays_are_named(tmp_path: Path, content: bytes) -> None:
    for name, load in (("a.npy", load_array), ("a.npz", lambda path: load_arrays(path, ("train",)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} must be an .np"):
            load(tmp_path / name)


def test_a_header_with_code_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': __import__('os').system('touch ran'), 'fortran_order': False, 'shape': (1,)}\n"
    stream = io.BytesIO(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("train.npy", stream.getvalue())
    with pytest.raises(ValueError, match="plain arrays"):
        load_arrays(tmp_path / "a.npz", ("train",))


def test_mat_files_give_their_variables_or_say_what_is_missing(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"data": np.ones((2, 3)), "other": 1})
    assert load_mat(tmp_path / "a.mat", ("data",))["data"].shape == (2, 3)
    with pytest.raises(ValueError, match=r"a.mat must have the variables data, more, more missing"):
        load_mat(tmp_path / "a.mat", ("data", "more"))


@pytest.mark.parametrize(
    "content", [b"", b"MATLAB 5.0 MAT-file" + b"\0" * 200, b"\x89HDF\r\n\x1a\n" + b"\0" * 200, b"x" * 300]
)
def test_damaged_mat_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.mat must (be a MATLAB file|have the variables)"):
        load_mat(tmp_path / "a.mat", ("data",))
