"""Ray and Tune around the searcher: start, rounds of `Tuner.fit`, clean interruption."""

import logging
import math
import os
import platform
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbir.data.loader import Shared
from sbir.training.trial import Constants, Trial
from sbir.tuning.plan import LARGE
from sbir.tuning.rungs import Rungs
from sbir.tuning.studies import StorageError, Studies

CLOUD_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
ROUNDS = 20  # times that Tune itself may go down (Ray's memory monitor does that) before we give up


class InterruptedSweepError(KeyboardInterrupt):
    """Ctrl-C or SIGTERM stopped the sweep; its folder can be resumed."""


class ClusterError(ValueError):
    """The cluster cannot run this sweep; the text says what would help."""


@dataclass(frozen=True)
class Slots:
    """How many trials run at once, and what each of them asks for. One bundle for all, or workers are not reused."""

    workers: int
    bundle: dict[str, float]
    device: str  # what they run on, in words

    @property
    def larger(self) -> dict[str, float] | None:
        """Twice the part of a GPU, for trials that ran out of its memory; None where a slot is a whole GPU already."""
        gpu = self.bundle.get("GPU", 1.0)
        return None if gpu >= 1 else {**self.bundle, "GPU": min(1.0, 2 * gpu)}


@contextmanager
def ray_session(address: str, workers: int | None) -> Iterator[Slots]:
    """A running Ray, started here when the address is `local`, and ended with the block."""
    import ray

    started = not ray.is_initialized()
    if started:
        cpus = max(workers or 0, os.cpu_count() or 1) if address == "local" else None
        ray.init(
            address=address, num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield _slots(ray.cluster_resources(), workers)  # type: ignore[no-untyped-call]
    finally:
        signal.signal(signal.SIGTERM, before)
        if started:
            ray.shutdown()


def check_shared(folder: Path) -> None:
    """Refuse a run folder that some node of the cluster does not see: trials write their rows and models there.

    Raises `ClusterError` with the nodes' addresses. A node that joins later is not asked.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    @ray.remote(num_cpus=0, max_retries=0)
    def sees(path: str) -> bool:
        return Path(path).is_dir()

    nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
    asked = {
        name: sees.options(scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False)).remote(str(folder))
        for name in nodes
    }
    blind = sorted(nodes[name]["NodeManagerAddress"] for name, answer in asked.items() if not ray.get(answer))
    if blind:
        raise ClusterError(
            f"--runs must lie on storage that every node of the cluster sees under the same path, {folder} is not "
            f"there on {', '.join(blind)}; take a shared folder"
        )


def _slots(resources: dict[str, float], workers: int | None) -> Slots:
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if not gpus and not cpus:
        # A head that runs no trials, before any worker has come: it comes when trials wait for its GPU.
        if workers is None:
            raise ClusterError("--workers must say how many trials may run at once: the cluster has no worker yet")
        return Slots(workers, {"CPU": 1.0, "GPU": 1.0}, "GPU workers that came when trials waited")
    if not gpus:
        return Slots(workers or cpus, {"CPU": 1.0}, f"{cpus} CPU cores ({platform.machine()})")
    workers = workers or gpus
    share = 1 / math.ceil(workers / gpus)
    kinds = sorted(key.partition(":")[2] for key in resources if key.startswith("accelerator_type:"))
    device = f"{gpus} GPU ({', '.join(kinds) or 'of unknown kind'})"
    return Slots(workers, {"CPU": 1.0, "GPU": math.floor(share * 100) / 100}, device)


@contextmanager
def _keys_hidden() -> Iterator[None]:
    """Without the keys that Tune would write into its workers' command lines, which all users of a node can read."""
    held = {name: os.environ.pop(name) for name in CLOUD_KEYS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(held)


def run_trials(
    studies: Studies, rungs: Rungs, callbacks: list[Any], slots: Slots, *, shared: Shared, constants: Constants
) -> None:
    """Run until the studies are done. Raises `InterruptedSweepError` when a signal ended it before."""
    from ray import tune
    from ray.tune.error import TuneError

    studies.has_larger = slots.larger is not None
    bundles = {1: slots.bundle, LARGE: slots.larger or slots.bundle}
    trainable = tune.with_resources(
        tune.with_parameters(Trial, shared=shared, constants=constants),
        lambda config: tune.PlacementGroupFactory([bundles[config["slots"]]]),
    )
    for left in reversed(range(ROUNDS)):
        with tempfile.TemporaryDirectory(prefix="sbir-tune-") as scratch:
            tuner = tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=studies,
                    scheduler=rungs,
                    num_samples=-1,
                    max_concurrent_trials=slots.workers,
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: str(trial.trial_id),
                ),
                run_config=tune.RunConfig(
                    name="sweep",
                    storage_path=scratch,
                    verbose=0,
                    callbacks=callbacks,
                    failure_config=tune.FailureConfig(max_failures=0),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                ),
            )
            try:
                with _keys_hidden():
                    tuner.fit()
            except (RuntimeError, TuneError, OSError) as error:
                if studies.storage_problem is not None:
                    raise StorageError(
                        f"the run's folder must be writable and have room, {studies.storage_problem}; "
                        "mend that and give the same command again"
                    ) from None
                # A worker killed by Ray's memory monitor ends the whole fit. The journal knows what was running.
                if not left or not isinstance(error, RuntimeError):
                    raise
                studies.requeue(str(error))
                continue
        if not studies.done:
            raise InterruptedSweepError
        return
