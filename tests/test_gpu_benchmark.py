"""The benchmark of a GPU goes through its parts on a machine without one, as a rehearsal that keeps nothing of it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_rehearsal_trains_every_completed_row_without_ray_or_arrow(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(('ray', 'pyarrow', 'optuna', 'wandb')));"
    words = ["gpu", "--quick", "--parts", "steps", "scoring", "rows", "--out", str(tmp_path)]
    script = f"{blocked} sys.argv = {words}; from benchmarks.gpu import main; main()"
    before = sorted((ROOT / "benchmarks/results").iterdir())
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert len(found["rows"]["table"]) == 37
    assert {one[1] for one in found["rows"]["table"]} >= {2500, 31500}
    assert found["scoring"]["difference"] < 1e-6
    assert found["steps"]["cross_modal"]["weights"] > 0
    assert sorted((ROOT / "benchmarks/results").iterdir()) == before
