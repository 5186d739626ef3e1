"""What starting trials costs: 16 short ones against plain Ray Tune, the pause between two, and 1 000 that do nothing.

    python -m benchmarks.starting

The peer is what Tune's manual shows: a function trainable, one process a trial, `WandbLoggerCallback` offline. Both
sides train the same networks for the same steps on the same small store and report as often. Whole processes are
timed, from the interpreter's start to its end; of ours that includes tables, baselines and the report. The trials alone
are timed, too. The last result is in results/starting.md.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

from sbir.tuning import quiet  # isort: skip  (before Ray is imported)

import torch
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from benchmarks.measure import Report, answer, start_python
from sbir.data.smoke import write_smoke_store
from sbir.models.cross_modal import CrossModal
from sbir.models.method import Method
from sbir.training import run as trial_run
from sbir.training import trial as trial_module
from sbir.tuning import runner
from sbir.tuning import tune as tuning
from sbir.tuning.main import run as run_sweep
from sbir.tuning.options import parse
from sbir.tuning.plan import Plan
from sbir.tuning.sweep import Sweep
from sbir.types import Batch, DataSpec, Rows, Views

TRIALS, NO_OPS = 16, 1000
SHORT = {"hidden": 64, "latent": 32, "num_samples": 4}
LENGTH = {"train/steps": 50, "train/eval_every": 10, "train/batch_size": 16, "train/warmup": 5}
RATES = [1e-4 * (1 + number / TRIALS) for number in range(TRIALS)]


class NoOp(Method):
    """Nothing to train: its embedding is the feature; `x` is an axis that changes nothing but costs a suggestion."""

    query_columns = gallery_columns = ("feature",)

    def __init__(self, spec: DataSpec, *, x: float = 0.5) -> None:
        super().__init__()
        self.x = x

    def loss(self, batch: Batch) -> dict[str, torch.Tensor]:
        """None."""
        return {}

    def players(self) -> list[Any]:
        """None, so that a trial is one evaluation."""
        return []

    def embed_query(self, rows: Rows) -> Views:
        """The feature."""
        return {"feature": rows["feature"]}

    embed_gallery = embed_query


def ours(folder: Path) -> None:
    """16 declared rows through the whole runner; the pauses on warm workers are printed."""
    rows = {f"row {number}": {**SHORT, "train/lr": rate} for number, rate in enumerate(RATES)}
    sweep = Sweep(CrossModal, space={"train/lr": RATES}, published=rows, key="short")
    setattr(tuning, "Trial", Stamped)  # noqa: B010  (what a run starts)
    taken: list[float] = []
    setattr(runner, "run_trials", timed_call(tuning.run_trials, taken))  # noqa: B010
    os.environ["SBIR_STAMPS"] = str(folder / "stamps")
    words = ["--stage", "published", "--final-seeds", "0", *fixed(LENGTH)]
    with redirect_stdout(open(os.devnull, "w")):  # noqa: PTH123
        status = run_sweep([sweep], parse("short", None, [*words, *common(folder)]))
    assert status == 0
    done = [json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*/summary.json"))]
    assert done[0]["counts"]["complete"] == TRIALS
    print(json.dumps({"fit": sum(taken), "pauses": pauses(folder / "stamps")}))


def no_ops(folder: Path, trials: int) -> None:
    """Many trials that do nothing, through Optuna, journal, W&B offline, tables and report."""
    sweep = Sweep(NoOp, space={"x": FloatDistribution(0.0, 1.0)}, key="nothing")
    asked: list[float] = []
    ended: list[float] = []
    wrap(Plan, "next", asked)
    complete = Plan.complete

    def completed(self: Plan, trial: Any, result: dict[str, Any], *, has_larger: bool = False) -> TrialState:
        state = complete(self, trial, result, has_larger=has_larger)
        ended.append(time.perf_counter())
        return state

    Plan.complete = completed  # type: ignore[method-assign]
    started = time.perf_counter()
    words = ["--trials", str(trials), "--final-seeds", "0", *common(folder)]
    with redirect_stdout(open(os.devnull, "w")):  # noqa: PTH123
        status = run_sweep([sweep], parse("nothing", None, words))
    assert status == 0
    assert len(ended) == trials
    quarter = trials // 4
    print(
        json.dumps(
            {
                "before the first trial ends": ended[0] - started,
                "trial": (ended[-1] - ended[0]) / (trials - 1),
                "trial in the first quarter": (ended[quarter] - ended[0]) / quarter,
                "trial in the last quarter": (ended[-1] - ended[-1 - quarter]) / quarter,
                "ask": sum(asked) / trials,
                "ask in the first quarter": statistics.mean(asked[:quarter]),
                "ask in the last quarter": statistics.mean(asked[-quarter:]),
                "after the last trial": time.perf_counter() - ended[-1],
            }
        )
    )


def wrap(kind: type, name: str, taken: list[float]) -> None:
    """Time every call of a method."""
    setattr(kind, name, timed_call(getattr(kind, name), taken))


def timed_call(function: Callable[..., Any], taken: list[float]) -> Callable[..., Any]:
    """The same function, which notes the seconds of every call."""

    def timed(*args: Any, **more: Any) -> Any:
        before = time.perf_counter()
        try:
            return function(*args, **more)
        finally:
            taken.append(time.perf_counter() - before)

    return timed


class Stamped(trial_module.Trial):
    """Notes when a trial of this process takes its first step, and when one has ended."""

    def setup(self, config: dict[str, Any], **more: Any) -> None:
        """Stamp the first training of every run."""
        train, path = trial_run.Run._train, f"{os.environ['SBIR_STAMPS']}-{os.getpid()}"

        def stamped(run: trial_run.Run) -> dict[str, Any]:
            if run._loop.step == 0:
                stamp(path, "first step")
            return train(run)

        setattr(trial_run.Run, "_train", stamped)  # noqa: B010
        super().setup(config, **more)

    def step(self) -> dict[str, Any]:
        """Stamp the end."""
        result = super().step()
        if result["done"]:
            stamp(f"{os.environ['SBIR_STAMPS']}-{os.getpid()}", "end")
        return result


def stamp(path: str, word: str) -> None:
    """A line with the time."""
    with Path(path).open("a") as file:
        file.write(f"{time.time()} {word}\n")


def pauses(stem: Path) -> list[float]:
    """Seconds from the end of a trial to the first step of the next one in the same process."""
    found = []
    for path in stem.parent.glob(f"{stem.name}-*"):
        lines = [line.split(" ", 1) for line in path.read_text().splitlines()]
        for (before, ended), (after, began) in pairwise(lines):
            if (ended, began) == ("end", "first step"):
                found.append(float(after) - float(before))
    return found


def peer(folder: Path) -> None:
    """The same trials as Tune's manual has it."""
    for name in quiet.SILENCE:  # Tune as it comes, with its own files of results
        if name.startswith("TUNE_"):
            os.environ.pop(name, None)
    os.environ |= {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_SILENT": "true"}
    import ray
    from ray import tune
    from ray.air.integrations.wandb import WandbLoggerCallback

    store = str(folder / "store")
    settings = {f"method/{key}": value for key, value in SHORT.items()} | LENGTH

    def trainable(config: dict[str, Any]) -> None:
        from sbir.data.feed import Columns
        from sbir.data.loader import Shared
        from sbir.data.protocol import make_protocol
        from sbir.data.splits import assign

        items = Shared.mapped(store).items()
        split = assign(items, "stored")
        protocol = make_protocol(items, split, split_spec="stored", content_hash="", synthetic=True)
        job = trial_run.Job("short", 0, "search", {**settings, **config}, 0, "")
        one = trial_run.Run(job, CrossModal, Columns(items), split, protocol, save_every=1e9)
        finished = False
        while not finished:
            row, finished = one.advance()
            tune.report({key: value for key, value in row.items() if isinstance(value, int | float)})

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"train/lr": tune.grid_search(RATES)},
        run_config=tune.RunConfig(
            storage_path=str(folder / "tune"), verbose=0, callbacks=[WandbLoggerCallback(project="short")]
        ),
    )
    taken: list[float] = []
    results = timed_call(tuner.fit, taken)()
    assert len(results) == TRIALS
    assert not results.errors
    ray.shutdown()
    print(json.dumps({"fit": sum(taken)}))


def fixed(settings: dict[str, Any]) -> list[str]:
    """`--set` words."""
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def common(folder: Path) -> list[str]:
    """Flags of both kinds of run."""
    return ["--data", str(folder / "store"), "--runs", str(folder / "runs"), "--workers", "2", "--wandb", "offline"]


def timed(kind: str, *words: str) -> tuple[float, Any]:
    """Wall seconds of a process, and its answer."""
    with tempfile.TemporaryDirectory() as folder:
        write_smoke_store(Path(folder) / "store")
        before = time.perf_counter()
        said = answer(start_python("benchmarks.starting", kind, "--folder", folder, *words))
        return time.perf_counter() - before, said


def table(args: argparse.Namespace) -> None:
    """All three parts."""
    report = Report("starting", ("ray", "optuna", "wandb", "torch"))
    taken: dict[str, list[float]] = {"peer": [], "ours": []}
    fits: dict[str, list[float]] = {"peer": [], "ours": []}
    waits: list[float] = []
    for _ in range(args.rounds):
        for kind, seconds in taken.items():
            wall, said = timed(kind)
            seconds.append(wall)
            fits[kind].append(said["fit"])
            waits += said.get("pauses", [])
    walls, fit = ({kind: statistics.median(some) for kind, some in of.items()} for of in (taken, fits))
    report.say(f"{TRIALS} trials of 50 steps and 5 reports, 2 at once, whole process, median of {args.rounds} in turns")
    report.say()
    rows = [
        [name, walls[kind], walls["peer"] / walls[kind], fit[kind], fit["peer"] / fit[kind]]
        for kind, name in (("peer", "Tune as in its manual"), ("ours", "ours"))
    ]
    report.table(["", "whole process: s", "times faster", "the trials alone: s", "times faster"], rows)
    report.say("The trials alone: from Ray being there to the end of the last trial, `Tuner.fit` of the peer.")
    report.say()
    pause = statistics.median(waits)
    report.say(f"End of a trial to the first step of the next in its process: {1000 * pause:.0f} ms (median of them)")
    report.say()
    whole, said = timed("no_ops", "--trials", str(args.trials))
    report.say(f"{args.trials} trials that do nothing, through the whole runner: {whole:.1f} s")
    report.say()
    report.table(["", "ms"], [[name, 1000 * value] for name, value in said.items()])
    apart = 1000 * (said["trial"] - said["ask"])
    report.say(f"A trial apart from asking TPE: {apart:.1f} ms.")
    report.keep(wall=taken, fit=fits, pause_s=pause, no_op=said, no_op_ms_apart_from_ask=apart)
    if args.trials == NO_OPS:
        report.write()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("table", "ours", "peer", "no_ops"), default="table")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=NO_OPS)
    args = parser.parse_args()
    if args.what == "table":
        table(args)
    elif args.what == "no_ops":
        no_ops(args.folder, args.trials)
    else:
        {"ours": ours, "peer": peer}[args.what](args.folder)


if __name__ == "__main__":
    main()
