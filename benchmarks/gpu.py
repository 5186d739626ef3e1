"""What a GPU makes of it: steps against the memory's bandwidth, several trials on one card, scoring, the source's rows.

    python -m benchmarks.gpu                       # all parts, in less than ten minutes on an H100
    python -m benchmarks.gpu --parts steps rows    # some of them
    python -m benchmarks.gpu --parts rows --full   # the source's rows in all their steps, not projected from a part
    python -m benchmarks.gpu --quick               # a rehearsal on tiny sizes, which a CPU does in seconds

Torch is needed, and no Ray. Results lie in `--out`, by default benchmarks/results, and are written after every part;
those of a rehearsal only where `--out` is given. The parts:

- exact: captured steps come to the weights and figures of eager ones;
- steps: bytes of a step, the bandwidth of the card, and the rate of captured and eager steps and of the peer's loop;
- processes: trials on one card at once, each in a process of its own;
- scoring: all metrics at Sketchy's size against the bare matrix product;
- rows: the source's 37 completed rows at their steps on features of Sketchy's size.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import scoring, stepping
from benchmarks.card import DEVICE, bandwidth_of, bytes_moved, once, seconds_of
from benchmarks.gpu_rows import EVERY, QUICK, Sizes, completed_rows, made_up, time_row
from benchmarks.measure import RESULTS, Report, answer, start_python
from sbir.data.feed import Feed, make_feed
from sbir.data.protocol import partition
from sbir.data.transform import TransformSettings
from sbir.memory import keep_freed_memory
from sbir.metrics.identity import Identity
from sbir.metrics.retrieval import retrieve
from sbir.models.bdt import BDT
from sbir.models.caae import CAAE
from sbir.models.cross_modal import CrossModal
from sbir.models.cvae import CVAE
from sbir.models.method import Method
from sbir.models.siamese import Siamese
from sbir.models.triplet import Triplet
from sbir.training.loop import Loop
from sbir.training.train_settings import TrainSettings

SHORT = Sizes(sketches=6400, photos=6400, queries=210, gallery=210, pairs=6400 // 104 * 104)  # a trial's rows
SMALL = {"hidden": 32, "latent": 16}
MINIMUM = 40  # bytes a weight and step: read twice by products, its gradient written, Adam's 16 read and 12 written
PRECISIONS = ("float32", "tf32", "bfloat16") if DEVICE.type == "cuda" else ("float32", "bfloat16")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"exact": exact, "steps": steps, "processes": processes, "scoring": score, "rows": rows}
    parser.add_argument("what", nargs="?", choices=("all", "one"), default="all")
    parser.add_argument("--parts", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--method", choices=list(stepping.METHODS), default="cross_modal")
    parser.add_argument("--barrier", type=Path)
    parser.add_argument("--at-once", type=int, default=1)
    args = parser.parse_args()
    if args.what == "one":
        one(args)
        return
    report, out = Report("gpu"), args.out or (None if args.quick else RESULTS)
    if DEVICE.type != "cuda":
        report.say("No GPU is there: a rehearsal, whose figures say nothing of one.")
        report.say()
    for name in args.parts:
        started = time.perf_counter()
        report.say(f"## {name}")
        report.say()
        parts[name](report, args)
        report.say(f"{name}: {time.perf_counter() - started:.0f} s")
        report.say()
        if out is not None:
            report.write(out)


def exact(report: Report, _: argparse.Namespace) -> None:
    """The same training by captured and by eager steps."""
    feed = _feed(QUICK)
    table = []
    for kind in (CVAE, CrossModal, BDT, CAAE, Siamese, Triplet):
        for precision in PRECISIONS:
            loops = [_loop(kind, feed, SMALL, precision, on_device=on_device) for on_device in (True, False)]
            figures = [[loop.train(count) for count in (30, 30)] for loop in loops]
            one, two = (loop.method.state_dict() for loop in loops)
            gap = max(float((one[name].double() - two[name].double()).abs().max()) for name in one)
            table.append([kind.__name__, precision, gap, "equal" if figures[0] == figures[1] else "differ"])
    report.table(["method", "products", "largest difference of a weight", "figures"], table)
    report.keep(exact=table)


def steps(report: Report, args: argparse.Namespace) -> None:
    """Rates at the paper's sizes against the bound and the peer."""
    feed, bandwidth = _feed(QUICK if args.quick else SHORT), bandwidth_of(2**20 if args.quick else 2**28)
    count = 8 if args.quick else 400
    report.say(f"A copy on the device moves {bandwidth / 1e9:.0f} GB/s, bytes read and written.")
    report.say()
    kept: dict[str, Any] = {"bandwidth": bandwidth}
    for name, kind in stepping.METHODS.items():
        peer = _peer_rate(name, count // 4, args)
        table = []
        for precision in PRECISIONS:
            captured, eager = (
                _rate(_loop(kind, feed, _sizes(name, args), precision, on_device=on_device), count)
                for on_device in (True, False)
            )
            weights, moved = bytes_moved(_loop(kind, feed, _sizes(name, args), "float32", on_device=False))
            bound = bandwidth / (MINIMUM * weights)
            table.append([precision, captured, eager, peer, captured / bound, captured * moved / bandwidth,
                          captured / peer])  # fmt: skip
        report.say(f"{name}: {weights / 1e6:.2f} M weights, {MINIMUM} B each a step at least: at most {bound:.0f} "
                   f"steps/s; {moved / weights:.0f} B each as the float32 step is written")  # fmt: skip
        report.say()
        heads = ["products", "captured steps/s", "eager steps/s", "peer steps/s", "of the bound", "of the bandwidth",
                 "ratio to peer"]  # fmt: skip
        report.table(heads, table)
        kept[name] = {"weights": weights, "bytes": moved, "bound": bound, "rates": table}
    overhead = {
        word: 1 / _rate(_loop(CVAE, _feed(QUICK), SMALL, "float32", on_device=on_device), count)
        for word, on_device in (("captured", True), ("eager", False))
    }
    for word, seconds in overhead.items():
        crossover = seconds * bandwidth / MINIMUM / 1e6
        report.say(f"A step of a network of no size, {word}: {1e3 * seconds:.3f} ms, as much as the memory's part of "
                   f"{crossover:.1f} M weights: stacking trials could pay below that.")  # fmt: skip
    report.say()
    report.keep(steps=kept | {"overhead": overhead})


def processes(report: Report, args: argparse.Namespace) -> None:
    """Trials of one card, each in its own process."""
    table = []
    for name in stepping.METHODS:
        alone = 0.0
        for at_once in (1, 2) if args.quick else (1, 2, 4):
            with tempfile.TemporaryDirectory() as barrier:
                words = ["one", "--method", name, "--barrier", barrier, "--at-once", str(at_once)]
                words += ["--quick"] * args.quick
                started = [start_python("benchmarks.gpu", *words, threads=1) for _ in range(at_once)]
                rates = [float(answer(process)) for process in started]
            alone = alone or sum(rates)
            table.append([name, at_once, min(rates), sum(rates), sum(rates) / alone])
    report.table(["method", "processes", "steps/s of the slowest", "steps/s of all", "ratio to one"], table)
    report.keep(processes=table)


def one(args: argparse.Namespace) -> None:
    """One of `processes`: waits until all are ready, and prints its rate."""
    count = 8 if args.quick else 600
    feed = _feed(QUICK if args.quick else SHORT)
    loop = _loop(stepping.METHODS[args.method], feed, _sizes(args.method, args), "float32", on_device=True)
    loop.train(8)

    def ready() -> None:
        with tempfile.NamedTemporaryFile(dir=args.barrier, delete=False):
            pass
        while len(list(args.barrier.iterdir())) < args.at_once:
            time.sleep(0.01)

    print(json.dumps(_rate(loop, count, ready)))


def score(report: Report, args: argparse.Namespace) -> None:
    """All metrics against the bare product."""
    sizes = (256, 210, 32) if args.quick else (scoring.QUERIES, scoring.GALLERY, scoring.WIDTH)
    query, gallery, *ids = scoring.world(*sizes)
    k = 5 if args.quick else scoring.K
    here = (query.to(DEVICE), gallery.to(DEVICE), ids[0].to(DEVICE), ids[1].to(DEVICE))
    of: dict[str, Any] = {"k": k, "select": f"precision_at_{k}"}

    def ours(query: Tensor, gallery: Tensor, query_ids: Identity, gallery_ids: Identity) -> dict[str, float]:
        return scoring.ours(query, gallery, query_ids, gallery_ids, **of).means

    def curve() -> None:
        first, second = ({"one": side, "two": side.flip(1)} for side in here[:2])
        retrieve(first, second, here[2], here[3], distance="cosine", **of)

    taken = {
        "the bare product, at once": seconds_of(lambda: here[0] @ here[1].T),
        "the bare product, 64 queries at a time": seconds_of(lambda: scoring.bare(*here)),
        "all metrics and top lists, one view": seconds_of(lambda: ours(*here)),
        "the 12-point curve and all metrics, two views": seconds_of(curve),
    }
    bare = taken["the bare product, at once"]
    report.say(f"{sizes[0]} queries, {sizes[1]} photos, {sizes[2]} entries")
    report.say()
    report.table(
        ["", "ms", "of the bare product's rate"], [[word, 1e3 * one, bare / one] for word, one in taken.items()]
    )
    few = scoring.some(min(512, sizes[0]), (query, gallery, ids[0], ids[1]))
    mine = ours(few[0].to(DEVICE), few[1].to(DEVICE), few[2].to(DEVICE), few[3].to(DEVICE))
    other = ours(*few)
    gap = max(abs(mine[name] - other[name]) for name in mine)
    report.say(f"Largest difference of a figure to the CPU's, {len(few[0])} queries: {gap:.1e}.")
    report.say()
    report.keep(scoring={"seconds": taken, "difference": gap})


def rows(report: Report, args: argparse.Namespace) -> None:
    """The source's completed rows, end to end."""
    sizes = QUICK if args.quick else Sizes()
    started = time.perf_counter()
    data = made_up(sizes, DEVICE)
    data[0].take("feature", data[0].items.class_id[:1])  # moves the column
    moved = time.perf_counter() - started
    table: list[list[Any]] = []
    projected = False
    chosen = list(completed_rows(sizes.width, SMALL if args.quick else {}))
    for row in chosen:
        with tempfile.TemporaryDirectory() as folder:
            taken = time_row(row, data, 1.0 if args.full else 0.002 if args.quick else 0.02, folder)
        table.append([row.label, row.steps, taken.build, taken.train, taken.score, row.steps / taken.train])
        projected = taken.projected
    report.table(["row", "steps", "build s", "train s", "score s", "steps/s"], table)
    whole = sum(sum(one[2:5]) for one in table)
    looks = sum(one[1] // EVERY * one[4] for one in table)
    word = "projected from a part of each row's steps" if projected else "measured"
    report.say(f"{len(chosen)} rows at their reported steps, each scored once: {whole / 60:.1f} min ({word}); making "
               f"and moving the data {moved:.0f} s. The source's look at test every {EVERY} steps would take "
               f"{looks / 60:.1f} min more.")  # fmt: skip
    report.say()
    report.keep(rows={"table": table, "seconds": whole, "projected": projected, "looks": looks, "data": moved})


def _feed(sizes: Sizes) -> Feed:
    columns, split, protocol = made_up(sizes, DEVICE)
    found = partition(columns.items, split, protocol, "test")
    return make_feed(columns, found, ("feature",), ("feature",), TransformSettings())


def _sizes(name: str, args: argparse.Namespace) -> dict[str, Any]:
    return {**stepping.SETTINGS[name], **(SMALL if args.quick else {})}


def _loop(kind: type[Method], feed: Feed, sizes: dict[str, Any], precision: Any, *, on_device: bool) -> Loop:
    keep_freed_memory()
    torch.manual_seed(0)
    method = kind(feed.spec(), **sizes).to(DEVICE)
    return Loop(method, feed, TrainSettings(warmup=20, precision=precision), 0, on_device=on_device)


def _rate(loop: Loop, count: int, ready: Callable[[], None] = lambda: None) -> float:
    """Steps a second, after some that are not counted; `train` ends with a wait."""
    loop.train(8)
    ready()
    return count / once(lambda: loop.train(count))


def _peer_rate(name: str, count: int, args: argparse.Namespace) -> float:
    """The faster of the peer's loops, without and with processes that load."""
    sizes = {**SMALL, "width": QUICK.width} if args.quick else {}
    runs: Iterator[Callable[[], Any]] = (stepping.peer(name, workers, count, sizes) for workers in (0, 2))
    return max(count / seconds_of(run, 1) for run in runs)


if __name__ == "__main__":
    main()
