"""Atomic files that execute nothing when they are read: a trial's state, and a model's tensors."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


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


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors as safetensors, the format that other tools read too; whole or not at all."""
    from safetensors.torch import save as as_bytes

    part = path.with_name(f"{path.name}.part")
    # Cloned, since the format has no tensors that share memory.
    part.write_bytes(as_bytes({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}))
    part.replace(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises `ValueError` where it is none or was cut short."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} must be a whole safetensors file, reading it failed: {error}") from None
    return tensors


def write_problem(folder: Path) -> str | None:
    """What keeps files from being written into a folder, in the system's words; None where 64 kB can be written."""
    probe = folder / "probe.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(1 << 16))
    except OSError as error:
        return f"writing to {folder} failed: {error.strerror}"
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return None
