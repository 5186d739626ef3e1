"""Fixtures that several rooms' tests share."""

import logging
import os
from collections.abc import Iterator

import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # workers share the cores


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make steps of small networks many times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One small local Ray for all tests that need one."""
    from sbir.tuning import quiet  # isort: skip  (before Ray is imported, as in a sweep)
    import ray

    quiet.silence()

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=200 << 20,
    )
    try:
        yield
    finally:
        ray.shutdown()
