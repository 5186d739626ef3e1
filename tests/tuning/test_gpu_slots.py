"""How trials share GPUs, and what asks for one where there is none."""

from pathlib import Path

import pytest

from sbir.tuning.main import main
from sbir.tuning.tune import _slots
from sweeps.cvae import SWEEP


@pytest.mark.parametrize(
    ("gpus", "workers", "running", "share"),
    [(4, None, 4, 1.0), (4, 4, 4, 1.0), (4, 8, 8, 0.5), (4, 6, 6, 0.5), (1, 3, 3, 0.33), (8, 2, 2, 1.0)],
)
def test_a_trial_has_a_gpu_of_its_own_unless_more_are_to_run_at_once(
    gpus: int, workers: int | None, running: int, share: float
) -> None:
    slots = _slots({"GPU": gpus, "CPU": 32, "accelerator_type:H100": 1}, workers)
    assert (slots.workers, slots.bundle) == (running, {"CPU": 1.0, "GPU": share})
    assert slots.device == f"{gpus} GPU (H100)"
    assert (slots.larger is None) == (share == 1.0)


def test_tf32_without_a_gpu_ends_the_sweep_before_it_begins(
    ray_session: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    flags = ["--smoke", "--workers", "1", "--wandb", "off", "--runs", str(runs), "--name", "rounded"]
    with pytest.raises(SystemExit) as ended:
        main(SWEEP, argv=[*flags, "--set", "train/precision=tf32"])
    assert ended.value.code == 2
    assert "train/precision tf32 needs a GPU, trials here run on 2 CPU cores" in capsys.readouterr().err
    assert not (runs / "rounded").exists()
