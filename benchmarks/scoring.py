"""Scoring at the size of Sketchy: our `retrieve` against torchmetrics, pytorch-metric-learning and scikit-learn.

    python -m benchmarks.scoring             # rates, figures side by side, memory, a gallery that grows
    python -m benchmarks.scoring --samples   # what decoded samples a query cost, and how the score moves with them

12 694 queries, 10 453 photos of 21 classes, 1024 entries, one thread; the slow peers score a part of the queries,
and are compared with ours on these; torch multiplies for them as for us. The extra `bench` has the
peers. The last results are in results/scoring.md and results/samples.md.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import Report, answer, embedded, in_turns, start_python
from sbir.fast_products import use_fast_products
from sbir.memory import keep_freed_memory
from sbir.metrics.identity import Identity
from sbir.metrics.retrieval import Retrieval, retrieve

QUERIES, GALLERY, WIDTH, CLASSES, K = 12_694, 10_453, 1024, 21, 200


def world(queries: int, gallery: int, width: int) -> tuple[Tensor, Tensor, Identity, Identity]:
    """Noisy points around class means; Euclidean, Gaussian."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(CLASSES, width, generator=generator)
    labels = [torch.arange(count) % CLASSES for count in (queries, gallery)]
    sides = [means[own] + 6 * torch.randn(len(own), width, generator=generator) for own in labels]
    ids = [Identity(own, torch.full_like(own, -1)) for own in labels]
    return sides[0], sides[1], ids[0], ids[1]


def some(queries: int, of: tuple[Tensor, Tensor, Identity, Identity]) -> tuple[Tensor, Tensor, Identity, Identity]:
    """The first queries."""
    query, gallery, query_ids, gallery_ids = of
    return query[:queries], gallery, Identity(query_ids.labels[:queries], query_ids.instances[:queries]), gallery_ids


def ours(query: Tensor, gallery: Tensor, query_ids: Identity, gallery_ids: Identity, **more: Any) -> Retrieval:
    """All metrics and the top lists, one view."""
    of = {"k": K, "select": f"precision_at_{K}", "distance": "cosine", **more}
    return retrieve({"view": query}, {"view": gallery}, query_ids, gallery_ids, **of)


def bare(query: Tensor, gallery: Tensor, *_: Any) -> None:
    """Nothing but the products, in blocks of the same size as ours."""
    for block in torch.split(query, 64):
        block @ gallery.T


def torchs_own(query: Tensor, gallery: Tensor, *_: Any) -> None:
    """The same by the library that PyTorch multiplies with; with `out`, that is not replaced."""
    found = torch.empty(64, len(gallery))
    for block in torch.split(query, 64):
        torch.mm(block, gallery.T, out=found[: len(block)])


def torchmetrics(query: Tensor, gallery: Tensor, query_ids: Identity, gallery_ids: Identity) -> dict[str, float]:
    """mAP@all and P@k."""
    from torchmetrics.retrieval import RetrievalMAP, RetrievalPrecision

    normal = [side / side.norm(dim=1, keepdim=True) for side in (query, gallery)]
    scores = (normal[0] @ normal[1].T + 1).flatten()  # scores below 0 would count as irrelevant
    relevant = (query_ids.labels[:, None] == gallery_ids.labels).flatten()
    indexes = torch.arange(len(query)).repeat_interleave(len(gallery))
    measured = {"map_all": RetrievalMAP(), f"precision_at_{K}": RetrievalPrecision(top_k=K)}
    return {name: float(metric(scores, relevant, indexes=indexes)) for name, metric in measured.items()}


def metric_learning(query: Tensor, gallery: Tensor, query_ids: Identity, gallery_ids: Identity) -> dict[str, float]:
    """mAP@all, by faiss."""
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    calculator = AccuracyCalculator(include=("mean_average_precision",), device=torch.device("cpu"))
    normal = [side / side.norm(dim=1, keepdim=True) for side in (query, gallery)]
    found = calculator.get_accuracy(normal[0], query_ids.labels, normal[1], gallery_ids.labels)
    return {"map_all": found["mean_average_precision"]}


def scikit_learn(query: Tensor, gallery: Tensor, query_ids: Identity, gallery_ids: Identity) -> dict[str, float]:
    """mAP@all and P@k, as SEM-PCYC's public code has it."""
    from sklearn.metrics import average_precision_score
    from sklearn.metrics.pairwise import cosine_distances

    found = cosine_distances(query.numpy(), gallery.numpy())
    relevant = query_ids.labels.numpy()[:, None] == gallery_ids.labels.numpy()
    precision = [own[np.argsort(row)[:K]].mean() for row, own in zip(found, relevant, strict=True)]
    average = [average_precision_score(own, -row) for row, own in zip(found, relevant, strict=True)]
    return {"map_all": float(np.mean(average)), f"precision_at_{K}": float(np.mean(precision))}


def plain_curve(first: list[Tensor], second: list[Tensor], labels: tuple[Tensor, Tensor]) -> None:
    """P@k over the grid of lambda as one would write it."""
    normal = [[side / side.norm(dim=1, keepdim=True) for side in view] for view in (first, second)]
    one, two = (1 - query @ gallery.T for query, gallery in normal)
    for fused in [*(weight / 10 * one + (1 - weight / 10) * two for weight in range(11)), torch.minimum(one, two)]:
        near = fused.topk(K, dim=1, largest=False).indices
        (labels[1][near] == labels[0][:, None]).double().mean()


def table(args: argparse.Namespace) -> None:
    """Everything but the samples, in a process set up as a worker is."""
    torch.set_num_threads(1)
    keep_freed_memory()
    use_fast_products()
    report = Report(
        "scoring", ("torch", "numpy", "torchmetrics", "pytorch-metric-learning", "scikit-learn", "faiss-cpu")
    )
    whole = world(args.queries, args.gallery, args.width)
    report.say(f"{args.gallery} photos, {args.width} entries, {CLASSES} classes, cosine, one thread")
    report.say()
    peers: dict[str, tuple[Callable[..., dict[str, float]], int]] = {
        "scikit-learn": (scikit_learn, 512),
        "torchmetrics": (torchmetrics, 256),
        "pytorch-metric-learning": (metric_learning, 512),
    }
    rows = []
    for name, (function, count) in peers.items():
        part = some(min(count, args.queries), whole)
        theirs, found = function(*part), ours(*part).means
        gap = max(abs(value - found[metric]) for metric, value in theirs.items())
        sides: dict[str, Callable[[], Any]] = {"ours": partial(ours, *part), "peer": partial(function, *part)}
        taken = in_turns(sides, args.turns, warm=False)
        each = [1000 * taken[side].processor / len(part[0]) for side in ("ours", "peer")]
        rows.append([name, len(part[0]), ", ".join(theirs), f"{gap:.1e}", *each, each[1] / each[0]])
    heads = ["peer", "queries", "its metrics", "largest difference", "ours ms/query", "peer ms/query", "peer / ours"]
    report.table(heads, rows)
    report.say("Ours gives P@200, mAP@200 with three denominators, mAP@all and the top lists in that time; "
               "milliseconds are of a processor.")  # fmt: skip
    report.say()
    _rates(report, whole, args)
    _curve(report, some(512, whole), args)
    _memory(report)
    _growth(report, args)
    report.keep(peers=rows)
    if args.queries == QUERIES:
        report.write()


def _rates(report: Report, whole: Any, args: argparse.Namespace) -> None:
    part = some(2048, whole)
    sides = {"as PyTorch comes": lambda: torchs_own(*part), "as here": lambda: bare(*part), "ours": lambda: ours(*part)}
    each = {name: 1000 * seconds.processor / len(part[0]) for name, seconds in in_turns(sides, args.turns).items()}
    rate = {name: milliseconds / each["ours"] for name, milliseconds in each.items()}
    report.say(f"All metrics of {len(part[0])} queries, against the bare matrix product")
    report.say()
    report.table(["", "ms/query", "our rate, % of it"], [[name, each[name], 100 * rate[name]] for name in each])
    wall = time.perf_counter()
    ours(*whole)
    seconds = time.perf_counter() - wall
    report.say(f"All {len(whole[0])} queries: {seconds:.1f} s of wall time on one thread.")
    report.say()
    report.keep(rate=rate, seconds=seconds)


def _curve(report: Report, part: Any, args: argparse.Namespace) -> None:
    query, gallery, query_ids, gallery_ids = part
    views = [{"one": side, "two": side.roll(1, 1) + side.flip(1)} for side in (query, gallery)]
    of: dict[str, Any] = {"k": K, "select": f"precision_at_{K}", "distance": "cosine"}
    twice = [torch.cat([side["one"], side["two"]], 1) for side in views]  # the work of two products
    second = [views[0]["two"], views[1]["two"]]
    taken = in_turns(
        {
            "bare": lambda: bare(*twice),
            "ours": lambda: retrieve(views[0], views[1], query_ids, gallery_ids, **of),
            "fixed": lambda: retrieve(views[0], views[1], query_ids, gallery_ids, fusion="0.5", **of),
            "plain": lambda: plain_curve([query, gallery], second, (query_ids.labels, gallery_ids.labels)),
        },
        args.turns,
    )
    each = {name: 1000 * seconds.processor / len(query) for name, seconds in taken.items()}
    report.say("Two views and the 12-point curve over lambda, milliseconds of a processor a query")
    report.say()
    report.table(
        ["", "ms/query"],
        [
            ["the two matrix products alone", each["bare"]],
            ["ours at a given lambda, all metrics", each["fixed"]],
            ["ours, curve and all metrics at its best", each["ours"]],
            ["a loop over lambda with torch.topk, P@200 alone", each["plain"]],
        ],
    )
    report.keep(curve_ms=each)


def _memory(report: Report) -> None:
    rows = []
    for chunk in (64, 512, 2048):
        said = answer(start_python("benchmarks.scoring", "memory", "--chunk", str(chunk), threads=1))
        rows.append([chunk, said])
    report.say("Peak of private memory above the embeddings, by the setting `chunk`")
    report.say()
    report.table(["chunk", "MB"], rows)
    report.keep(memory_mb=rows)


def memory(args: argparse.Namespace) -> None:
    """MB that scoring takes above what its inputs and a first small call take."""
    torch.set_num_threads(1)
    part = world(4096, GALLERY, 128)
    ours(*some(64, part), chunk=64)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts anew: getrusage's is at least that of the parent
    before = _kilobytes("VmRSS")
    ours(*part, chunk=args.chunk)
    print(json.dumps((_kilobytes("VmHWM") - before) / 1024))


def _kilobytes(name: str) -> int:
    """A line of Linux's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def _growth(report: Report, args: argparse.Namespace) -> None:
    rows = []
    for size in (10_000, 100_000, 1_000_000)[: 3 if args.queries == QUERIES else 1]:
        part = world(64, size, 128)
        taken = in_turns({"ours": partial(ours, *part), "bare": partial(bare, *part)}, 1)
        rows.append([size, 1000 * taken["ours"].processor / 64, 1e9 * taken["ours"].processor / 64 / size])
    report.say("A gallery that grows: 64 queries, 128 entries")
    report.say()
    report.table(["gallery", "ms/query", "ns/query and item"], rows)
    report.keep(growth=rows)


def samples(args: argparse.Namespace) -> None:
    """Cost at the paper's sizes, and P@k of one trained model by the number of samples."""
    from sbir.models import layers
    from sbir.models.cross_modal import CrossModal
    from sbir.training.evaluate import evaluate
    from sbir.training.run import Job, Run

    torch.set_num_threads(1)
    keep_freed_memory()
    use_fast_products()
    report = Report("samples")
    counts = (0, 1, 2, 5, 10, 20, 50, 100, 200, 400)
    decoder, given = layers.decoder([1024 + 5568, 2048, 5568]), torch.rand(4, 5568)
    noise = {count: layers.seeded_noise(count, 1024, given) for count in counts}
    with torch.inference_mode():
        cost = {}
        for count in counts:
            taken = in_turns({"one": partial(layers.mean_decoded, decoder, noise[count], given)}, 1)
            cost[count] = 1000 * taken["one"].processor / len(given)
    columns, split, protocol = embedded()
    found: dict[int, list[float]] = {count: [] for count in counts}
    fused: dict[int, list[float]] = {count: [] for count in counts}
    for seed in range(args.seeds):
        own = {"decode": "s", "latent": 128, "hidden": 256, "num_samples": 1, "kl_weight": args.kl}
        lengths = {"steps": args.steps, "eval_every": args.steps, "warmup": 50}
        settings = {f"method/{key}": value for key, value in own.items()}
        settings |= {f"train/{key}": value for key, value in lengths.items()}
        run = Run(
            Job("cross_modal", 0, "search", settings, seed, "none"),
            CrossModal,
            columns,
            split,
            protocol,
            save_every=1e9,
        )
        run.advance()
        for count in counts:
            run.method.num_samples = count  # type: ignore[assignment]
            means = [evaluate(run.method, run.feed, protocol, fusion=fusion).means for fusion in ("0.0", None)]
            found[count].append(100 * means[0][protocol.select])
            fused[count].append(100 * means[1][protocol.select])
    report.say(f"{protocol.metric} in %, {args.seeds} seeds, {args.steps} steps at demo scale, KL weight {args.kl}, "
               "synthetic data; cost at 5568-2048-1024 on one thread")  # fmt: skip
    report.say()
    rows = [
        [
            count,
            cost[count],
            float(np.mean(found[count])),
            _apart(found[count], found[400]),
            float(np.mean(fused[count])),
        ]
        for count in counts
    ]
    report.table(["samples", "ms/query", "generation only (lambda 0)", "mean |difference to 400|", "best lambda"], rows)
    report.keep(cost_ms=cost, generation=found, fused=fused)
    report.write()


def _apart(values: list[float], reference: list[float]) -> float:
    return float(np.mean(np.abs(np.array(values) - np.array(reference))))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("table", "memory"), default="table")
    parser.add_argument("--samples", action="store_true")
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--gallery", type=int, default=GALLERY)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--kl", type=float, default=1.0)
    args = parser.parse_args()
    if args.samples:
        samples(args)
    else:
        {"table": table, "memory": memory}[args.what](args)


if __name__ == "__main__":
    main()
