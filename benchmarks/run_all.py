"""All benchmarks of speed one after the other, about half an hour on two idle cores.

    python -m benchmarks.run_all
    python -m benchmarks.run_all --only scoring stepping

Results lie in benchmarks/results; one that fails is named at the end, and the exit status is 1 then.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

STEPS = {
    "products": ["benchmarks.products"],
    "products-quality": ["benchmarks.products", "--quality"],
    "scoring": ["benchmarks.scoring"],
    "stepping": ["benchmarks.stepping"],
    "feeding": ["benchmarks.feeding"],
    "starting": ["benchmarks.starting"],
    "sweep": ["benchmarks.sweep"],
    "costs": ["benchmarks.costs"],
    "samples": ["benchmarks.scoring", "--samples"],
    "precision": ["benchmarks.stepping", "--quality"],
}


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(STEPS), default=list(STEPS))
    failed = []
    for name in parser.parse_args().only:
        print(f"== {name}", flush=True)
        started = time.monotonic()
        root = str(Path(__file__).resolve().parents[1])
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
        if subprocess.run([sys.executable, "-m", *STEPS[name]], cwd=root, env=environ, check=False).returncode:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.1f}\n", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
