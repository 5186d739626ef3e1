"""The subcommands of `sbir`: one file each, with `add(commands)` and what it runs; heavy imports inside functions."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = object
