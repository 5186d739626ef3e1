"""Ray Data as this project uses it: in order, and silent."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


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
