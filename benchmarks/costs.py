"""Where the default sweep's time goes: the ten largest costs of a trial and of the baselines, in processor time.

    python -m benchmarks.costs

One trial of `python sweeps/cross_modal.py` as it runs in a worker (the source's best row at demo scale, embedded data,
one thread), then the closed forms that the driver solves beside the trials.
The last result is in results/costs.md.
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.measure import Report, in_turns
from sbir.data.cache import embedded_store
from sbir.data.feed import Columns
from sbir.data.loader import Shared
from sbir.data.protocol import make_protocol
from sbir.data.splits import assign
from sbir.models.cross_modal import CrossModal
from sbir.training.baselines import score_baselines
from sbir.training.memory import keep_freed_memory
from sbir.training.run import Job, Run

SETTINGS = {
    "method/decode": "s", "method/dropout": 0.0, "method/latent": 128, "method/hidden": 256, "method/num_samples": 20,
    "train/steps": 250, "train/eval_every": 50, "train/warmup": 50, "train/patience": 4,
}  # fmt: skip


def costs(work: Callable[[], Any]) -> Iterator[tuple[str, int, float]]:
    """The ten functions with the most processor time of their own: name, calls, seconds."""
    profile = cProfile.Profile(time.thread_time)
    profile.runcall(work)
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (_, _, name), (_, calls, own, _, _) in sorted(found.items(), key=lambda item: -item[1][2])[:10]:
        yield name.replace("{", "").replace("}", "").replace("built-in method ", ""), calls, own


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=2, help="of the five that a trial has")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    report = Report("costs")
    shared = Shared.mapped(embedded_store())
    items = shared.items()
    split = assign(items, "stored")
    protocol = make_protocol(items, split, split_spec="stored", content_hash="", synthetic=True)
    columns = Columns(items)
    job = Job("cross_modal", 0, "search", SETTINGS, 0, "none")
    run = Run(job, CrossModal, columns, split, protocol, save_every=1e9)
    run.advance()
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = 2 * 2048**3 / in_turns({"product": lambda: a @ b}, 3)["product"].processor / 1e9
    report.say(f"Rate of a large float32 product, one thread: {best:.0f} GFLOP/s")
    report.say()
    parts: dict[str, Callable[[], Any]] = {
        f"{50 * args.evaluations} steps and {args.evaluations} evaluations of a trial": lambda: [
            run.advance() for _ in range(args.evaluations)
        ],
        "the baselines": lambda: score_baselines(columns, split, protocol),
    }
    for name, work in parts.items():
        rows = list(costs(work))
        report.say(f"Processor seconds of {name}, the ten largest")
        report.say()
        report.table(["function", "calls", "s", "ms/call"], [[*row, 1000 * row[2] / row[1]] for row in rows])
        report.keep(**{name: rows})
    report.write()


if __name__ == "__main__":
    main()
