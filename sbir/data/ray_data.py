"""Ray and Ray Data as this project uses them: rows in order, and silent."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_SILENCE = {"RAY_DEDUP_LOGS_SKIP_REGEX": ".*", "RAY_USAGE_STATS_ENABLED": "0"}


@contextmanager
def running_ray() -> Iterator[None]:
    """A running Ray: the one that is there, else a local one for this block (`RAY_ADDRESS` names a cluster)."""
    for name, value in _SILENCE.items():  # before Ray is imported
        os.environ.setdefault(name, value)
    import ray

    started = not ray.is_initialized()
    if started:
        # Without an address Ray would look for a cluster that left its traces on this machine.
        address = os.environ.get("RAY_ADDRESS", "local")
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        if started:
            ray.shutdown()


@contextmanager
def ray_data(*, whole_blocks: bool = False) -> Iterator[None]:
    """Settings for one Ray Data job in this block: rows keep their order, nothing is printed.

    With `whole_blocks` a block is never split, however large. What was set before is set again afterwards.
    """
    from ray.data import DataContext

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ray warns of its own defaults
        context = DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    if whole_blocks:
        context.target_max_block_size = None
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with DataContext.current(context):
            yield
    finally:
        logger.setLevel(level)
