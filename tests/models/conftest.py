"""Fixtures of the tests of methods."""

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """All of them train small networks."""
