"""Where the default sweep's time goes: the ten largest costs of a trial and of the baselines, in processor time.

    python -m benchmarks.costs

One trial of `python sweeps/cross_modal.py` as it runs in a worker (the source's best row at demo scale, embedded data,
one thread), then the closed forms that the driver solves beside the trials. Beside each cost stands what it would be at
best: every tensor operation below it at the measured rate of a large matrix product of its type, or of a large copy,
whichever takes longer: each operand moved once, nothing kept in caches (reading is a little faster than copying). The
last result is in results/costs.md.
"""

import argparse
import cProfile
import math
import pstats
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.measure import Report, embedded, in_turns
from sbir.fast_products import suits, use_fast_products
from sbir.memory import keep_freed_memory
from sbir.models.cross_modal import CrossModal
from sbir.training.baselines import score_baselines
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


class Bounds(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Seconds at best of what is run under it, by the name that the profile books an operation on.

    Where oneDNN multiplies, its products and the others have a row each; the rest of the gradient is booked on
    `run_backward`, any other operation with a row of its own there, and a matrix product of an operator on the
    Python function that called it.
    """

    def __init__(self, names: Collection[str], rates: Mapping[torch.dtype, float], bandwidth: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._names, self._rates, self._bandwidth = names, rates, bandwidth

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run it and add up its bound."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            name = func.overloadpacket.__name__
            written = {at for at, one in enumerate(func._schema.arguments)
                       if one.alias_info and one.alias_info.is_write and one.name != "grads"}  # fmt: skip
            twice = [one for at in written if at < len(args) for one in tree_leaves(args[at])]
            tensors = {id(one): one for one in tree_leaves((args, kwargs, out)) if isinstance(one, Tensor)}
            moved = sum(one.nbytes for one in [*tensors.values(), *twice] if isinstance(one, Tensor))
            dtype = next(iter(tensors.values())).dtype if tensors else torch.float32
            seconds = flops(name, args) / self._rates.get(dtype, math.inf), moved / self._bandwidth
            self.seconds[self._booked(name, args)] += max(seconds)
        return out

    def _booked(self, operation: str, args: Any) -> str:
        if operation in {"mm", "addmm"}:
            kernel = "_ops.mkldnn._linear" if suits(*args[-2:]) else "_ops.aten."
            if own := [name for name in self._names if kernel in name]:
                return own[0]
        if torch._C._current_graph_task_id() != -1:
            return next((name for name in self._names if "run_backward" in name), "")
        plain = {"addmm": "linear"}.get(operation, operation.strip("_").removesuffix("_ex").removeprefix("native_"))
        own = [name for name in self._names if name.startswith("<") and plain in name]
        frame = None if own else sys._getframe(2)
        while frame is not None and frame.f_code.co_name not in self._names:
            frame = frame.f_back
        return own[0] if own else frame.f_code.co_name if frame else ""


def flops(operation: str, args: Any) -> float:
    """Of matrix products and of solvers, as Golub and Van Loan count them; 0 of all others."""
    counts: dict[str, Callable[..., float]] = {
        "mm": lambda a, b: 2 * a.numel() * b.shape[-1],
        "bmm": lambda a, b: 2 * a.numel() * b.shape[-1],
        "matmul": lambda a, b: 2 * a.numel() * b.shape[-1],
        "addmm": lambda _, a, b: 2 * a.numel() * b.shape[-1],
        "linear": lambda x, weight, *_: 2 * x.numel() * len(weight),
        "linalg_qr": lambda a, *_: 4 * min(a.shape) ** 2 * (max(a.shape) - min(a.shape) / 3),  # writes Q out
        "_linalg_svd": lambda a, *_: 22 * min(a.shape) ** 3,
        "linalg_cholesky_ex": lambda a: len(a) ** 3 / 3,
        "cholesky_solve": lambda target, factor, *_: 2 * len(factor) ** 2 * target.shape[1],
    }
    return float(counts[operation](*args)) if operation in counts else 0.0


def rates() -> tuple[dict[torch.dtype, float], float]:
    """Operations a second of a large product by type, and bytes a second of a large copy, of one thread."""
    found = {}
    for dtype in (torch.float32, torch.float64):
        a, b = torch.randn(2, 2048, 2048, dtype=dtype)
        found[dtype] = 2 * 2048**3 / in_turns({"product": partial(torch.matmul, a, b)}, 3)["product"].processor
    whole = torch.zeros(2, 2**26)
    copied = in_turns({"copy": lambda: whole[0].copy_(whole[1])}, 5)["copy"].processor
    return found, 2 * whole[0].nbytes / copied


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=2, help="of the five that a trial has")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    use_fast_products()
    report = Report("costs")
    columns, split, protocol = embedded()
    job = Job("cross_modal", 0, "search", SETTINGS, 0, "none")
    run = Run(job, CrossModal, columns, split, protocol, save_every=1e9)
    run.advance()
    speeds, bandwidth = rates()
    report.say(f"Rates of one thread: products {speeds[torch.float32] / 1e9:.0f} GFLOP/s in float32 and "
               f"{speeds[torch.float64] / 1e9:.0f} in float64, copies {bandwidth / 1e9:.1f} GB/s")  # fmt: skip
    report.say()
    parts: dict[str, Callable[[], Any]] = {
        f"{50 * args.evaluations} steps and {args.evaluations} evaluations of a trial": lambda: [
            run.advance() for _ in range(args.evaluations)
        ],
        "the baselines": lambda: score_baselines(columns, split, protocol),
    }
    for name, work in parts.items():
        found = list(costs(work))
        with Bounds([row[0] for row in found], speeds, bandwidth) as bounds:
            work()
        rows = [[*row, bounds.seconds[row[0]] or "-"] for row in found]
        report.say(f"Processor seconds of {name}, the ten largest")
        report.say()
        report.table(["function", "calls", "s", "at best"], rows)
        report.keep(**{name: rows})
    report.write()


if __name__ == "__main__":
    main()
