"""The few routes of a Ray dashboard by which jobs are sent, watched and fetched from; they need `requests` alone.

Ray's own `JobSubmissionClient` asks for all of ray[default], of which a user's machine needs nothing.
"""

import hashlib
import time
from pathlib import Path
from typing import IO, Any

import requests

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
TIMEOUT, DOWNLOAD = 60, 3600  # seconds without a byte; a whole file
STARTING, NOT_YET = 180, "No available agent"  # seconds for which a new head may say so
Job = dict[str, Any]  # as the route has it: status, entrypoint, metadata, driver_exit_code, driver_node_id, ...


class JobsError(OSError):
    """The dashboard does not answer, or refuses."""


class RayJobs:
    """Jobs of one cluster; every method raises `JobsError` where its route fails."""

    def __init__(self, address: str) -> None:
        from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled

        self._address = address.rstrip("/")
        self._headers = get_auth_headers_if_auth_enabled({})
        self._json("GET", "/api/version")

    def all(self) -> list[Job]:
        """Every job that was sent, from newest to oldest; those of other clients too."""
        sent: list[Job] = [job for job in self._json("GET", "/api/jobs/") if job.get("submission_id")]
        return sorted(sent, key=lambda job: -(job.get("start_time") or 0))

    def get(self, job: str) -> Job:
        """What Ray says of a job."""
        found: Job = self._json("GET", f"/api/jobs/{job}")
        return found

    def log(self, job: str) -> str:
        """What a job has printed so far."""
        return str(self._json("GET", f"/api/jobs/{job}/logs")["logs"])

    def send(self, job: str, command: str, parcel: Path, *, environment: dict[str, str], about: dict[str, str]) -> None:
        """Run a shell command on the head, in an unpacked zip file; all on the cluster can read both."""
        content = parcel.read_bytes()
        name = f"_ray_pkg_{hashlib.sha1(content).hexdigest()}.zip"
        if self._ask("GET", f"/api/packages/gcs/{name}", ok=(200, 404)).status_code == 404:
            self._ask("PUT", f"/api/packages/gcs/{name}", data=content)
        settings = {"working_dir": f"gcs://{name}", "env_vars": environment}
        asked = {"submission_id": job, "entrypoint": command, "runtime_env": settings, "metadata": about}
        end = time.monotonic() + STARTING
        while (answer := self._ask("POST", "/api/jobs/", json=asked, ok=(200, 500))).status_code != 200:
            if NOT_YET not in answer.text or time.monotonic() > end:
                raise JobsError(f"{self._address} refuses the job: {answer.text[-300:].strip()}")
            time.sleep(1)

    def download(self, job: Job, name: str, into: IO[bytes]) -> bool:
        """Copy a file that lies beside a job's log, by the route that shows logs; False where there is none."""
        asked = {"node_id": job["driver_node_id"], "filename": name, "lines": -1, "timeout": DOWNLOAD}
        answer = self._ask("GET", "/api/v0/logs/file", params=asked, stream=True, ok=(200, 500))
        if answer.status_code != 200:
            return False
        for chunk in answer.iter_content(chunk_size=1 << 20):
            into.write(chunk)
        into.flush()
        return True

    def _json(self, method: str, route: str) -> Any:
        try:
            return self._ask(method, route).json()
        except requests.JSONDecodeError:
            raise JobsError(f"{self._address}{route} must answer with JSON; is it a Ray dashboard?") from None

    def _ask(self, method: str, route: str, *, ok: tuple[int, ...] = (200,), **more: Any) -> requests.Response:
        try:
            answer = requests.request(method, self._address + route, headers=self._headers, timeout=TIMEOUT, **more)
        except requests.RequestException as error:
            raise JobsError(f"{self._address} does not answer: {error}") from None
        if answer.status_code not in ok:
            raise JobsError(f"{self._address}{route} refuses with {answer.status_code}: {answer.text[-300:].strip()}")
        return answer
