"""The embedded data: generated and extracted once, then found in the user's cache folder."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sbir.data.store import StoreError, open_store

logger = logging.getLogger(__name__)

BACKBONE, WEIGHTS, SIZE, POINTS, SEED = "vgg16", "random", 64, 100, 0
LANGUAGE = "en"  # of the captions


def cache_folder() -> Path:
    """`SBIR_CACHE`, else `sbir` in the user's cache folder (`XDG_CACHE_HOME`, `~/.cache`)."""
    if own := os.environ.get("SBIR_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sbir"


def embedded_store(*, texts: bool = False) -> Path:
    """The store of the procedural doodles: VGG-16 features of seeded random weights at 64 pixels, images, and strokes.

    One store for methods of every kind, so that their figures stand on the same data; a run loads what it needs of it.
    With `texts` another one of the same doodles: images and English captions with their labels, without sketches. The
    first call generates and extracts, about a minute on two cores; later ones return at once. Damaged data or a
    damaged store are made again. Two processes do not make it twice: the second waits.
    """
    from sbir.data.doodles import VERSION, is_written, write_doodles

    folder = cache_folder()
    data = folder / f"doodles-{VERSION}-demo"
    store = folder / f"{data.name}-{BACKBONE}-{WEIGHTS}{SEED}-{SIZE}px-{POINTS}points"
    if texts:
        store = folder / f"{data.name}-text-{LANGUAGE}-{SIZE}px"
    with _alone(folder):
        if _usable(store):
            return store
        if not is_written(data, size="demo", seed=SEED):
            if data.exists():
                logger.warning("the cached doodles are damaged or of another version and made again: %s", data)
                shutil.rmtree(data)
            write_doodles(data, size="demo", seed=SEED)
        from sbir.features.extract import extract

        if texts:
            return extract(data, store, backbone="none", images=SIZE, variant=f"text={LANGUAGE}", seed=SEED)
        return extract(
            data, store, backbone=BACKBONE, weights=WEIGHTS, size=SIZE, images=SIZE, strokes=POINTS, seed=SEED
        )


def _usable(store: Path) -> bool:
    if not store.exists():
        return False
    try:
        open_store(store)
    except StoreError as error:
        logger.warning("the cached store is damaged and made again: %s", error)
        shutil.rmtree(store)
        return False
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
