"""Hamming search on packed codes against faiss's binary index: the same neighbours, and how long both take.

    python benchmarks/hamming.py

One thread each, random codes, faiss-cpu from the extra `bench`. Prints seconds per search (the best of several, taken
in turns) and the ratio of faiss's time to ours: above 1 means that ours is faster. Then the same items as real-valued
vectors of as many entries, ranked by our cosine search. The last result is in hamming.txt.
"""

import platform
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
import torch

from sbir.metrics import distances
from sbir.metrics.hamming import pack, search

GALLERY, QUERIES, TURNS = 100_000, 200, 5


def main() -> None:
    """Print one line per code length and k."""
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    print(f"numpy {np.__version__}, faiss {faiss.__version__}, {platform.machine()} CPU, one thread")
    print(f"{QUERIES} queries, {GALLERY} codes, best of {TURNS} turns")
    for num_bits in (16, 32, 64, 128):
        for k in (1, 200, 1000):
            compare(num_bits, k)
    for num_bits in (16, 32, 64, 128):
        compare_with_real(num_bits)


def compare(num_bits: int, k: int) -> None:
    """Time both, and check that their distances are the same (the order of equal ones is faiss's own)."""
    generator = torch.Generator().manual_seed(num_bits)
    signs = [torch.randint(2, (n, num_bits), generator=generator) * 2.0 - 1 for n in (QUERIES, GALLERY)]
    query, gallery = (pack(side) for side in signs)
    theirs_query, theirs_gallery = (np.packbits((side > 0).numpy(), axis=1, bitorder="little") for side in signs)
    index = faiss.IndexBinaryFlat(num_bits)
    index.add(theirs_gallery)
    assert (search(query, gallery, k)[0] == index.search(theirs_query, k)[0]).all()
    ours, theirs = best(lambda: search(query, gallery, k), lambda: index.search(theirs_query, k))
    print(f"{num_bits:4d} bits, k {k:4d}: ours {ours:.3f} s, faiss {theirs:.3f} s, faiss / ours {theirs / ours:.2f}")


def compare_with_real(num_bits: int) -> None:
    """What a code saves against the vector that it was made from."""
    generator = torch.Generator().manual_seed(num_bits)
    query, gallery = (torch.randn(n, num_bits, generator=generator) for n in (QUERIES, GALLERY))
    codes, packed = pack(gallery.sign()), pack(query.sign())
    ours, real = best(lambda: search(packed, codes, 200), lambda: search_real(query, gallery))
    print(
        f"{num_bits:4d} bits, k  200: {codes.bytes_per_item} bytes an item, {QUERIES / ours:.0f} queries/s; "
        f"real-valued {4 * num_bits} bytes an item, {QUERIES / real:.0f} queries/s"
    )


def search_real(query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """The 200 nearest by cosine distance."""
    ranking = distances.GalleryDistances(query, gallery, "cosine")
    return torch.cat(
        [distances.nearest(ranking.rows(start, stop), 200) for start, stop in distances.chunks(QUERIES, 64)]
    )


def best(*functions: Callable[[], Any]) -> list[float]:
    """Seconds of each function, the smallest of `TURNS`, in turns so that a busy machine troubles both."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(TURNS):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]


if __name__ == "__main__":
    main()
