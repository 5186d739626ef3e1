"""Freed memory that a process keeps: counted in page faults, which no load of the machine changes."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from sbir.memory import keep_freed_memory, return_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def use():
    np.empty(48 << 20, np.uint8).fill(1)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
return_freed_memory()
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word: str) -> list[int]:
    said = subprocess.run([sys.executable, "-c", PROGRAM, word], check=True, capture_output=True, text=True).stdout
    return [int(line) for line in said.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are glibc's")
def test_a_block_that_was_freed_is_used_again_without_page_faults() -> None:
    kept, given_back = faults("keep")
    plain = faults("plain")[0]
    assert plain > 100  # else the system does not fault here, and there is nothing to save
    assert kept < plain / 10
    assert given_back > 10  # `return_freed_memory` did give it back
