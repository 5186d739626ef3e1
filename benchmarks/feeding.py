"""What feeding trials costs: attaching to the shared store, memory a trial, and batches against two usual ways.

    python -m benchmarks.feeding

Ours: Ray Data reads the store once, trials see its blocks in shared memory and gather rows by index. Peers: batches by
`iter_torch_batches` of the same dataset, and the seed authors' way, an HDF5 file that is read item by item (from the
system's cache here, which favours it). Rows are 5568 float32. The last result is in results/feeding.md.
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sbir.tuning import quiet  # isort: skip  (before Ray is imported)

import numpy as np
import ray
import torch

from benchmarks.extraction import _memory as memory_of
from benchmarks.measure import Report, in_turns
from sbir.data.feed import Columns
from sbir.data.items import Items, Payload
from sbir.data.loader import Shared, share
from sbir.data.store_write import write_store
from sbir.memory import keep_freed_memory

WIDTH, BATCH, BATCHES = 5568, 64, 100


def write(folder: Path, rows: int) -> Path:
    """A store of noise, half sketches, and the same feature as HDF5."""
    import h5py

    rng = np.random.default_rng(0)
    feature = np.maximum(rng.standard_normal((rows, WIDTH), np.float32), 0)
    half = rows // 2
    items = Items(
        item_id=np.arange(rows).astype(str),
        domain=np.repeat(["sketch", "photo"], half),
        class_id=np.tile(np.arange(half) % 20, 2),
        instance_id=np.tile(np.arange(half), 2),
        split=np.tile(np.array(["train", "val", "test", "train"])[np.arange(half) % 20 // 5], 2),
        class_names=tuple(f"class {number}" for number in range(20)),
        payload={"feature": Payload([feature])},
    )
    write_store(folder / "store", items, dataset="noise", synthetic=True, given="nothing")
    with h5py.File(folder / "features.h5", "w") as file:
        file.create_dataset("feature", data=feature)
    return folder / "store"


@ray.remote(num_cpus=1)
class Trial:
    """A process of its own that sees the store as a trial does."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        self.columns: Columns | None = None

    def attach(self, shared: Shared) -> float:
        """Seconds until rows can be taken."""
        started = time.perf_counter()
        columns = Columns(shared.items())
        columns.take("feature", np.array([0]))
        taken = time.perf_counter() - started
        self.columns = columns
        return taken

    def touch(self) -> dict[str, float]:
        """Read every row once; this process's share of memory then, in MB."""
        import os

        assert self.columns is not None
        for start in range(0, len(self.columns.items), 256):
            self.columns.take("feature", np.arange(start, min(start + 256, len(self.columns.items))))
        return memory_of(os.getpid())

    def batches(self, count: int) -> tuple[float, float]:
        """Wall and processor seconds of so many random batches."""
        assert self.columns is not None
        rng = np.random.default_rng(0)
        size = len(self.columns.items)
        take = partial(self.columns.take, "feature")

        def run() -> None:
            for _ in range(count):  # each batch is let go before the next, as in training
                take(rng.integers(0, size, BATCH))

        taken = in_turns({"ours": run}, 3)["ours"]
        return taken.wall, taken.processor


def hdf5(path: Path, rows: int, count: int) -> Callable[[], Any]:
    """Random batches, one read an item."""
    import h5py

    file = h5py.File(path)
    data, rng = file["feature"], np.random.default_rng(0)

    def run() -> None:
        for _ in range(count):
            torch.from_numpy(np.stack([data[int(row)] for row in rng.integers(0, rows, BATCH)]))

    return run


def ray_data(store: Path, count: int) -> Callable[[], Any]:
    """Batches in local random order, as Ray Data's manual has it for training."""
    from sbir.data.store import open_store, read_table

    tables = [read_table(file).select(["feature"]) for file in open_store(store).files]
    dataset = ray.data.from_arrow(tables).materialize()

    def run() -> None:
        left = count
        for _ in dataset.iter_torch_batches(batch_size=BATCH, local_shuffle_buffer_size=4096):
            left -= 1
            if not left:
                return

    return run


def table(args: argparse.Namespace) -> None:
    """All of it."""
    report = Report("feeding", ("ray", "torch", "numpy", "h5py", "pyarrow"))
    ray.init(
        address="local",
        num_cpus=args.trials + 2,
        logging_level=logging.ERROR,
        include_dashboard=False,
        log_to_driver=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        store = write(Path(folder), args.rows)
        shared = share(store, ["feature"])
        trials = [Trial.remote() for _ in range(args.trials)]  # type: ignore[attr-defined]
        ray.get([trial.attach.remote(shared) for trial in trials])
        attach = [ray.get(trials[0].attach.remote(shared)) for _ in range(9)]
        size = args.rows * WIDTH * 4 / 2**20
        report.say(f"{args.rows} rows of {WIDTH} float32 ({size:.0f} MB)")
        report.say()
        report.say(f"Attach, median of 9: {1000 * float(np.median(attach)):.2f} ms")
        report.say()
        told = [ray.get(trial.touch.remote()) for trial in trials]
        told = [ray.get(trial.touch.remote()) for trial in trials]
        private = max(one["Pss_Anon"] for one in told)
        together = sum(one["Pss_Shmem"] for one in told)
        report.say(f"{args.trials} trials that have read every row: {together:.0f} MB of shared memory counted once, "
                   f"of which the feature is {size:.0f} MB; the largest has {private:.0f} MB of its own.")  # fmt: skip
        report.say()
        peers = {"HDF5, one read an item": hdf5(Path(folder) / "features.h5", args.rows, 20)}
        peers["iter_torch_batches, local shuffle of 4096"] = ray_data(store, 20)
        taken = in_turns(peers, 3)
        ours = ray.get(trials[0].batches.remote(args.batches))[0] / args.batches
        rows: list[list[object]] = [["ours", 1000 * ours, BATCH / ours, 1.0]]
        for name, seconds in taken.items():
            each = seconds.wall / 20
            rows.append([name, 1000 * each, BATCH / each, each / ours])
        report.table(["batches of 64 random rows", "ms/batch (wall)", "rows/s", "ours is so many times faster"], rows)
        report.keep(attach_s=attach, memory=told, batches=json.loads(json.dumps(rows)))
    ray.shutdown()
    if args.rows == 20_000:
        report.write()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--batches", type=int, default=BATCHES)
    args = parser.parse_args()
    quiet.silence()
    table(args)


if __name__ == "__main__":
    main()
