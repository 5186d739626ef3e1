"""Float32 matrix products by oneDNN (`sbir.fast_products`) against PyTorch's own: rates, errors, trained figures.

    python -m benchmarks.products            # rates and errors, by the shapes that occur
    python -m benchmarks.products --quality  # the same trials with either, by seed, on the embedded data

One thread. On a processor that is not served the table says so, and shows what oneDNN would be worth there. The last
results are in results/products.md and results/products-quality.md.
"""

import argparse
import json
import statistics
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import Report, answer, embedded, in_turns, start_python
from sbir.fast_products import mm, use_fast_products
from sbir.memory import keep_freed_memory
from sbir.models.cross_modal import CrossModal

BATCH, WIDTH, HIDDEN, LATENT, GALLERY = 64, 5568, 2048, 1024, 10_453


def products() -> dict[str, tuple[Tensor, Tensor]]:
    """What is multiplied, as it lies in memory: a layer's three products, an evaluation's two."""
    generator = torch.Generator().manual_seed(0)

    def made(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    x, weight, gradient = made(BATCH, WIDTH), made(HIDDEN, WIDTH), made(BATCH, HIDDEN)
    return {
        f"forward, {BATCH} x {WIDTH} x {HIDDEN}": (x, weight.t()),
        "gradient of the input": (gradient, weight),
        "gradient of the weight": (gradient.t(), x),
        f"forward, {BATCH} x {HIDDEN} x {LATENT}": (made(BATCH, HIDDEN), made(LATENT, HIDDEN).t()),
        "forward at demo scale, 64 x 256 x 128": (made(BATCH, 256), made(128, 256).t()),
        f"600 decoded samples, {HIDDEN} x {WIDTH}": (made(600, HIDDEN), made(WIDTH, HIDDEN).t()),
        f"64 queries and {GALLERY} photos, {LATENT}": (made(64, LATENT), made(GALLERY, LATENT).t()),
    }


def table() -> None:
    """Rates and errors."""
    torch.set_num_threads(1)
    keep_freed_memory()
    report = Report("products")
    if not use_fast_products():
        report.say("This processor is not served: PyTorch's own products stay.")
        report.say()
    rows: list[list[Any]] = []
    for name, (a, b) in products().items():
        own = partial(torch.mm, a, b, out=torch.empty(len(a), b.shape[1]))  # with `out`, that is not replaced
        ways = {"own": own, "fast": partial(mm, a, b)}
        rates = [2e-9 * a.numel() * b.shape[1] / taken.processor for taken in in_turns(ways, 15).values()]
        exact = a.double() @ b.double()
        errors = [float((multiply() - exact).abs().max() / exact.abs().max()) for multiply in ways.values()]
        rows.append([name, *rates, rates[1] / rates[0], *(f"{error:.1e}" for error in errors)])
    heads = ["product", "PyTorch's own, GFLOP/s", "oneDNN", "ratio", "its largest error / largest entry", "oneDNN's"]
    report.table(heads, rows)
    report.keep(rows=rows)
    report.write()


def quality(args: argparse.Namespace) -> None:
    """Best figure on validation and the figures of the baselines, in a process for either way."""
    report = Report("products-quality")
    words = ["--seeds", str(args.seeds), "--steps", str(args.steps)]
    started = [start_python("benchmarks.products", what, *words, threads=1) for what in ("own", "fast")]
    before, after = map(answer, started)
    rows = [[name, before[name], after[name], after[name] - before[name]] for name in before]
    report.say(f"CMDT: best P@20 on validation in %, {args.steps} steps at demo scale, by seed; test P@20 of "
               "baselines; synthetic data")  # fmt: skip
    report.say()
    report.table(["", "PyTorch's own products", "oneDNN's", "difference"], rows)
    gaps = [float(row[3]) for row in rows if row[0].startswith("CMDT")]
    error = statistics.stdev(gaps) / len(gaps) ** 0.5
    report.say(f"Trained: mean difference {statistics.mean(gaps):+.2f} points, standard error {error:.2f}.")
    report.keep(before=before, after=after)
    report.write()


def figures(args: argparse.Namespace) -> dict[str, float]:
    """Of trials by method and seed, and of baselines."""
    from sbir.training.baselines import score_baselines
    from sbir.training.run import Job, Run

    torch.set_num_threads(1)
    keep_freed_memory()
    columns, split, protocol = embedded()
    found = {}
    train = {"train/steps": args.steps, "train/eval_every": 50, "train/warmup": 50}
    sizes = {"decode": "s", "latent": 128, "hidden": 256, "num_samples": 20}
    settings = {f"method/{key}": value for key, value in sizes.items()} | train
    for seed in range(args.seeds):
        job = Job("cross_modal", 0, "search", settings, seed, "none")
        run = Run(job, CrossModal, columns, split, protocol, save_every=1e9)
        finished = False
        while not finished:
            row, finished = run.advance()
        found[f"CMDT, seed {seed}"] = 100 * row[f"best/{protocol.select}"]
    for baseline in score_baselines(columns, split, protocol):
        found[baseline.row] = 100 * baseline.test.means[protocol.select]
    return found


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("table", "own", "fast"), default="table")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--steps", type=int, default=150)
    args = parser.parse_args()
    if args.quality:
        quality(args)
    elif args.what == "table":
        table()
    else:
        if args.what == "fast":
            use_fast_products()
        print(json.dumps(figures(args)))


if __name__ == "__main__":
    main()
