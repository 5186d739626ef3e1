"""Cluster files: those of the repository, and each thing that the check is there to find."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sbir.cli import main
from sbir.tuning.preflight import Finding, preflight

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster.yaml"
FILES = (CLUSTER, ROOT / "deploy/lab.yaml")


def edited(folder: Path, **changes: Any) -> Path:
    """cluster.yaml with its placeholders filled in and some top-level keys changed (None: removed)."""
    config = yaml.safe_load(CLUSTER.read_text().replace("ami-REPLACE", "ami-0123456789abcdef0"))
    for key, value in changes.items():
        if value is None:
            del config[key]
        else:
            config[key] = value
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def nodes(name: str, **changes: Any) -> dict[str, Any]:
    types: dict[str, Any] = copy.deepcopy(yaml.safe_load(CLUSTER.read_text())["available_node_types"])
    for node in types.values():
        node["node_config"]["ImageId"] = "ami-0123456789abcdef0"
    types[name] = {**types[name], **changes}
    return types


def texts(found: list[Finding], level: str) -> str:
    return "\n".join(finding.text for finding in found if finding.level == level)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_our_own_files_lack_nothing_but_the_users_values(path: Path) -> None:
    found = preflight(path)
    assert {finding.level for finding in found} <= {"error", "note"}
    errors = texts(found, "error").splitlines()
    assert errors
    assert all("placeholder" in line for line in errors)


def test_filled_in_the_cluster_file_is_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preflight", str(edited(tmp_path))]) == 0
    assert "no errors" in capsys.readouterr().out


def test_an_error_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preflight", str(CLUSTER)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


STARTS = {
    "head_start_ray_commands": ["RAY_AUTH_MODE=token ray start --head"],
    "worker_start_ray_commands": ["RAY_AUTH_MODE=token ray start --address=$RAY_HEAD_IP:6379"],
}
FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"max_wrokers": 3}, "error", "max_wrokers"),
    ({"provider": {"type": "aws", "region": 3}}, "error", "provider.region"),
    ({"min_workers": 2}, "warning", "min_workers at the top level is dropped"),
    (
        {"available_node_types": nodes("gpu", min_workers=9)},
        "error",
        "smaller than the sum of `min_workers`",
    ),
    ({"idle_timeout_minutes": 1}, "warning", "idle_timeout_minutes is 1"),
    ({"setup_commands": None}, "error", "Ray's default installs a nightly Ray"),
    ({"head_setup_commands": ["pip install 'ray[default]==2.9.0'"]}, "error", "got 2.9.0"),
    ({"head_setup_commands": []}, "note", "no command pins Ray"),
    (
        {"docker": {"image": "rayproject/ray-ml:latest-gpu", "container_name": "ray"}},
        "error",
        "stands still at Ray 2.30",
    ),
    (
        {"docker": {"image": "rayproject/ray:2.9.0-py311-gpu", "container_name": "ray"}},
        "error",
        "the image has Ray 2.9.0",
    ),
    ({"worker_start_ray_commands": ["ray start --address=$RAY_HEAD_IP:6379"]}, "error", "equal in both lists"),
    (STARTS, "error", "auth_token on every node"),
    (
        {key: [command.replace("RAY_AUTH_MODE=token ", "") for command in value] for key, value in STARTS.items()},
        "warning",
        "no RAY_AUTH_MODE",
    ),
    ({"head_node_type": "gpu"}, "error", "gpu is the head and a spot instance"),
    ({"available_node_types": nodes("head", resources={})}, "note", "head runs trials too"),
    ({"available_node_types": nodes("gpu", node_config={"InstanceType": "g6.xlarge"})}, "note", "gpu is on demand"),
    (
        {"head_start_ray_commands": ["RAY_AUTH_MODE=disabled ray start --head --dashboard-host=0.0.0.0"]},
        "warning",
        "listens on every interface",
    ),
]


@pytest.mark.parametrize(("changes", "level", "text"), FAULTS, ids=[text for *_, text in FAULTS])
def test_each_fault_is_found_and_named(tmp_path: Path, changes: dict[str, Any], level: str, text: str) -> None:
    assert text not in texts(preflight(edited(tmp_path)), level)  # it is the change that brings it
    assert text in texts(preflight(edited(tmp_path, **changes)), level)


def test_workers_of_a_lab_that_would_never_be_started_are_an_error(tmp_path: Path) -> None:
    lab = (ROOT / "deploy/lab.yaml").read_text()
    path = tmp_path / "lab.yaml"
    path.write_text(lab)
    assert "never starts the workers" not in texts(preflight(path), "error")
    path.write_text(lab.replace(" RAY_enable_autoscaler_v2=0", ""))
    assert "never starts the workers" in texts(preflight(path), "error")


def test_the_price_is_that_of_the_head_and_of_head_and_all_workers(tmp_path: Path) -> None:
    path, prices = edited(tmp_path, max_workers=3), tmp_path / "prices.json"
    prices.write_text('{"m6i.2xlarge": 0.4, "g6.xlarge": 9.0, "g6.xlarge spot": 0.25}')
    assert "0.40 idle, at most 1.15 with all workers" in texts(preflight(path, prices), "note")  # 0.4 + 3 * 0.25
    prices.write_text('{"m6i.2xlarge": 0.4}')
    assert "lacks the instance types of gpu" in texts(preflight(path, prices), "warning")


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", ""])
def test_what_is_no_cluster_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="must be"):
        preflight(path)


def test_the_kubernetes_file_has_the_pinned_ray() -> None:
    job = yaml.safe_load((ROOT / "deploy/kuberay.yaml").read_text())
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())["ray"]
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == pinned
