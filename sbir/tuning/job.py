"""A sweep sent to a cluster from outside, as a Ray Job: the script goes there, its log and its results come back."""

import argparse
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sbir.tuning.folder import new_name
from sbir.tuning.options import JOB, Options
from sbir.tuning.parcel import log_folder, pack_runs, pack_script, unpack_runs
from sbir.tuning.ray_jobs import ENDED, Job, JobsError, RayJobs

RUN, OPTIONS = "sbir_run", "sbir_options"  # in a job's metadata
PASSED = ("WANDB_ENTITY", "WANDB_MODE", "WANDB_PROJECT")  # never a key: all on the cluster can read a job's settings
STOPS_CLEANLY = {"RAY_JOB_STOP_WAIT_TIME_S": "60"}  # Ray would kill a job 3 s after it was told to stop
RUNS = '"${SBIR_RUNS:-$HOME/sbir-runs}"'  # of all runs, expanded on the cluster
ELSEWHERE = ("--address", "--runs", "--cluster-runs", "--name", "--also", "--reported")  # mean something else there
POLL, LOST = 1.0, 180.0  # seconds
STOPPED = 130  # exit status


def run(options: Options, argv: Sequence[str] | None = None) -> int:
    """Send the sweep as a job, or find the one that runs under its name; follow it, and fetch its results.

    Returns the sweep's own exit status; 130 where the user stopped looking on, which leaves the job alone.
    """
    words = _words(sys.argv[1:] if argv is None else argv)
    if options.name is not None and not re.fullmatch(r"[\w.-]+", options.name):
        raise ValueError(f"--name of a job must be of letters, digits, '.', '_' and '-', got {options.name!r}")
    try:
        jobs = RayJobs(options.address)
    except JobsError as error:
        raise ValueError(
            f"--address must be that of a dashboard, of a head with sbir[cluster], where it begins with http: {error}"
        ) from None
    asked = shlex.join([Path(sys.argv[0]).name, *words, *(str(path) for _, path in _files(options))])
    found = _sent(jobs, options.name, asked)
    if found is None:
        name = options.name or new_name(options)
        job = _send(jobs, options, name, words, asked)
        print(f"{name}: sent to {options.address} as job {job}")
    else:
        name, job = found["metadata"][RUN], found["submission_id"]
        print(f"{name}: was sent before as job {job}, looking on")
    try:
        print(f"Ctrl-C stops looking on, not the sweep; the same command with --name {name} looks on again", flush=True)
        ended = _follow(jobs, job)
    except KeyboardInterrupt:
        print(f"\n{name} goes on; to stop it: curl -X POST {options.address}/api/jobs/{job}/stop", file=sys.stderr)
        return STOPPED
    return _bring_home(jobs, ended, options.runs)


def leave_results(options: Options) -> None:
    """In the job itself: pack the run beside the job's log, from where `run` fetches it."""
    pack_runs(options.runs, str(options.name), log_folder() / _archive(os.environ[JOB]))


def _archive(job: str) -> str:
    return f"sbir-{job}.tar.gz"


def _words(argv: Sequence[str]) -> list[str]:
    """The options that the job is given as they are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ELSEWHERE:
        parser.add_argument(flag)
    return parser.parse_known_args(argv)[1]


def _files(options: Options) -> list[tuple[str, Path]]:
    """Options that name files of this machine, which go along."""
    return [("--also", path) for path in options.also] + [("--reported", path) for path in [options.reported] if path]


def _sent(jobs: RayJobs, name: str | None, asked: str) -> Job | None:
    """The job that has these options already: the last of that name unless it failed, or a running one of any name."""
    ours = [job for job in jobs.all() if RUN in (job["metadata"] or {})]
    if name is None:
        return next((job for job in ours if job["status"] not in ENDED and job["metadata"][OPTIONS] == asked), None)
    last = next((job for job in ours if job["metadata"][RUN] == name), None)
    if last is None or last["status"] in ("FAILED", "STOPPED"):
        return None
    there = last["metadata"][OPTIONS]
    if there == asked:
        return last
    if last["status"] in ENDED:
        return None
    raise ValueError(f"{name} runs already with other options ({there}); give the same, or take another --name")


def _send(jobs: RayJobs, options: Options, name: str, words: list[str], asked: str) -> str:
    script, job, files = Path(sys.argv[0]).resolve(), f"{name}-{datetime.now():%H%M%S}", _files(options)
    with tempfile.TemporaryDirectory(prefix="sbir-job-") as scratch:
        parcel = Path(scratch) / "parcel.zip"
        there = pack_script(script, [path for _, path in files], parcel)
        given = [word for (flag, _), path in zip(files, there, strict=True) for word in (flag, path)]
        command = shlex.join(["python", script.name, *words, *given, "--address", "auto", "--name", name])
        runs = shlex.quote(options.cluster_runs) if options.cluster_runs else RUNS
        passed = STOPS_CLEANLY | {key: os.environ[key] for key in PASSED if key in os.environ}
        about = {RUN: name, OPTIONS: asked}
        jobs.send(job, f"{JOB}={job} {command} --runs {runs}", parcel, environment=passed, about=about)
    return job


def _follow(jobs: RayJobs, job: str) -> Job:
    """Print a job's log as it grows; what Ray says of the job when it has ended."""
    shown, heard = 0, time.monotonic()
    while True:
        try:
            found = jobs.get(job)
            text = jobs.log(job) if found["status"] != "PENDING" else ""
        except JobsError as error:
            if time.monotonic() - heard > LOST:
                raise ValueError(
                    f"the cluster must answer, for {LOST:.0f} s it has not: {error}; the same command with --name "
                    "looks on again, or goes on with the run where the cluster was lost"
                ) from None
            time.sleep(POLL)
            continue
        heard = time.monotonic()
        print(text[shown:], end="", flush=True)
        shown = len(text)
        if found["status"] in ENDED:
            return found
        time.sleep(POLL + shown / 1e6)  # the whole log comes every time


def _bring_home(jobs: RayJobs, job: Job, runs: Path) -> int:
    """Fetch a job's results; its exit status."""
    status = {"SUCCEEDED": 0, "STOPPED": STOPPED}.get(job["status"], job["driver_exit_code"] or 1)
    if job["status"] == "FAILED" and job["driver_exit_code"] is None:
        print(f"the job came to no end of its own: {job['message']}", file=sys.stderr)
    with tempfile.NamedTemporaryFile(suffix=".tar.gz") as archive:
        if job["driver_node_id"] and jobs.download(job, _archive(job["submission_id"]), archive.file):
            for folder in unpack_runs(Path(archive.name), runs):
                print(f"came home: {folder}")
        elif status != 2:
            print("no results came home; what there is lies on the cluster", file=sys.stderr)
    return status
