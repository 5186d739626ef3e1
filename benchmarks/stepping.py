"""Training steps a second: this project's loop against the PyTorch loop that one would write, on the same model.

    python -m benchmarks.stepping            # the table; on a GPU too, where there is one
    python -m benchmarks.stepping --quality  # what bfloat16 does to retrieval, on the embedded data

Both sides train the same networks (5568-2048-1024, batch 64) on the same losses, clip the gradient and use Adam. The
peer has a `DataLoader` over items in memory, torch's own threads, and torch's defaults otherwise. A machine's steps
count: of ours one trial a core runs at once, with one thread each. Torch alone is needed, not Ray. The last result is
in results/stepping.md.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.measure import Report, answer, embedded, start_python
from sbir.data.feed import Columns, Feed, make_feed
from sbir.data.items import Items, Payload
from sbir.data.protocol import Partition
from sbir.data.transform import TransformSettings
from sbir.fast_products import use_fast_products
from sbir.memory import keep_freed_memory
from sbir.models.cross_modal import CrossModal
from sbir.models.cvae import CVAE
from sbir.models.method import Method
from sbir.training.loop import Loop
from sbir.training.train_settings import TrainSettings
from sbir.types import Batch

WIDTH, CLASSES, EACH, BATCH = 5568, 20, 40, 64
METHODS: dict[str, type[Method]] = {"cross_modal": CrossModal, "cvae": CVAE}
SETTINGS = {"cross_modal": {"decode": "s"}, "cvae": {}}  # the sizes are the methods' own defaults


def synthetic_feed(width: int = WIDTH) -> Feed:
    """Rows of 20 classes, 40 sketches and photos each: values do not matter here, only sizes."""
    count = CLASSES * EACH
    feature = np.maximum(np.random.default_rng(0).standard_normal((2 * count, width), np.float32), 0)
    class_id = np.tile(np.repeat(np.arange(CLASSES), EACH), 2)
    items = Items(
        item_id=np.arange(2 * count).astype(str),
        domain=np.repeat(["sketch", "photo"], count),
        class_id=class_id,
        instance_id=np.tile(np.arange(count), 2),
        split=np.full(2 * count, "train"),
        class_names=tuple(map(str, range(CLASSES))),
        payload={"feature": Payload([feature])},
    )
    sketches, photos = np.arange(count), np.arange(count, 2 * count)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = Partition(sketches, photos, sketches[:1], photos[:1])
    return make_feed(Columns(items, device), rows, ("feature",), ("feature",), TransformSettings())


def ours(name: str, precision: Any, steps: int, sizes: dict[str, int]) -> Callable[[], Any]:
    """One trial's loop, in a process set up as a worker is."""
    keep_freed_memory()
    use_fast_products()
    feed = synthetic_feed(sizes.get("width", WIDTH))
    method = build(name, feed, sizes)
    loop = Loop(method, feed, TrainSettings(steps=10**6, warmup=0, precision=precision), seed=0)
    return lambda: loop.train(steps)


def peer(name: str, workers: int, steps: int, sizes: dict[str, int]) -> Callable[[], Any]:
    """What one would write: a dataset that draws an item's partners, a loader, Adam as it comes."""
    feed = synthetic_feed(sizes.get("width", WIDTH))
    method = build(name, feed, sizes)
    data = Quadruples(feed)
    loader = DataLoader(data, BATCH, shuffle=True, drop_last=True, num_workers=workers)
    optimizer = torch.optim.Adam(method.parameters(), lr=2e-4, betas=(0.5, 0.999))
    batches = endless(loader)

    def run() -> None:
        for _ in range(steps):
            sketch, photos, labels = next(batches)
            device = feed.columns.device
            gallery = {role: {"feature": photos[role].to(device)} for role in method.sampling.roles}
            batch = Batch({"feature": sketch.to(device)}, gallery, labels.to(device), {})
            optimizer.zero_grad()
            terms = method.loss(batch)
            loss = sum(terms.values())
            assert isinstance(loss, torch.Tensor)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
            optimizer.step()
            {term: value.item() for term, value in terms.items()}

    return run


def endless(loader: Any) -> Any:
    """Batches of one epoch after the other."""
    while True:
        yield from loader


class Quadruples(Dataset[Any]):
    """A sketch, its photo, another of its class, one of another class."""

    def __init__(self, feed: Feed) -> None:
        items, self.count = feed.columns.items, CLASSES * EACH
        self.feature = torch.from_numpy(items.payload["feature"].blocks[0])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        own = index // EACH
        other = (own + int(np.random.randint(1, CLASSES))) % CLASSES
        rows = {
            "positive": index,
            "same_class": own * EACH + int(np.random.randint(EACH)),
            "negative": other * EACH + int(np.random.randint(EACH)),
        }
        return self.feature[index], {role: self.feature[self.count + row] for role, row in rows.items()}, own


def build(name: str, feed: Feed, sizes: dict[str, int]) -> Method:
    """The network, in training."""
    torch.manual_seed(0)
    own = {key: value for key, value in sizes.items() if key != "width"}
    method = METHODS[name](feed.spec(), **SETTINGS[name], **own).to(feed.columns.device)
    return method.train()


def one(args: argparse.Namespace) -> None:
    """What the table starts in a process of its own: steps a second, and processor milliseconds a step."""
    sizes = json.loads(args.sizes)
    kind, _, word = args.kind.partition(" ")
    made = peer(args.method, int(word), args.steps, sizes) if kind == "peer" else None
    run = made if made is not None else ours(args.method, word, args.steps, sizes)
    run()  # first steps allocate
    rates, costs = [], []
    for _ in range(args.turns):
        wall, processor = time.perf_counter(), time.process_time()
        run()
        wait()
        rates.append(args.steps / (time.perf_counter() - wall))
        costs.append(1000 * (time.process_time() - processor) / args.steps)
    print(json.dumps([statistics.median(rates), statistics.median(costs)]))


def wait() -> None:
    """Until a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def table(args: argparse.Namespace) -> None:
    """Ours and the peer in turn, each in processes of their own."""
    report = Report("stepping")
    cores = 1 if torch.cuda.is_available() else os.cpu_count() or 1
    kinds: list[tuple[str, int, int | None]] = [("peer 0", 1, None), ("peer 2", 1, None)]
    kinds += [(f"ours {precision}", cores, 1) for precision in ("float32", "bfloat16")]
    sizes = json.loads(args.sizes)
    heads = ["steps", "trials at once", "threads each", "steps/s of the machine", "processor ms/step", "ratio to peer"]
    for name in args.methods:
        found: dict[str, list[tuple[float, float]]] = {kind: [] for kind, _, _ in kinds}
        for _ in range(args.rounds):
            for kind, at_once, threads in kinds:
                words = ["one", "--kind", kind, "--method", name, "--steps", str(args.steps), "--sizes", args.sizes]
                started = [start_python("benchmarks.stepping", *words, threads=threads) for _ in range(at_once)]
                said = [answer(process) for process in started]
                found[kind].append((sum(rate for rate, _ in said), statistics.mean(cost for _, cost in said)))
        best = {kind: [statistics.median(column) for column in zip(*rows, strict=True)] for kind, rows in found.items()}
        fastest = max(best[kind][0] for kind, _, _ in kinds if kind.startswith("peer"))
        report.say(f"{name} at {sizes or '5568-2048-1024'}, batch {BATCH}, {weights(name, sizes) / 1e6:.1f} M weights")
        report.say()
        rows = [
            [kind, at_once, threads or "torch's own", best[kind][0], best[kind][1], best[kind][0] / fastest]
            for kind, at_once, threads in kinds
        ]
        report.table(heads, rows)
        report.keep(**{name: {kind: {"steps_per_s": one[0], "cpu_ms": one[1]} for kind, one in best.items()}})
    report.say(
        "`peer n` is the loop with a DataLoader of n workers, whose processor time is not counted. The ratio is to the "
        "faster peer."
    )
    if not torch.cuda.is_available():
        report.say("Not run on a GPU: none was there.")
    if not sizes:
        report.write()


def weights(name: str, sizes: dict[str, int]) -> int:
    """How many a method has."""
    return sum(weight.numel() for weight in build(name, synthetic_feed(sizes.get("width", WIDTH)), sizes).parameters())


def quality(args: argparse.Namespace) -> None:
    """Best P@k on validation of the same trials in both precisions, on the embedded data at demo scale."""
    from sbir.training.run import Job, Run

    torch.set_num_threads(1)
    use_fast_products()
    columns, split, protocol = embedded()
    lengths = {"steps": args.steps, "eval_every": 50, "warmup": 50}
    report = Report("precision")
    rows: list[list[Any]] = []
    for name, settings in {"cross_modal": {"decode": "s", "latent": 128, "hidden": 256, "num_samples": 20}}.items():
        for seed in range(args.seeds):
            found: list[float] = []
            for precision in ("float32", "bfloat16"):
                train = {f"train/{key}": value for key, value in {**lengths, "precision": precision}.items()}
                given = {f"method/{key}": value for key, value in settings.items()} | train
                folder = f"none/{precision}"  # nothing is saved: `save_every` never comes
                job = Job(name, seed, "search", given, seed, folder)
                run = Run(job, METHODS[name], columns, split, protocol, save_every=1e9)
                finished = False
                while not finished:
                    row, finished = run.advance()
                found.append(100 * row[f"best/{protocol.select}"])
            rows.append([name, seed, *found, found[1] - found[0]])
            print(rows[-1], flush=True)
    report.say(f"Best {protocol.metric} in %, {args.steps} steps, demo scale, synthetic data, by seed")
    report.say()
    report.table(["method", "seed", "float32", "bfloat16", "bfloat16 - float32"], rows)
    gaps = [float(row[4]) for row in rows]
    spread = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
    report.say(f"Mean difference {statistics.mean(gaps):+.2f} points, standard error {spread:.2f}.")
    report.keep(differences=gaps)
    report.write()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("table", "one"), default="table")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--method", default="")
    parser.add_argument("--kind", default="")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", default="{}", help="JSON: width, hidden, latent; the figures of others are not kept")
    args = parser.parse_args()
    args.steps = args.steps or (150 if args.quality else 6)
    if args.quality:
        quality(args)
    else:
        {"table": table, "one": one}[args.what](args)


if __name__ == "__main__":
    main()
