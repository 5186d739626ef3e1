"""Atomic files that execute nothing when they are read."""

from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, strings and containers of them; a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    torch.save(state, part)
    part.replace(path)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save` wrote (`weights_only`: a hostile file is refused)."""
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state
