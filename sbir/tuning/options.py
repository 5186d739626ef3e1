"""The command line of every sweep script: the same few flags, and no other flag for a hyper-parameter."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sbir.tuning.space import parse_set

TRIALS = 12  # full-length equivalents a method
JOB = "SBIR_JOB"  # in the environment of a sweep that runs as a Ray Job: the job's id


@dataclass(frozen=True)
class Options:
    """What a user asked for."""

    script: str
    data: tuple[Path, ...]  # a run on each; none: on the embedded data
    stage: str
    methods: str | None
    also: list[Path]
    reported: Path | None
    trials: int
    final_seeds: int
    splits: int
    seed: int
    name: str | None
    runs: Path
    address: str
    cluster_runs: str | None  # of a sweep that is sent to a cluster
    mirror: str | None  # URI of storage that gets a copy of the run
    mirror_every: float  # seconds
    workers: int | None
    time_limit: float | None  # minutes of search
    scale: str
    wanted: dict[str, list[Any]]
    wandb: str | None
    extend: bool
    accept_changes: bool
    smoke: bool


def parse(script: str, doc: str | None, argv: Sequence[str] | None = None, *, trials: int = TRIALS) -> Options:
    """Read the flags; argparse itself ends the process with status 2 on a bad one."""
    parser = argparse.ArgumentParser(prog=script, description=doc, allow_abbrev=False)
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="STORE",
        help="feature store, or several: --data A --data B; the embedded synthetic data when left out",
    )
    add("--stage", choices=("search", "published", "ablate"), default="search", help="search; source's rows; ablation")
    add("--methods", metavar="NAMES", help="which of the script's methods, by name, with commas (default all)")
    add("--also", type=Path, action="append", default=[], metavar="SCRIPT", help="add the sweeps of another script")
    add(
        "--reported",
        type=Path,
        metavar="FILE",
        help="figures to hold --stage published against (default: the sources')",
    )
    add(
        "--trials",
        type=int,
        help=f"full-length trials a method; what pruning saves goes to more (default {trials}; 2 with --smoke)",
    )
    add(
        "--final-seeds",
        type=int,
        help="refits of the winner on train + val (default 5; 1 with --smoke)",
    )
    add("--splits", type=int, default=0, metavar="R", help="refit the winners on R further class-disjoint splits too")
    add("--seed", type=int, default=0)
    add("--name", help="name of the run: resumes an interrupted one (default: script and time)")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs (default runs)")
    add(
        "--address",
        default=os.environ.get("RAY_ADDRESS", "local"),
        help="Ray cluster, or http://HEAD:8265 to send the sweep there (default $RAY_ADDRESS or local)",
    )
    add(
        "--cluster-runs",
        metavar="DIR",
        help="folder of all runs on the cluster that the sweep is sent to (default $SBIR_RUNS there, or ~/sbir-runs)",
    )
    add("--mirror", metavar="URI", help="copy the run to s3://BUCKET/PREFIX as it grows; fetched where it is not here")
    add("--mirror-every", type=float, default=60.0, metavar="SECONDS", help="between two copies (default 60)")
    add("--workers", type=int, help="trials at once (default: one a GPU, or one a core with one thread each)")
    add("--time-limit", type=float, metavar="MINUTES", help="end the search after so long; finalists still run")
    add("--scale", choices=("demo", "paper"), help="demo: sizes for a CPU, marked so (default without a GPU)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="fix or narrow (V1,V2) an axis, or set any key")
    add("--wandb", choices=("offline", "online", "off"), help="default offline; $WANDB_MODE counts")
    add("--extend", action="store_true", help="ask a finished run (--name) for more trials, seeds, methods, values")
    add("--accept-changes", action="store_true", help="go on with a run although the code has changed since it began")
    add("--smoke", action="store_true", help="two tiny trials: does everything work?")
    return _options(script, parser.parse_args(argv), trials)


def is_outside(address: str) -> bool:
    """Whether an address is that of a dashboard, to which sweeps are sent as jobs."""
    return address.startswith(("http://", "https://"))


def _options(script: str, given: argparse.Namespace, trials: int) -> Options:
    if given.address.startswith("ray://"):
        raise ValueError(
            f"--address must be a cluster address or `auto`, got {given.address}: through ray:// the "
            "sweep would run on the head, without your terminal; run it on the head, or send it there with http://HEAD:8265"
        )
    if given.cluster_runs and not is_outside(given.address):
        raise ValueError(f"--cluster-runs needs --address http://HEAD:8265, got {given.address}; drop it")
    for flag in ("trials", "workers", "time_limit", "mirror_every"):
        value = getattr(given, flag)
        if value is not None and value <= 0:
            raise ValueError(f"--{flag.replace('_', '-')} must be above 0, got {value}")
    for flag in ("final_seeds", "splits"):
        value = getattr(given, flag)
        if value is not None and value < 0:
            raise ValueError(f"--{flag.replace('_', '-')} must be 0 or more, got {value}")
    if given.extend and not given.name:
        raise ValueError("--extend needs --name, the run to go on with")
    if given.mirror and len(given.data) > 1 and not given.name:
        raise ValueError("--mirror of several --data needs --name, by which their runs are found there")
    wanted: dict[str, list[Any]] = {}
    for text in given.set:
        key, values = parse_set(text)
        wanted[key] = values
    scale = given.scale or ("paper" if torch.cuda.is_available() and not given.smoke else "demo")
    return Options(
        script=script,
        data=tuple(given.data),
        stage=given.stage,
        methods=given.methods,
        also=given.also,
        reported=given.reported,
        trials=given.trials or (2 if given.smoke else trials),
        final_seeds=given.final_seeds if given.final_seeds is not None else (1 if given.smoke else 5),
        splits=given.splits,
        seed=given.seed,
        name=given.name,
        runs=given.runs,
        address=given.address,
        cluster_runs=given.cluster_runs,
        mirror=given.mirror,
        mirror_every=given.mirror_every,
        workers=given.workers,
        time_limit=given.time_limit,
        scale=scale,
        wanted=wanted,
        wandb=given.wandb,
        extend=given.extend,
        accept_changes=given.accept_changes,
        smoke=given.smoke,
    )
