"""What finalists are given of the trial that was chosen."""

import json
from pathlib import Path

import numpy as np
import optuna
import pytest

from sbir.data.protocol import Partition
from sbir.models.cross_modal import CrossModal
from sbir.tuning.options import parse
from sbir.tuning.phases import Phases
from sbir.tuning.space import Resolved
from sbir.tuning.sweep import Sweep


def fitted_on(count: int) -> Partition:
    rows = np.arange(count)
    return Partition(rows, rows, rows, rows)


@pytest.mark.parametrize(("chosen", "steps"), [(30, 36), (90, 108)])
def test_a_finalist_takes_the_chosen_steps_of_the_whole_length_in_passes_over_its_own_rows(
    tmp_path: Path, chosen: int, steps: int
) -> None:
    resolved = Resolved(
        Sweep(CrossModal, {"latent": [8]}, defaults={"train/steps": 90, "train/eval_every": 30}),
        scale="paper",
        wanted={},
    )
    storage, name = optuna.storages.InMemoryStorage(), resolved.sweep.name
    phases = Phases(storage, tmp_path, parse("s", None, []), [resolved], fit=(fitted_on(50), fitted_on(60)))
    (search,) = phases.search()
    trial = search.study.ask()
    search.study.tell(trial, 0.5)
    rows = [{"step": step, "best/step": min(step, chosen), "lambda": "1.0"} for step in (30, 60, 90)]
    folder = tmp_path / "trials" / f"{name}-{trial.number}"
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (refits,) = phases.finals()
    asked = refits.next()
    assert asked is not None
    assert (asked[1].steps, asked[1].length) == (steps, 108)
