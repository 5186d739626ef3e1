"""Extraction against a plain PyTorch loop on the same images in the same run, and its memory as images grow.

    python benchmarks/extraction.py speed  --images 1024 --backbone vgg16 --size 64
    python benchmarks/extraction.py memory --images 1000 20000

Both print lines that are kept in extraction.txt. The peer is what one would write without this project: a `DataLoader`
with one worker process a core over the same decoding, a `for` loop with torch's own number of threads, features into
one array. It is run with no and with one worker too, and its fastest form counts. Order: ours, peer, ours, peer, ...
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DISTINCT = 500  # pictures that are drawn; the others are links to them
CLASSES = 10


def write_images(root: Path, count: int) -> Path:
    """A data set of `count` smooth noise pictures of 256 x 256, one sketch to three photos, in ten classes."""
    rng = np.random.default_rng(0)
    drawn: list[Path] = []
    for number in range(count):
        kind, suffix = ("sketch", "png") if number % 4 == 3 else ("photo", "jpg")
        path = root / kind / f"class{number % (4 * CLASSES) // 4}" / f"{number}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < DISTINCT:
            small = Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8))
            small.resize((256, 256), Image.Resampling.BICUBIC).save(path)
            drawn.append(path)
        else:
            path.hardlink_to(drawn[number % len(drawn) // 4 * 4 + number % 4])
    return root


def ours(root: Path, out: Path, backbone: str, size: int) -> tuple[float, float]:
    """Seconds of the whole extraction, and images a second from the first batch to the last."""
    from sbir.features.extract import extract
    from sbir.features.work import Work

    times: list[tuple[float, int]] = []
    add = Work.add

    def timed(self: Work, rows: Any, values: Any, broken: Any) -> None:
        add(self, rows, values, broken)
        times.append((time.perf_counter(), len(rows)))

    Work.add = timed  # type: ignore[method-assign]
    started = time.perf_counter()
    try:
        extract(root, out, backbone=backbone, size=size)
    finally:
        Work.add = add  # type: ignore[method-assign]
    return time.perf_counter() - started, _rate(times)


def peer(root: Path, backbone: str, size: int, workers: int) -> tuple[float, float]:
    """The same of a `DataLoader` and a loop."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    from sbir.data.pictures import pixels
    from sbir.data.readers import read_dataset
    from sbir.features.backbones import normalise
    from sbir.features.weights import load_backbone

    class Images(Dataset[torch.Tensor]):
        def __init__(self) -> None:
            self.items = read_dataset(root).items

        def __len__(self) -> int:
            return len(self.items)

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.from_numpy(np.array(pixels(self.items[index], size)))

    started, times, done = time.perf_counter(), [], 0
    network = load_backbone(backbone, "random", size=size)[0]
    built, images = network.build(None), Images()
    features = np.empty((len(images), network.width), np.float32)
    with torch.inference_mode():
        for batch in DataLoader(images, batch_size=64, num_workers=workers):
            features[done : done + len(batch)] = built(normalise(batch)).numpy()
            done += len(batch)
            times.append((time.perf_counter(), len(batch)))
    return time.perf_counter() - started, _rate(times)


def _rate(times: list[tuple[float, int]]) -> float:
    return sum(count for _, count in times[1:]) / (times[-1][0] - times[0][0])


@contextmanager
def counted_seconds() -> Iterator[list[float]]:
    """Processor seconds of this process and of its descendants over this block, whether they end in it or not."""
    seconds: dict[int, float] = {}
    total: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.25):
            seconds.update({pid: _seconds(pid) or seconds.get(pid, 0.0) for pid in _descendants(os.getpid())})

    thread = threading.Thread(target=watch, daemon=True)
    before = time.process_time()
    thread.start()
    try:
        yield total
    finally:
        stop.set()
        thread.join()
        total.append(time.process_time() - before + sum(seconds.values()))


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def watched_memory() -> Iterator[dict[str, float]]:
    """Peaks in MB over this block, of this process and its descendants: private memory, and what they share in memory.

    Mapped files are not counted: the system writes them out and takes their pages back when it needs them.
    """
    peak = {"driver": 0.0, "largest": 0.0, "private": 0.0, "shared": 0.0}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            own, *rest = [_memory(pid) for pid in (os.getpid(), *_descendants(os.getpid()))]
            now = {
                "driver": own["Pss_Anon"],
                "largest": max((one["Pss_Anon"] for one in rest), default=0.0),
                "private": own["Pss_Anon"] + sum(one["Pss_Anon"] for one in rest),
                "shared": own["Pss_Shmem"] + sum(one["Pss_Shmem"] for one in rest),  # the object store, each page once
            }
            peak.update({name: max(value, peak[name]) for name, value in now.items()})

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task").glob("*/children")
        found = [int(word) for file in children for word in file.read_text().split()]
    except OSError:  # it has ended
        return []
    return found + [further for child in found for further in _descendants(child)]


def _memory(pid: int) -> dict[str, float]:
    found = {"Pss_Anon": 0.0, "Pss_Shmem": 0.0}
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return found
    for line in lines:
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) / 1024
    return found


def speed(args: argparse.Namespace) -> None:
    """Ours and the peer in turn, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_images(Path(folder) / "data", args.images[0])
        kinds = ["ours", *(f"peer {workers}" for workers in args.peers)]
        found: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in kinds}
        for turn in range(args.repeats):
            for kind in kinds:
                command = [sys.executable, __file__, "one", "--kind", kind, "--root", str(root)]
                command += ["--out", f"{folder}/store{turn}", "--backbone", args.backbone, "--size", str(args.size)]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[kind].append(tuple(json.loads(said.splitlines()[-1])))
                print(f"# {kind}: {found[kind][-1]}", file=sys.stderr, flush=True)
    print(f"{args.backbone} at {args.size} px, {args.images[0]} images of 256 x 256, {_machine()}")
    median = {kind: [statistics.median(column) for column in zip(*runs, strict=True)] for kind, runs in found.items()}
    for kind, (seconds, rate, work) in median.items():
        print(f"  {kind:8} {seconds:6.1f} s in all, {work:6.1f} processor seconds; "
              f"{rate:7.1f} images/s between first and last batch (median)")  # fmt: skip
    fastest = min((kind for kind in kinds if kind != "ours"), key=lambda kind: median[kind][0])
    ratio = [median[fastest][which] / median["ours"][which] for which in (0, 2)]
    print(f"  {fastest} / ours: {ratio[0]:.2f} in time, {ratio[1]:.2f} in processor seconds; {args.repeats} runs each")


def memory(args: argparse.Namespace) -> None:
    """One extraction for each number of images, in a process of its own."""
    print(f"{args.backbone} at {args.size} px, peak MB of private memory, {_machine()}")
    for count in args.images:
        with tempfile.TemporaryDirectory() as folder:
            root = write_images(Path(folder) / "data", count)
            command = [sys.executable, __file__, "one", "--kind", "memory", "--root", str(root)]
            command += ["--out", f"{folder}/store", "--backbone", args.backbone, "--size", str(args.size)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peak = json.loads(said.splitlines()[-1])
            size = sum(path.stat().st_size for path in Path(folder, "store").iterdir()) / 2**20
        told = f"driver {peak['driver']:.0f}, largest worker {peak['largest']:.0f}, all processes {peak['private']:.0f}"
        print(
            f"  {count:6} images: {told}; object store {peak['shared']:.0f}; the store on disk {size:.0f}", flush=True
        )


def one(args: argparse.Namespace) -> None:
    """What the others start, in a process of its own."""
    if args.kind == "memory":
        with watched_memory() as peak:
            ours(args.root, args.out, args.backbone, args.size)
        print(json.dumps(peak))
        return
    with counted_seconds() as total:
        timed = (
            ours(args.root, args.out, args.backbone, args.size)
            if args.kind == "ours"
            else peer(args.root, args.backbone, args.size, int(args.kind.split()[1]))
        )
    print(json.dumps([*timed, *total]))


def _machine() -> str:
    from importlib.metadata import version

    words = ", ".join(f"{name} {version(name)}" for name in ("ray", "torch", "pillow"))
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores (load {load:.0f} at the end), Python {platform.python_version()}, {words}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory", "one"))
    parser.add_argument("--images", type=int, nargs="+", default=[1024])
    parser.add_argument("--backbone", default="vgg16")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", type=int, nargs="+", default=[0, 1, os.cpu_count() or 1], help="workers of the peer")
    parser.add_argument("--kind", default="")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    {"speed": speed, "memory": memory, "one": one}[args.what](args)


if __name__ == "__main__":
    main()
