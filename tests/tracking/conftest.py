"""A W&B server on loopback that can refuse or stall, knowing just what wandb-core and wandb-workspaces ask for."""

import base64
import json
import re
import runpy
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sbir.report.load import load_run
from sbir.tracking.finished import write_finished
from sbir.tracking.segment import FOLDER, Segment, write_segment
from sbir.tracking.sync import sync_run

SECRET = "a-secret-of-the-environment"
KEY = "0123456789abcdef" * 2 + "01234567"  # forty characters, as W&B's keys have
ENTITY = "lab"


@dataclass
class Server:
    """What was received, and how the next requests are to be answered."""

    url: str = ""
    keys: set[str] = field(default_factory=set)  # API keys that requests bore
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  # run id -> group, job type, tags, config, summary
    upserts: list[str] = field(default_factory=list)  # run ids, in order
    history: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)  # run id -> line -> row
    exits: list[str] = field(default_factory=list)  # runs whose end was told, in order
    files: dict[str, bytes] = field(default_factory=dict)  # "<run id>/<name>" -> content
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> name, displayName, type, spec
    saved: list[str] = field(default_factory=list)  # ids of views, in order
    queries: list[str] = field(default_factory=list)
    refuse: int = 0  # so many file-stream requests are answered 429 with Retry-After
    waits: list[float] = field(default_factory=list)  # seconds between a refusal and the next try
    forbid: bool = False
    stall_after: int | None = None  # no request is answered once so many runs have ended
    refused_at: float = 0.0
    projects: set[str] = field(default_factory=set)

    @property
    def stalled(self) -> bool:
        return self.stall_after is not None and len(self.exits) >= self.stall_after


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server on a free port; the environment names it and holds a key, and nothing else of the machine's W&B."""
    with serving(monkeypatch, tmp_path) as state:
        yield state


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> Iterator[Server]:
    state = Server()

    class Handler(_Handler):
        server_state = state

    for name in ("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_MODE", "WANDB_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(scratch / "home"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(scratch / "cache"))
    with _Quiet(("127.0.0.1", 0), Handler) as listening:
        state.url = f"http://127.0.0.1:{listening.server_address[1]}"
        monkeypatch.setenv("WANDB_BASE_URL", state.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
        yield state
        state.stall_after = None
        listening.shutdown()


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished run of one method: 6 search trials, 3 refits, 4 baselines; chance and ceiling beside them."""
    return write_finished_run(tmp_path / "runs/cross_modal-1")


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """Such a run and two trials, written here and synced from there, with a secret in the environment."""
    scratch = tmp_path_factory.mktemp("synced")
    run = write_finished_run(scratch / "first/cross_modal-1")
    with pytest.MonkeyPatch.context() as monkeypatch, serving(monkeypatch, scratch) as state:
        monkeypatch.setenv("SOMEBODYS_TOKEN", SECRET)
        add_trials(run, 2)
        write_finished(load_run(run), pictures=False)
        moved = Path(shutil.move(run, scratch / "cross_modal-1"))
        sync_run(moved)
        yield state, moved


def write_finished_run(folder: Path) -> Path:
    """As the tests of the report write it."""
    report = runpy.run_path(str(Path(__file__).parents[1] / "report/conftest.py"))
    return Path(report["write_run"](folder, num_trials=6))


def add_trials(run: Path, count: int) -> None:
    for number in range(count):
        rows = [{"step": 10 * at, "val/map_all": 0.25 * at} for at in (1, 2, 3)]
        trial = Segment(f"{run.name}-cross_modal-{number}", run.name, "cross_modal", f"trial {number}", rows=rows)
        write_segment(trial, run / FOLDER)


@pytest.fixture
def trials_of() -> Any:
    """Writes so many trials' W&B runs into a run's folder."""
    return add_trials


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a stalled request must not keep the test

    def handle_error(self, *_: Any) -> None:
        """A killed client's connection is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self.server_state.files[self.path.removeprefix("/upload/")] = self._body()
        self._answer({})

    def do_POST(self) -> None:
        state, body = self.server_state, self._body()
        if given := self.headers.get("Authorization", "").removeprefix("Basic "):
            state.keys.add(base64.b64decode(given).decode().partition(":")[2])
        while state.stalled:
            time.sleep(0.05)
        if state.forbid:
            self._answer({"errors": [{"message": "permission denied"}]}, status=403)
        elif self.path.endswith("/file_stream"):
            self._file_stream(self.path.split("/")[-2], json.loads(body))
        elif self.path == "/graphql":
            request = json.loads(body)
            self._answer({"data": _graphql(state, request["query"], request.get("variables") or {})})
        else:
            self._answer({})

    def _file_stream(self, run: str, given: dict[str, Any]) -> None:
        state = self.server_state
        if state.refused_at:
            state.waits.append(time.monotonic() - state.refused_at)
            state.refused_at = 0.0
        if state.refuse:
            state.refuse -= 1
            state.refused_at = time.monotonic()
            self._answer({"error": "rate limit exceeded"}, status=429, headers={"Retry-After": "2"})
            return
        chunk = (given.get("files") or {}).get("wandb-history.jsonl", {"offset": 0, "content": []})
        rows = state.history.setdefault(run, {})
        rows.update({chunk["offset"] + at: json.loads(row) for at, row in enumerate(chunk["content"])})
        for row in (given.get("files") or {}).get("wandb-summary.json", {"content": []})["content"]:
            state.runs[run]["summary"] = json.loads(row)
        if given.get("complete"):
            state.exits.append(run)
        self._answer({"exitcode": None, "limits": {}})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        for name, content in {"Content-Length": str(len(text)), **(headers or {})}.items():
            self.send_header(name, content)
        self.end_headers()
        self.wfile.write(text)


def _graphql(state: Server, query: str, given: dict[str, Any]) -> dict[str, Any]:
    found = re.search(r"(?:query|mutation)\s+(\w+)", query)
    name = found[1] if found else ""
    state.queries.append(name)
    return _ANSWERS[name](state, given) if name in _ANSWERS else {}


def _upsert_bucket(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    run = given["name"]
    state.upserts.append(run)
    state.projects.add(given["project"])
    told = {key: value for key, value in given.items() if value is not None}
    state.runs.setdefault(run, {}).update(told)
    project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": ENTITY}}
    bucket = {"id": f"id-{run}", "name": run, "displayName": run, "project": project, "historyLineCount": 0}
    return {"upsertBucket": {"bucket": bucket, "inserted": True}}


def _create_run_files(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    files = [{"name": name, "uploadUrl": f"{state.url}/upload/{given['run']}/{name}"} for name in given["files"]]
    return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}


def _create_artifact(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    told = given["input"]
    name = told["artifactCollectionName"]
    state.artifacts[name] = {"type": told["artifactTypeName"], "files": [], "committed": False}
    artifact = {"id": name, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
    return {"createArtifact": {"artifact": artifact}}


def _create_artifact_manifest(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    file = {"id": "f", "uploadUrl": f"{state.url}/upload/{given['artifactID']}/manifest", "uploadHeaders": []}
    return {"createArtifactManifest": {"artifactManifest": {"id": given["artifactID"], "file": file}}}


def _update_artifact_manifest(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    found = _create_artifact_manifest(state, {"artifactID": given["artifactManifestID"]})
    return {"updateArtifactManifest": found["createArtifactManifest"]}


def _create_artifact_files(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    nodes = []
    for spec in given["input"]["artifactFiles"]:
        name, artifact = spec["name"], spec["artifactID"]
        state.artifacts[artifact]["files"].append(name)
        url = f"{state.url}/upload/{artifact}/{name}"
        node = {"storagePath": name, "uploadUrl": url, "uploadHeaders": [], "artifact": {"id": artifact}}
        nodes.append({"node": node})
    return {"createArtifactFiles": {"files": {"edges": nodes}}}


def _commit_artifact(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    state.artifacts[given["artifactID"]]["committed"] = True
    return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}


def _upsert_view(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    told = {key: given.get(key) for key in ("name", "displayName", "description", "type", "spec")}
    view = given.get("id") or f"view-{len(state.views)}"
    inserted = view not in state.views
    state.views[view] = told
    state.saved.append(view)
    project = {"id": "p", "name": given["projectName"], "entityName": given["entityName"]}
    return {"upsertView": {"view": {"id": view, **told, "project": project}, "inserted": inserted}}


def _views(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    name, project = given.get("viewName"), given.get("projectName") or given.get("project")
    if project not in state.projects:
        return {"project": None}
    edges = [
        {"node": {"id": view, "user": None, "createdAt": "", "updatedAt": "", **told}, "cursor": view}
        for view, told in state.views.items()
        if told["type"] == given.get("viewType", "runs") and name in (None, told["name"])
    ]
    return {"project": {"allViews": {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}}}


def _project_id(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    return {"project": {"id": "p", "internalId": "p"} if given["projectName"] in state.projects else None}


def _projects(state: Server, given: dict[str, Any]) -> dict[str, Any]:
    about = {"id": "p", "entityName": ENTITY, "createdAt": "", "isBenchmark": False, "user": None}
    edges = [{"node": {**about, "name": name}, "cursor": ""} for name in state.projects]
    return {"models": {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}}


_ANSWERS: dict[str, Callable[[Server, dict[str, Any]], dict[str, Any]]] = {
    "UpsertBucket": _upsert_bucket,
    "CreateRunFiles": _create_run_files,
    "CreateArtifact": _create_artifact,
    "CreateArtifactManifest": _create_artifact_manifest,
    "UpdateArtifactManifest": _update_artifact_manifest,
    "CreateArtifactFiles": _create_artifact_files,
    "CommitArtifact": _commit_artifact,
    "UpsertView2": _upsert_view,
    "upsertView": _upsert_view,
    "View": _views,
    "ProjectViews": _views,
    "ProjectInternalId": _project_id,
    "GetProjects": _projects,
    "GetDefaultEntity": lambda state, given: {"viewer": {"id": "u", "entity": ENTITY}},
    "Viewer": lambda state, given: {"viewer": {"id": "u", "entity": ENTITY, "username": "me", "flags": "{}"}},
    "ServerFeaturesQuery": lambda state, given: {"serverInfo": {"features": []}},
}
