"""Runs that come back from `--mirror` to a machine that does not hold them."""

import json
from typing import Any

from sbir.tuning.folder import JOURNAL, MANIFEST, SUMMARY, open_runs
from sbir.tuning.mirror import fetch, listing, open_storage
from sbir.tuning.options import Options

PROBE = "probe.part"


def restore(options: Options, request: dict[str, Any]) -> None:
    """Fetch the run that `--name` names, or the script's last interrupted one, where the mirror has it and we do not.

    Raises `ValueError` where the mirror cannot be written, or holds more of a run than this machine does.
    """
    filesystem, base = open_storage(str(options.mirror))
    _check_writable(filesystem, base, str(options.mirror))
    name = options.name or (None if open_runs(options, request) else _interrupted(filesystem, base, options, request))
    manifest = None if name is None else _read(filesystem, f"{base}/{name}/{MANIFEST}")
    if name is None or manifest is None:
        return
    folder = options.runs / name
    if not (folder / MANIFEST).exists():
        options.runs.mkdir(parents=True, exist_ok=True)
        fetch(filesystem, f"{base}/{name}", folder)
        print(f"{folder} was fetched from the mirror")
        return
    if _num_extensions((folder / MANIFEST).read_bytes()) > _num_extensions(manifest):
        return  # extended since the last copy, for which the journal was written anew
    there, here = _read(filesystem, f"{base}/{name}/{JOURNAL}") or b"", _whole_lines((folder / JOURNAL).read_bytes())
    if not here.startswith(_whole_lines(there)):
        raise ValueError(
            f"a run goes on where it has come furthest, the mirror's {name} holds trials that {folder} lacks; move "
            f"{folder} away to go on with the mirror's, or take another --mirror"
        )


def _check_writable(filesystem: Any, base: str, uri: str) -> None:
    try:
        if filesystem.type_name == "local":
            filesystem.create_dir(base, recursive=True)
        with filesystem.open_output_stream(f"{base}/{PROBE}") as probe:
            probe.write(b"sbir")
        filesystem.delete_file(f"{base}/{PROBE}")
    except OSError as error:
        text = " ".join(str(error).split())
        raise ValueError(f"--mirror must be storage that can be written, {uri} is not: {text}") from None


def _interrupted(filesystem: Any, base: str, options: Options, request: dict[str, Any]) -> str | None:
    """The script's last mirrored run with this request that has not ended and is not here."""
    files = dict(listing(filesystem, base))
    names = {path.partition("/")[0] for path in files if path.startswith(f"{options.script}-")}
    found = []
    for name in names:
        text = _read(filesystem, f"{base}/{name}/{MANIFEST}")
        ended = f"{name}/{SUMMARY}" in files or (options.runs / name).exists()
        if text is not None and not ended and json.loads(text)["request"] == request:
            found.append(name)
    return max(found, key=lambda name: files[f"{name}/{MANIFEST}"].mtime_ns, default=None)


def _read(filesystem: Any, path: str) -> bytes | None:
    from pyarrow import fs

    if filesystem.get_file_info(path).type != fs.FileType.File:
        return None
    with filesystem.open_input_stream(path) as file:
        text: bytes = file.read()
    return text


def _num_extensions(manifest: bytes) -> int:
    return len(json.loads(manifest).get("extensions", []))


def _whole_lines(text: bytes) -> bytes:
    return text[: text.rfind(b"\n") + 1]
