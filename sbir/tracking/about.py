"""What a figure rests on, as a few flat entries of every W&B run's config: nothing of the environment but versions."""

from collections.abc import Mapping
from typing import Any

ROW, LINE = "about/row", "about/line"  # what dashboards group by: a line of the table, and that in its fingerprint


def about(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Code, data, split, protocol and machine of a run, from its manifest; what it does not know is left out.

    >>> about({"name": "first", "git": {"commit": "7e85", "dirty": None}, "protocol": {"fingerprint": "c84831a5"}})
    {'about/sweep': 'first', 'about/commit': '7e85', 'about/fingerprint': 'c84831a5'}
    """
    data, protocol = manifest.get("data") or {}, manifest.get("protocol") or {}
    git, backbone = manifest.get("git") or {}, manifest.get("backbone") or {}
    versions = manifest.get("versions") or {}
    found = {
        "sweep": manifest.get("name"),
        "script": manifest.get("script"),
        "stage": manifest.get("stage"),
        "scale": manifest.get("scale"),
        "commit": git.get("commit"),
        "uncommitted": git.get("dirty"),  # hash of the difference, which stays in the run's folder
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items() if number),
        "device": manifest.get("device"),
        "dataset": data.get("dataset"),
        "synthetic": data.get("synthetic"),
        "data_hash": data.get("content_hash"),
        "split": data.get("split"),
        "split_hash": data.get("split_hash"),
        "backbone": ", ".join(str(backbone[key]) for key in ("name", "weights") if backbone.get(key)),
        "given": manifest.get("given"),
        "protocol": protocol.get("name"),
        "fingerprint": protocol.get("fingerprint"),
        "metric": manifest.get("metric"),
    }
    return {f"about/{key}": value for key, value in found.items() if value not in (None, "")}


def line_of(protocol: Mapping[str, Any], row: str) -> str:
    """A line of the table, told apart from the same one under another protocol."""
    return f"{row} {protocol.get('fingerprint', '')}".strip()


def row_of(protocol: Mapping[str, Any], row: str) -> dict[str, str]:
    """The line of the table that a W&B run belongs to."""
    return {ROW: row, LINE: line_of(protocol, row)}


def marks(manifest: Mapping[str, Any]) -> list[str]:
    """Tags without which no result of the run may be shown."""
    synthetic = bool((manifest.get("data") or {}).get("synthetic"))
    found = {"synthetic": synthetic, "demo scale": manifest.get("scale") == "demo"}
    return [mark for mark, holds in found.items() if holds]
