"""Every script in sweeps/ runs. Scripts are found, not listed: a new one is tested from its first day."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "sweeps").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_sweep_script_runs_to_its_table_and_no_trial_fails(script: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(script), "--smoke", "--workers", "1", "--name", "smoke", "--runs", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed)" in done.stdout, done.stdout
    table = json.loads((tmp_path / "smoke" / "summary.json").read_text())["table"]
    methods = [row for row in table if row["kind"] == "method"]
    assert methods
    assert all(row["test"] for row in methods), table
