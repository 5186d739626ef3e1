"""Journal, space, plans and rungs: the parts of the searcher, without Ray's processes."""

import json
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sbir.models.cross_modal import CrossModal
from sbir.models.linear_map import LinearMap
from sbir.tuning.draw import Draw
from sbir.tuning.journal import Journal
from sbir.tuning.options import parse
from sbir.tuning.phases import _shared
from sbir.tuning.plan import Plan
from sbir.tuning.rungs import Rungs
from sbir.tuning.space import Declared, Resolved, parse_set, wanted_by
from sbir.tuning.studies import Studies
from sbir.tuning.sweep import Demo, Sweep
from sbir.types import DataSpec
from sweeps import cross_modal


def space(draw: Draw) -> None:
    draw.suggest_categorical("latent", [1024, 2048])
    if draw.suggest_categorical("ranking", ["ranking", "siamese"]) == "ranking":
        draw.suggest_categorical("margin1", [0.0, 1.0])
    draw.suggest_float("train/lr", 1e-5, 1e-3, log=True)


SWEEP = Sweep(
    CrossModal,
    space,
    published={
        "a": {"latent": 2048, "margin1": 1.0},
        "b": {"latent": 1024},
        "c": {"latent": 1024},
        "d": {"latent": 1024, "replicate": 1},
    },
    first=("b", "a"),
    demo=Demo(settings={"hidden": 8}, replace={"latent": {1024: 4, 2048: 6}}),
)


def plan(folder: Path, journal: Journal, total: int = 6, wanted: Any = None, *, by_steps: bool = False) -> Plan:
    resolved = Resolved(SWEEP, scale="demo", wanted=wanted or {})
    study = optuna.create_study(
        storage=JournalStorage(journal),
        study_name="m",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    return Plan("m", study, total, phase="search", seed=5, folder=folder, propose=resolved.propose, by_steps=by_steps)


def report(step: int, value: float) -> dict[str, Any]:
    return {"row": json.dumps({"step": step}), "value": value, "finished": False}


def test_a_torn_last_line_is_cut_and_optuna_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    journal = Journal(path)
    plan(tmp_path, journal).next()
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 5, "torn')
    again = Journal(path)
    assert path.read_bytes() == whole
    again.close()
    study = optuna.load_study(study_name="m", storage=JournalStorage(JournalFileBackend(str(path))))
    assert [trial.number for trial in study.trials] == [0]


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    with pytest.raises(ValueError, match="held by another"):
        Journal(tmp_path / "j")
    journal.close()


def test_a_failed_append_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j")
    journal.append_logs([{"a": 1}])
    real = __import__("os").write
    monkeypatch.setattr("os.write", lambda file, data: real(file, data[:3]))
    with pytest.raises(OSError, match="disk full"):
        journal.append_logs([{"b": 2}])
    monkeypatch.undo()
    journal.append_logs([{"c": 3}])
    assert (tmp_path / "j").read_text() == '{"a":1}\n{"c":3}\n'
    assert list(journal.read_logs(0)) == [{"a": 1}, {"c": 3}]
    journal.close()


def test_set_fixes_narrows_and_is_checked() -> None:
    assert parse_set("a=1,2.5,x,true,none") == ("a", [1, 2.5, "x", True, None])
    fixed = Resolved(SWEEP, scale="demo", wanted={"latent": [6], "dropout": [0.1]})
    assert fixed.constants == {"method/hidden": 8, "method/dropout": 0.1}
    assert [row.label for row in fixed.allowed()] == ["a"]
    with pytest.raises(ValueError, match=r"must be among \[4, 6\], got 1024"):
        Resolved(SWEEP, scale="demo", wanted={"latent": [1024]})
    with pytest.raises(ValueError, match="did you mean 'method/latent'"):
        Resolved(SWEEP, scale="paper", wanted={"latnet": [1024]})
    with pytest.raises(ValueError, match="takes one value"):
        Resolved(SWEEP, scale="paper", wanted={"dropout": [0.1, 0.2]})
    with pytest.raises(ValueError, match=r"number from 1e-05 to 0\.001, got 7"):
        Resolved(SWEEP, scale="paper", wanted={"train/lr": [7]})
    with pytest.raises(ValueError, match="KEY=VALUE"):
        parse_set("latent")


def test_axes_are_found_where_they_are_conditional() -> None:
    axes = Resolved(SWEEP, scale="paper", wanted={}).axes
    assert set(axes) == {"method/latent", "method/ranking", "method/margin1", "train/lr"}
    assert axes["method/latent"] == [1024, 2048]


def test_the_deterministic_control_has_no_axes_of_the_variational_part() -> None:
    wanted = {"decoder": ["deterministic"]}
    resolved = Resolved(cross_modal.SWEEP, scale="demo", wanted=wanted)
    assert resolved.constants["method/decoder"] == "deterministic"
    assert not {"method/kl_weight", "method/orthogonality_weight"} & set(resolved.axes)
    resolved.check_values(lambda _: DataSpec({"feature": (8,)}, {"feature": (8,)}, num_classes=3, paired=True))
    assert len(cross_modal.PUBLISHED) == 20


def test_a_row_that_needs_wider_features_than_the_store_has_is_left_out_by_name() -> None:
    sweep = Sweep(CrossModal, {"data/feature_dim": [4096, None]}, published={"a": {}, "b": {"data/feature_dim": 4096}})
    narrow = Resolved(sweep, scale="paper", wanted={}, width=1280)
    assert [row.label for row in narrow.allowed()] == ["a"]
    assert narrow.unserved == ["b"]
    assert narrow.axes["data/feature_dim"] == [None]
    assert not narrow.varies
    wide = Resolved(sweep, scale="paper", wanted={}, width=5568)
    assert [row.label for row in wide.allowed()] == ["a", "b"]
    assert wide.axes["data/feature_dim"] == [4096, None]


def test_a_key_reaches_every_method_that_has_it_and_one_that_makes_a_method_cannot_be_changed() -> None:
    siamese = Sweep(CrossModal, {"latent": [1]}, key="other", title="Other", fixed={"ranking": "siamese"})
    closed = Sweep(LinearMap, {"penalty": [1.0]})
    assert siamese.name == "other"
    assert Resolved(siamese, scale="paper", wanted={}).constants == {"method/ranking": "siamese"}
    by_sweep = wanted_by([siamese, closed], {"penalty": [2.0], "train/steps": [5]})
    assert by_sweep == [{"train/steps": [5]}, {"method/penalty": [2.0], "train/steps": [5]}]
    with pytest.raises(ValueError, match="did you mean 'method/penalty'"):
        wanted_by([closed], {"penaltie": [2.0]})
    with pytest.raises(ValueError, match="Other is what it is by method/ranking = 'siamese', got 'ranking'"):
        Resolved(siamese, scale="paper", wanted={"ranking": ["ranking"]})


def test_what_pruning_saves_is_spent_on_further_trials(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = plan(tmp_path, journal, total=2, wanted={"train/steps": [30]}, by_steps=True)
    ended = []
    while found := made.next():
        trial, _ = found
        assert made.share <= 1
        made.note(trial, report(10, 0.5))
        made.complete(trial, report(10, 0.5))
        ended.append(trial.number)
    assert ended == [0, 1, 2, 3]  # a third of the length each: a fifth might need more than what is left of two
    assert made.exhausted
    journal.close()


def test_a_failed_trial_has_spent_its_whole_length(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = plan(tmp_path, journal, total=2, by_steps=True)
    for _ in range(2):
        found = made.next()
        assert found
        made.complete(found[0], {"failed": "out of luck"})
    assert made.next() is None
    journal.close()


def test_a_declared_row_takes_the_defaults_of_axes_that_it_does_not_name() -> None:
    resolved = Resolved(SWEEP, scale="demo", wanted={})
    first = resolved.allowed(SWEEP.first)
    assert [row.label for row in first] == ["b", "a"]
    assert resolved.parameters(first[0]) == {
        "method/latent": 4,
        "method/ranking": "ranking",
        "method/margin1": 0.0,
        "train/lr": 2e-4,
    }
    outside = Declared("x", {"method/latent": 5})
    with pytest.raises(ValueError, match="must lie in the space"):
        resolved.parameters(outside)


def test_rows_that_differ_in_lambda_only_share_a_training_and_replicates_do_not() -> None:
    rows = _shared(Resolved(SWEEP, scale="paper", wanted={}).allowed())
    assert [row.label for row in rows] == ["a", "b, c", "d"]


def test_a_trial_of_a_dead_driver_is_taken_up_again_with_the_same_parameters(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    first = plan(tmp_path, journal)
    asked = [first.next() for _ in range(3)]
    assert all(found is not None for found in asked)
    jobs = [found[1] for found in asked if found]
    journal.close()
    journal = Journal(tmp_path / "j")
    again = plan(tmp_path, journal)
    retaken = [found[1] for found in (again.next() for _ in range(3)) if found]
    assert retaken == jobs
    assert again.live == {0, 1, 2}
    journal.close()


def test_a_step_that_is_reported_again_changes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = plan(tmp_path, journal)
    found = made.next()
    assert found
    made.note(found[0], report(10, 0.5))
    made.note(found[0], report(10, 0.9))
    assert made.study.trials[0].intermediate_values == {10: 0.5}
    assert made.rows(0) == [{"step": 10}]
    journal.close()


def test_a_worker_that_dies_twice_without_progress_fails_its_trial(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = plan(tmp_path, journal, total=1)
    found = made.next()
    assert found
    assert made.died(found[0]).name == "RUNNING"
    again = made.next()
    assert again
    assert again[1] == found[1]
    made.note(again[0], report(10, 0.5))  # progress: the count starts anew
    assert made.died(again[0]).name == "RUNNING"
    third = made.next()
    assert third
    assert made.died(third[0]).name == "FAIL"
    assert "died again and again" in made.study.trials[0].user_attrs["reason"]
    assert made.next() is None
    journal.close()


def test_a_trial_goes_on_once_in_a_larger_slot_after_all_others(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = plan(tmp_path, journal, total=2)
    found = made.next()
    assert found
    failed = {"failed": "out of GPU memory", "out_of_memory": True}
    assert made.complete(found[0], failed, has_larger=True).name == "RUNNING"
    other = made.next()
    assert other
    assert other[0].number == 1  # first what needs no other slot
    journal.close()

    journal = Journal(tmp_path / "j")  # a restarted driver knows which slot it needs
    made = plan(tmp_path, journal, total=2)
    numbers = [handed[0].number for handed in iter(made.next, None)]
    assert numbers == [1, 0]
    large = next(trial for trial in made.study.trials if trial.number == 0)
    assert large.user_attrs["slots"] == 2
    again = optuna.trial.Trial(made.study, large._trial_id)
    assert made.complete(again, failed, has_larger=True).name == "FAIL"
    journal.close()


def test_no_trial_stays_running_when_the_time_is_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = plan(tmp_path, journal)
    studies = Studies([lambda: [made]], deadline=time.monotonic() + 3600)
    assert studies.suggest("a")["slots"] == 1
    studies._deadline = 0.0
    studies.on_trial_complete("a", error=True)
    assert made.study.trials[0].state.name == "RUNNING"
    assert made.study.trials[0].user_attrs["deaths"] < 1  # its worker never came up
    assert studies.suggest("b") == "FINISHED"
    assert [trial.state.name for trial in made.study.trials] == ["PRUNED"]
    assert "time was over" in made.study.trials[0].user_attrs["reason"]
    assert studies.done
    journal.close()


MEMORY_MESSAGE = """2 worker(s) were killed due to the node running low on memory.
Memory on the node (IP: 10.0.0.1, ID: 36) was 5.77GB used / 6.00GB limit (0.961589)
Ray killed 2 worker(s) based on the killing policy
Considered workers: [
Selected to kill: (Actor(7a): job ID=01, required resources={}, pid=33, actual memory used=0.11GB, worker ID=a1)
Selected to kill: (Actor(3c): job ID=01, required resources={CPU: 1}, pid=11, actual memory used=0.44GB, worker ID=a2)
(Actor(33): job ID=01, required resources={CPU: 1}, pid=22, actual memory used=4.40GB, worker ID=a3)
]"""  # as Ray 2.60 words it, shortened


def test_only_the_largest_trial_of_a_node_that_is_out_of_memory_answers_for_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = plan(tmp_path, journal)
    studies = Studies([lambda: [made]])
    for name, pid, node in (("innocent", 11, "10.0.0.1"), ("guilty", 22, "10.0.0.1"), ("elsewhere", 22, "10.0.0.2")):
        folder = Path(studies.suggest(name)["job"]["folder"])
        folder.mkdir(parents=True)
        (folder / "worker.json").write_text(json.dumps({"pid": pid, "node": node}))
    studies.requeue(MEMORY_MESSAGE)
    assert [trial.user_attrs["deaths"] for trial in made.study.trials] == [0.0, 1.0, 0.0]
    assert not studies.live
    journal.close()


class FakeStudies:
    def __init__(self, plans: list[Plan]) -> None:
        self.plans = plans


def test_nothing_is_cut_before_four_results_stand_and_then_the_best_third_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = plan(tmp_path, journal)
    rungs = Rungs(FakeStudies([made]), {"m": [10], "other": [10]}, prune=True)  # type: ignore[arg-type]
    assert not any(rungs.cut("m", number, 10, value) for number, value in enumerate([0.9, 0.1, 0.2]))
    assert rungs.cut("m", 3, 12, 0.3)  # the first in a rung where four stand; one of four may go on
    assert not rungs.cut("m", 4, 10, 0.95)
    assert not rungs.cut("m", 3, 15, 0.0)  # entered already
    assert not rungs.cut("other", 0, 10, 0.0)
    journal.close()


def test_rungs_come_back_from_the_journal_without_a_running_trials_last_step(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    made = plan(tmp_path, journal)
    for value in (0.5, 0.6, 0.7):
        found = made.next()
        assert found
        made.note(found[0], report(10, value))
        if value != 0.7:
            made.complete(found[0], report(20, value) | {"finished": True})
    rungs = Rungs(FakeStudies([made]), {"m": [10], "other": [10]}, prune=True)  # type: ignore[arg-type]
    assert rungs._rungs == {("m", 10): {0: 0.5, 1: 0.6}}
    journal.close()


def test_the_flags_are_these_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("x", None, ["--help"])
    found = {word.strip("[],)") for word in capsys.readouterr().out.split() if word.strip("[],").startswith("--")}
    assert found == {
        "--help", "--data", "--stage", "--methods", "--also", "--reported", "--trials", "--final-seeds",
        "--splits", "--seed", "--name", "--runs", "--address", "--cluster-runs", "--mirror", "--mirror-every",
        "--workers", "--time-limit", "--scale", "--set", "--wandb", "--extend",
        "--accept-changes", "--smoke",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--address", "ray://head:10001"], "ray://"),
        (["--trials", "0"], "--trials must be above 0, got 0"),
        (["--final-seeds", "-1"], "must be 0 or more, got -1"),
        (["--extend"], "--extend needs --name"),
        (["--cluster-runs", "/shared"], "--cluster-runs needs --address http://HEAD:8265, got local"),
        (["--mirror-every", "0"], "--mirror-every must be above 0, got 0"),
        (["--mirror", "s3://b", "--data", "a", "--data", "b"], "--mirror of several --data needs --name"),
    ],
)
def test_bad_flags_are_refused(flags: list[str], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse("x", None, flags)
