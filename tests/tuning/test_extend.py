"""A finished run goes on with more of everything, and what it has stays."""

import json
import shutil
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage

from sbir.data.smoke import write_smoke_store
from sbir.models.triplet import Triplet
from sbir.report.load import load_run
from sbir.report.section import texts
from sbir.tuning.code import CODE
from sbir.tuning.draw import Draw
from sbir.tuning.extend import check_extension
from sbir.tuning.journal import Journal
from sbir.tuning.main import run
from sbir.tuning.options import parse
from sbir.tuning.phases import Phases
from sbir.tuning.plan import ALL_SETTINGS
from sbir.tuning.resume import choose_folder
from sbir.tuning.setup import Setup
from sbir.tuning.space import Resolved
from sbir.tuning.sweep import Space, Sweep
from tests.faults import audit

FLAGS = ["--smoke", "--workers", "2", "--wandb", "off", "--name", "run"]


def sweep(space: Space, key: str = "narrow", **fixed: Any) -> Sweep:
    return Sweep(Triplet, space, key=key, title=key, fixed={"hidden": 8, **fixed})


def narrow(draw: Draw) -> None:
    draw.suggest_categorical("distance", ["euclidean", "cosine"])
    draw.suggest_float("margin", 0.5, 1.0)


def wide(draw: Draw) -> None:
    """A wider range, a choice more, an axis that was a default, and one that was fixed."""
    if draw.suggest_categorical("distance", ["cosine", "euclidean"]) == "euclidean":
        draw.suggest_categorical("dropout", [0.0, 0.5])
    draw.suggest_float("margin", 0.01, 2.0, log=True)
    draw.suggest_categorical("latent", [4, 6, 8])


NARROW, WIDE = sweep(narrow, latent=8), sweep(wide)
OTHER = sweep({"margin": [0.5, 1.0]}, "other", latent=4)


@pytest.fixture(scope="module")
def finished(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    threads, runs = torch.get_num_threads(), tmp_path_factory.mktemp("extend") / "runs"
    assert run([NARROW], parse("script", None, [*FLAGS, "--trials", "2", "--runs", str(runs)])) == 0
    torch.set_num_threads(threads)
    return runs


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def distributions(folder: Path, name: str) -> list[dict[str, BaseDistribution]]:
    return [trial.distributions for (study, _), trial in audit.trials(folder).items() if study == name]


def test_a_run_goes_on_with_more_of_everything_and_keeps_what_it_has(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "runs") / "run"
    before = audit.trials(folder)
    more = ["--trials", "4", "--final-seeds", "2", "--seed", "3", "--extend", "--runs", str(folder.parent)]
    options = parse("script", None, [*FLAGS, *more])
    assert run([WIDE, OTHER], options) == 0

    after = audit.trials(folder)
    for key, trial in before.items():
        now = after[key]
        assert (now.state, now.value, now.datetime_complete) == (trial.state, trial.value, trial.datetime_complete)
        assert now.intermediate_values == trial.intermediate_values
        assert now.params.items() >= trial.params.items()
    audit.check(folder, {}, method="sbir.models.triplet:Triplet")  # every budget is kept, among all else
    spent = json.loads((folder / "summary.json").read_text())["methods"]
    assert [(name, one["budget"], one["trials"] >= 4) for name, one in spent.items()] == [
        ("narrow", 4, True),
        ("other", 4, True),
    ]
    seen = {key: value for one in distributions(folder, "narrow") for key, value in one.items()}
    assert seen["method/margin"] == FloatDistribution(0.01, 2.0, log=True)
    assert seen["method/latent"] == CategoricalDistribution([4, 6, 8])
    assert all(seen[key] == value for one in distributions(folder, "narrow") for key, value in one.items())
    old = after["narrow", 0]
    assert old.params["method/latent"] == 8  # fixed then, an axis now
    assert old.params.get("method/dropout", 0.5) == 0.5  # the method's default then

    table = load_run(folder).trials
    kept = pd.read_parquet(finished / "run/trials.parquet").query("kind == 'search'")
    same = table[(table["method"] == "narrow") & (table["number"].isin(kept["number"])) & (table["kind"] == "search")]
    pd.testing.assert_frame_equal(same[kept.columns].reset_index(drop=True), kept.reset_index(drop=True))
    assert table[table["kind"] == "refit"].groupby("method").size().to_dict() == {"narrow": 2, "other": 2}
    assert len(list((folder / "finalists").glob("*/model.json"))) == 4  # none of a winner that was beaten
    (looks,) = json.loads((folder.parent / "looks_at_test.json").read_text()).values()
    assert looks == ["run", "run, extension 1"]
    said = texts(load_run(folder))["facts"]["extended"]
    assert "trials 2 to 4" in said
    assert "narrow method/margin 0.5 to 1.0 to 0.01 to 2.0 (log)" in said

    assert run([WIDE, OTHER], options) == 0  # as after a kill at the very end
    assert audit.trials(folder) == after


def test_further_seeds_are_only_added(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "runs") / "run"
    before = audit.trials(folder)
    more = ["--trials", "2", "--final-seeds", "3", "--extend", "--runs", str(folder.parent)]
    assert run([NARROW], parse("script", None, [*FLAGS, *more])) == 0
    audit.check(folder, before, method="sbir.models.triplet:Triplet")
    assert len(audit.trials(folder)) == len(before) + 2
    (row,) = [row for row in load_run(folder).summary["table"] if row["kind"] == "method"]
    assert {figure["num_seeds"] for figure in row["test"].values()} == {3}


@pytest.mark.parametrize(
    ("sweeps", "flags", "error"),
    [
        ([NARROW], ["--trials", "1"], "--trials must be at least 2, got 1"),
        ([NARROW], ["--final-seeds", "0"], "--final-seeds must be at least 1, got 0"),
        ([NARROW], ["--stage", "published"], "keeps .* has stage 'search', got 'published'"),
        ([NARROW], ["--set", "eval/k=3"], r"has eval/k None, got \[3\]"),
        ([NARROW], ["--set", "eval/lambda=0.3"], r"has eval/lambda None, got \[0\.3\]"),
        ([NARROW], ["--set", "data/centre=true"], "has the protocol's features 'as stored', got 'centre=True'"),
        ([NARROW], ["--set", "train/steps=40"], "narrow 0 has train/steps = 20 and would now have 40; allow"),
        ([NARROW], ["--set", "distance=cosine"], "has method/distance = 'euclidean' and would now have 'cosine'"),
        ([sweep({"margin": [0.1, 0.2]}, latent=8)], [], "narrow 0 has method/"),
        ([OTHER], [], "keeps the methods of .*run, narrow is missing; add it to --methods"),
    ],
)
def test_what_cannot_be_extended_is_refused_and_nothing_is_written(
    finished: Path, sweeps: list[Sweep], flags: list[str], error: str
) -> None:
    folder = finished / "run"
    before = files(folder)
    given = parse("script", None, [*FLAGS, "--trials", "2", *flags, "--extend", "--runs", str(finished)])
    with pytest.raises(ValueError, match=error):
        run(sweeps, given)
    assert files(folder) == before


def test_an_interrupted_run_takes_more_trials_but_no_other_space(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "runs") / "run"
    (folder / "summary.json").unlink()
    given = parse("script", None, [*FLAGS, "--trials", "5", "--extend", "--runs", str(folder.parent)])
    check_extension(folder, Setup([NARROW], given))
    with pytest.raises(ValueError, match=r"needs a run that has ended, .* was interrupted"):
        check_extension(folder, Setup([WIDE], given))


def test_a_finished_run_says_how_it_goes_on(finished: Path) -> None:
    given = parse("script", None, [*FLAGS, "--trials", "2", "--runs", str(finished)])
    with pytest.raises(ValueError, match="is finished; take another --name, or --extend to go on with it"):
        choose_folder(Setup([NARROW], given))


def test_an_extension_with_changed_code_asks_for_the_flag_and_leaves_the_run_as_it_was(
    finished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "runs") / "run"
    held = json.loads((folder / CODE).read_text())
    held["parts"]["sbir/models/triplet.py"] = "another"
    (folder / CODE).write_text(json.dumps(held))
    before = files(folder)
    flags = [*FLAGS, "--trials", "3", "--extend", "--runs", str(folder.parent)]
    with pytest.raises(ValueError, match=r"these have changed: sbir/models/triplet\.py; add --accept-changes"):
        choose_folder(Setup([NARROW], parse("script", None, flags)))
    assert files(folder) == before
    assert choose_folder(Setup([NARROW], parse("script", None, [*flags, "--accept-changes"]))) == (folder, True)


def test_changed_data_are_named_and_accepted_ones_are_those_of_every_figure_on_test(
    finished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "runs") / "run"
    (folder / "summary.json").unlink()  # as after a kill among the finalists
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["request"]["trials"] = 4
    (folder / "manifest.json").write_text(json.dumps(manifest))
    leave_running(folder)
    before, store = audit.finished(folder), folder.parent / "smoke-data"
    shutil.rmtree(store)
    write_smoke_store(store, seed=1)
    files_before = files(folder)
    flags = [*FLAGS, "--trials", "4", "--runs", str(folder.parent)]
    with pytest.raises(ValueError, match=r"they have changed: .*smoke-data, content \w+ to \w+, no row more or less; "):
        run([NARROW], parse("script", None, flags))
    assert files(folder) == files_before

    assert run([NARROW], parse("script", None, [*flags, "--accept-changes"])) == 0
    now = audit.trials(folder)
    searched = {key: trial for key, trial in before.items() if key[0] == "narrow"}
    audit.check(folder, searched, method="sbir.models.triplet:Triplet")  # finalists give what was logged on these data
    assert now["narrow", 2].state.name == "PRUNED"
    assert now["narrow", 3].state.name in ("COMPLETE", "PRUNED")
    assert list(folder.glob("superseded/*/finalists/*/model.json"))
    found = load_run(folder)
    assert "data changed in mid-run" in found.summary["flags"]
    assert "3 trials of the search had ended on the data before" in texts(found)["facts"]["data changed"]


def leave_running(folder: Path) -> None:
    """Two trials more, one that a killed driver leaves in its middle and one that it had only just asked for."""
    journal = Journal(folder / "study.journal")
    study = optuna.load_study(study_name="narrow", storage=JournalStorage(journal))
    running = study.ask()
    running.suggest_float("method/margin", 0.5, 1.0)
    running.suggest_categorical("method/distance", ["euclidean", "cosine"])
    running.set_user_attr(ALL_SETTINGS, study.trials[0].user_attrs[ALL_SETTINGS] | running.params)
    running.report(0.1, 10)
    study.ask()
    journal.close()


def test_data_that_make_another_task_are_no_change_that_can_be_accepted(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(finished, tmp_path / "runs") / "run"
    (folder / "summary.json").unlink()
    monkeypatch.setattr("sbir.data.smoke.PHOTOS", 5)
    shutil.rmtree(folder.parent / "smoke-data")
    write_smoke_store(folder.parent / "smoke-data")
    flags = [*FLAGS, "--trials", "2", "--runs", str(folder.parent), "--accept-changes"]
    with pytest.raises(ValueError, match=r"goes on with its data set and protocol, .* has (k 6, got 5|select)"):
        choose_folder(Setup([NARROW], parse("script", None, flags)))


def test_an_interrupted_run_without_a_name_is_found_on_changed_data(finished: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(finished, tmp_path / "runs")
    folder = (runs / "run").rename(runs / "script-20261121-0900")
    (folder / "summary.json").unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["data"]["store"] = str(runs / "smoke-data")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    flags = [word for word in FLAGS if word not in ("--name", "run")]
    given = parse("script", None, [*flags, "--trials", "2", "--runs", str(runs)])
    assert choose_folder(Setup([NARROW], given)) == (folder, True)
    shutil.rmtree(runs / "smoke-data")
    write_smoke_store(runs / "smoke-data", seed=1)
    with pytest.raises(ValueError, match=r"script-20261121-0900 was begun they have changed"):
        choose_folder(Setup([NARROW], given))


def test_refits_of_a_winner_that_is_beaten_are_kept_and_are_no_finalists(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "runs") / "run"
    given = parse("script", None, [*FLAGS, "--trials", "2", "--runs", str(folder.parent)])
    setup, (first,) = Setup([NARROW], given), (folder / "finalists").iterdir()
    storage = JournalStorage(Journal(folder / "study.journal"))
    study = optuna.load_study(study_name="narrow", storage=storage)
    best = study.best_trial
    (better,) = {0, 1} - {best.number}
    beaten = study.trials[better]
    beaten.value = study.best_value + 1
    phases = phases_of(setup, folder, storage)
    assert phases.superseded() == []
    study.add_trial(beaten)  # as number 2
    shutil.copytree(folder / f"trials/narrow-{better}", folder / "trials/narrow-2")
    (plan,) = phases.finals()
    assert plan.trial_folder(0).name == "narrow-2-0"
    assert list((folder / "finalists").iterdir()) == []
    (old,) = phases.superseded()
    assert old.trial_folder(0) == folder.resolve() / "superseded/finalists" / first.name
    assert (old.trial_folder(0) / "model.safetensors").is_file()
    assert old.settings(0) == phases.settings(setup.resolved[0], best)


def phases_of(setup: Setup, folder: Path, storage: JournalStorage) -> Phases:
    return Phases(storage, folder, setup.options, setup.resolved, fit=(setup.rows("val"), setup.rows("test")))


def test_a_trial_that_the_space_does_not_hold_is_refused_by_name() -> None:
    resolved = Resolved(WIDE, scale="demo", wanted={})
    with pytest.raises(ValueError, match=r"method/margin = 3\.0 and would now have 2\.0"):
        resolved.place({"method/distance": "cosine", "method/margin": 3.0}, {})
