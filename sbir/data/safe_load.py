"""Arrays out of pickles, `.npy`, `.npz` and `.mat` files of other people, without executing anything in them."""

import io
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from sbir.data.items import Array

_CODES = re.compile(r"[<>|=]?(O8?|[biuf][1248])$")
_BROKEN = (
    AttributeError, EOFError, IndexError, KeyError, LookupError, MemoryError, NotImplementedError, OSError,
    OverflowError, pickle.UnpicklingError, RecursionError, struct.error, SyntaxError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def load_pickle(path: str | Path) -> Any:
    """What a pickle holds, where that is dicts, lists, strings, numbers and arrays of numbers; nothing of it is called.

    Raises `ValueError` on anything else, such as code.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return _plain(_Unpickler(stream).load())
    except _BROKEN as error:
        raise ValueError(f"{path} must be a pickle of plain arrays, got: {_short(error)}") from None


def load_array(path: str | Path) -> Array:
    """The array of a `.npy` file; its objects may be strings and arrays of numbers (others raise `ValueError`)."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            if not _has_objects(stream):
                return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            return _array(stream)
    except _BROKEN as error:
        raise ValueError(f"{path} must be an .npy file of plain arrays, got: {_short(error)}") from None


def load_arrays(path: str | Path, names: Sequence[str]) -> dict[str, Array]:
    """Arrays of an `.npz` file by name, those that it has; objects as in `load_array`."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in names if f"{name}.npy" in archive.namelist()]
            return {name: _array(io.BytesIO(archive.read(f"{name}.npy"))) for name in members}
    except _BROKEN as error:
        raise ValueError(f"{path} must be an .npz file of plain arrays, got: {_short(error)}") from None


def load_mat(path: str | Path, names: Sequence[str]) -> dict[str, Array]:
    """Variables of a MATLAB file before version 7.3; raises `ValueError` where one is missing."""
    import scipy.io

    path = Path(path)
    try:
        found = scipy.io.loadmat(str(path), variable_names=list(names))
    except (*_BROKEN, scipy.io.matlab.MatReadError) as error:
        raise ValueError(f"{path} must be a MATLAB file (version 7 or older), got: {_short(error)}") from None
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{path} must have the variables {', '.join(names)}, {', '.join(missing)} missing")
    return {name: np.asarray(found[name]) for name in names}


class _Unpickler(pickle.Unpickler):
    """An unpickler for which arrays are inert records; a pickle gets hold of no function that lives longer than it."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding="latin1")  # arrays pickled by Python 2
        self._known = _stand_ins()

    def find_class(self, module: str, name: str) -> Any:
        known = self._known.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which could run code")
        return known

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside itself")


class _Record:
    """An array or a type of numbers as the pickle describes it."""

    def __init__(self, *given: Any) -> None:
        self.given: Any = given

    def value(self) -> Array:
        raise NotImplementedError


def _stand_ins() -> Mapping[tuple[str, str], Callable[..., Any] | type]:
    """What stands for numpy's own functions; new for each pickle, so that none can change what the next one meets."""

    class Type(_Record):
        def __setstate__(self, state: Any) -> None:
            self.given = (str(self.given[0]), state[1])

        def dtype(self) -> np.dtype[Any]:
            code, order = str(self.given[0]), self.given[1] if len(self.given) == 2 else "="
            if not _CODES.match(code) or order not in ("<", ">", "|", "="):
                raise ValueError(f"an array of type {code!r}")
            plain: np.dtype[Any] = np.dtype(code)
            return plain.newbyteorder(">") if order == ">" else plain

    class Stored(_Record):
        def __setstate__(self, state: Any) -> None:
            self.given = state

        def value(self) -> Array:
            _, shape, kind, fortran, data = self.given
            return _shaped(data, kind.dtype(), shape, "F" if fortran else "C")

    class Buffer(_Record):
        def value(self) -> Array:
            data, kind, shape, order = self.given
            return _shaped(data, kind.dtype(), shape, order)

    def bare(*_: Any) -> Stored:
        return Stored()

    def encode(text: str, _: str = "latin1") -> bytes:
        return text.encode("latin1")

    return {
        ("numpy", "ndarray"): Stored,
        ("numpy", "dtype"): lambda code, *_: Type(code),
        ("numpy.core.multiarray", "_reconstruct"): bare,
        ("numpy.core.numeric", "_frombuffer"): Buffer,
        ("_codecs", "encode"): encode,
        ("__builtin__", "bytes"): lambda: b"",  # how Python 3 writes empty bytes for Python 2
    }


def _shaped(data: Any, dtype: np.dtype[Any], shape: Any, order: str) -> Array:
    lengths = tuple(int(length) for length in shape)
    if dtype.kind == "O":
        values: Array = np.empty(len(data), dtype=object)
        values[:] = [_plain(one) for one in data]
    else:
        values = np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype)
    return values.reshape(lengths, order="F" if order == "F" else "C")


def _plain(value: Any, done: dict[int, Any] | None = None) -> Any:
    """A pickle's content with arrays in place of their records; what it shares is visited once (`done`)."""
    done = {} if done is None else done
    if id(value) in done:
        return done[id(value)]
    if value is None or isinstance(value, str | bytes | int | float | bool):
        return value
    if isinstance(value, _Record):
        plain: Any = value.value()
    elif isinstance(value, dict):
        plain = {key: _plain(one, done) for key, one in value.items()}
    elif isinstance(value, list | tuple):
        plain = [_plain(one, done) for one in value]
    else:
        raise ValueError(f"a {type(value).__name__}")
    done[id(value)] = plain
    return plain


def _has_objects(stream: BinaryIO) -> bool:
    dtype = _header(stream)[2]
    stream.seek(0)
    return dtype.kind == "O"


def _array(stream: BinaryIO) -> Array:
    shape, fortran, dtype = _header(stream)
    order: Literal["F", "C"] = "F" if fortran else "C"
    if dtype.kind != "O":
        return np.asarray(np.frombuffer(stream.read(), dtype).reshape(shape, order=order))
    found = _plain(_Unpickler(stream).load())
    if not isinstance(found, np.ndarray):
        raise ValueError(f"a {type(found).__name__}")
    return found.reshape(shape, order=order)


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.kind not in "OUSbiuf":
        raise ValueError(f"an array of type {dtype}")
    return shape, fortran, dtype


def _short(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
