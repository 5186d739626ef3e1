"""A cluster file checked before `ray up` spends money: what Ray refuses, what it silently drops, what breaks later."""

import importlib.metadata
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Level = Literal["error", "warning", "note"]
Config = Mapping[str, Any]

PLACEHOLDERS = re.compile(r"REPLACE|\b(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+")  # and addresses kept for examples
NIGHTLY = re.compile(r"ray-wheels|\.dev0|nightly")
PINNED = re.compile(r"\bray(?:\[[\w,]*\])?==([\w.]+)")
IMAGE = re.compile(r"rayproject/(ray(?:-ml)?):([\d.]+)?")
AUTH = re.compile(r"RAY_AUTH_MODE=(\w+)")


@dataclass(frozen=True)
class Finding:
    """One thing to know: an error stops `ray up` or the sweep, a warning costs money or trials, a note explains."""

    level: Level
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.text}"


def preflight(path: Path, prices: Path | None = None) -> list[Finding]:
    """Check a cluster file of `ray up` without a network; `prices` is JSON: instance type (and "... spot") -> per hour.

    Raises `ValueError` where a file is no YAML or JSON at all.
    """
    given = _read_yaml(path)
    refused = _refused(given)
    if refused:
        return [Finding("error", refused)]
    filled = _filled(given)
    found = [
        *_placeholders(given),
        *_dropped(given, filled),
        *_ray_version(given, filled),
        *_images(given),
        *_authentication(filled),
        *_autoscaler(filled),
        *_nodes(filled),
        *_binding(filled),
    ]
    return [*found, *(_cost(filled, _read_prices(prices)) if prices else [])]


def _read_yaml(path: Path) -> Config:
    import yaml

    try:
        given = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} must be YAML: {error}") from None
    if not isinstance(given, dict):
        raise ValueError(f"{path} must be a mapping as `ray up` takes it, got {type(given).__name__}")
    return given


def _read_prices(path: Path) -> dict[str, float]:
    try:
        return {str(name): float(price) for name, price in json.loads(path.read_text()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} must be JSON such as {{"g6.xlarge": 0.8, "g6.xlarge spot": 0.3}}: {error}') from None


def _refused(given: Config) -> str | None:
    """What the installed Ray itself says against the file."""
    import jsonschema
    from ray.autoscaler._private.util import validate_config

    try:
        validate_config(_filled(given))
    except jsonschema.ValidationError as error:
        place = ".".join(str(part) for part in error.absolute_path) or "top level"
        return f"Ray {_installed()} refuses the file at {place}: {error.message}"
    except (ValueError, KeyError, RuntimeError, AssertionError, TypeError) as error:
        return f"Ray {_installed()} refuses the file: {error}"
    return None


def _filled(given: Config) -> dict[str, Any]:
    """The file with Ray's defaults, as `ray up` would use it."""
    import copy

    from ray.autoscaler._private.util import prepare_config

    logger = logging.getLogger("ray.autoscaler._private.util")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        filled: dict[str, Any] = prepare_config(copy.deepcopy(dict(given)))
    finally:
        logger.setLevel(before)
    return filled


def _installed() -> str:
    return importlib.metadata.version("ray")


def _placeholders(given: Config) -> Iterator[Finding]:
    for place, text in _strings(given):
        if found := PLACEHOLDERS.search(text):
            yield Finding("error", f"{place} still has the placeholder {found[0]}; put your own value there")


def _dropped(given: Config, filled: Config) -> Iterator[Finding]:
    if "min_workers" in given and "available_node_types" in given:
        yield Finding(
            "warning", "min_workers at the top level is dropped by Ray: set it in each of available_node_types"
        )
    timeout = filled.get("idle_timeout_minutes", 5)
    if timeout < 5:
        yield Finding("warning", f"idle_timeout_minutes is {timeout}: workers go between two phases; take 10")


def _ray_version(given: Config, filled: Config) -> Iterator[Finding]:
    commands = _commands(filled, "setup")
    if nightly := next((command for command in commands if NIGHTLY.search(command)), None):
        why = "Ray's default" if not given.get("setup_commands") else "your setup_commands"
        yield Finding("error", f"{why} installs a nightly Ray ({nightly[:60]} ...); pin ray=={_installed()}")
        return
    pins = {pin for command in commands for pin in PINNED.findall(command)}
    if wrong := sorted(pins - {_installed()}):
        yield Finding("error", f"Ray must be {_installed()} on every node, as it is here, got {', '.join(wrong)}")
    if not pins and not any("constraints.txt" in command for command in commands):
        yield Finding("note", f"no command pins Ray: every node must have {_installed()}, as it is here")


def _images(given: Config) -> Iterator[Finding]:
    for place, text in _strings(given):
        for name, version in IMAGE.findall(text):
            if name == "ray-ml":
                yield Finding("error", f"{place}: rayproject/ray-ml stands still at Ray 2.30; take rayproject/ray")
            elif version and version != _installed():
                yield Finding("error", f"{place}: the image has Ray {version}, here it is {_installed()}")


def _authentication(filled: Config) -> Iterator[Finding]:
    modes = {
        side: {mode for command in filled[f"{side}_start_ray_commands"] for mode in AUTH.findall(command)}
        for side in ("head", "worker")
    }
    if modes["head"] != modes["worker"]:
        yield Finding("error", f"RAY_AUTH_MODE must be equal in both lists of start commands, got {modes}")
    elif not modes["head"]:
        yield Finding(
            "warning", "no RAY_AUTH_MODE in the start commands: a token on the head alone would keep workers out"
        )
    elif modes["head"] == {"token"} and not any("auth_token" in path for path in filled.get("file_mounts", {})):
        yield Finding("error", "RAY_AUTH_MODE=token needs ~/.ray/auth_token on every node: add it to file_mounts")


def _autoscaler(filled: Config) -> Iterator[Finding]:
    head = filled["head_start_ray_commands"]
    if filled["provider"]["type"] == "local" and not any("RAY_enable_autoscaler_v2=0" in command for command in head):
        yield Finding(
            "error",
            "Ray's second autoscaler never starts the workers of the local provider: put RAY_enable_autoscaler_v2=0 "
            "before `ray start --head`",
        )


def _nodes(filled: Config) -> Iterator[Finding]:
    head = filled.get("head_node_type")
    for name, node in filled.get("available_node_types", {}).items():
        spot = "InstanceMarketOptions" in node.get("node_config", {})
        if name == head and spot:
            yield Finding("error", f"{name} is the head and a spot instance: losing it ends the cluster; drop that")
        if name == head and node.get("resources", {}).get("CPU") != 0 and filled["provider"]["type"] != "local":
            yield Finding("note", f"{name} runs trials too; resources: {{CPU: 0}} keeps them off the head")
        if name != head and not spot and filled["provider"]["type"] == "aws":
            yield Finding("note", f"{name} is on demand; spot costs a fraction, and trials survive its end")


def _binding(filled: Config) -> Iterator[Finding]:
    if any("--dashboard-host=0.0.0.0" in command for command in filled["head_start_ray_commands"]):
        yield Finding("warning", "the dashboard listens on every interface; take --dashboard-host=127.0.0.1")


def _cost(filled: Config, prices: Mapping[str, float]) -> Iterator[Finding]:
    types, head = filled.get("available_node_types", {}), filled.get("head_node_type")
    hourly = {name: _price(node, prices) for name, node in types.items()}
    unknown = sorted(name for name, price in hourly.items() if price is None)
    if unknown:
        yield Finding("warning", f"the price table lacks the instance types of {', '.join(unknown)}")
        return
    known = {name: price for name, price in hourly.items() if price is not None}
    workers = [known[name] for name in types for _ in range(types[name].get("max_workers", 0)) if name != head]
    most = sum(sorted(workers, reverse=True)[: filled.get("max_workers", 0)])
    base = known.get(str(head), 0.0)
    yield Finding("note", f"per hour: {base:.2f} idle, at most {base + most:.2f} with all workers; disks come on top")


def _price(node: Config, prices: Mapping[str, float]) -> float | None:
    config = node.get("node_config", {})
    spot = " spot" if "InstanceMarketOptions" in config else ""
    return prices.get(f"{config.get('InstanceType')}{spot}")


def _commands(filled: Config, kind: str) -> list[str]:
    return [*filled.get(f"head_{kind}_commands", []), *filled.get(f"worker_{kind}_commands", [])]


def _strings(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _strings(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _strings(inner, f"{place}[{at}]")
