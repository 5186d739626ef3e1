"""The plans of a run: declared rows and search first, then refits of the winners, other splits, the source's rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sbir.data.protocol import Partition
from sbir.tracking.rows import read_rows
from sbir.training.settings import group
from sbir.tuning.options import Options
from sbir.tuning.plan import FOLDERS, Plan, settings_of
from sbir.tuning.space import Declared, Resolved


class Phases:
    """Makes the plans of each phase from the journal, the same ones whether the run is new or resumed."""

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        folder: Path,
        options: Options,
        resolved: Sequence[Resolved],
        *,
        fit: tuple[Partition, Partition],
        fusion: str | None = None,
    ) -> None:
        self._fusion = fusion  # of search trials; None solves it on validation
        self._storage, self._folder, self._options, self._resolved = storage, folder, options, resolved
        # A refit on train + val takes as many passes over its queries as the winner had taken at its best.
        self._growth = len(fit[1].train_query) / len(fit[0].train_query)

    def search(self) -> list[Plan]:
        """One plan a method: its declared rows, then Optuna's suggestions up to the budget."""
        return [self._search(resolved) for resolved in self._resolved]

    def finals(self) -> list[Plan]:
        """Once the search is over: the winners again on train + val, on the run's split and on `--splits` others, and
        with another stage than search every declared row under the source's protocol too."""
        if not self._options.final_seeds:
            return []
        made: list[Plan] = []
        self._set_aside()
        for resolved in self._resolved:
            winner = self.winner(resolved)
            if winner is None:
                continue
            made.append(self._refit(resolved, winner))
            if self._options.splits:
                made.append(self._other_splits(resolved, winner))
            if self._options.stage != "search":
                made.append(self._source(resolved))
        return made

    def superseded(self) -> list[Plan]:
        """Refits of former winners, which a run that was extended has: they are kept, and are no finalists any more."""
        made = []
        for name in optuna.get_all_study_names(self._storage):
            stem, _, phase = name.rpartition(" ")
            owner = next((one for one in self._resolved if stem.rpartition("-")[0] == one.sweep.name), None)
            if owner is not None and phase in ("refit", "splits") and stem not in self._stems():
                made.append(self._plan(owner, self._study(name), 0, f"old {phase}", stem=stem))
        return made

    def _stems(self) -> set[str]:
        """Beginnings of the finalists' folders and studies."""
        winners = [(one.sweep.name, self.winner(one)) for one in self._resolved]
        return {f"{name}-{winner.number}" for name, winner in winners if winner is not None}

    def _set_aside(self) -> None:
        """Move the folders of former winners' refits out of the finalists'."""
        for phase in ("refit", "splits"):
            for path in (self._folder / FOLDERS[phase]).glob("*-*-*"):
                if path.name.rpartition("-")[0] not in self._stems():
                    aside = self._folder / FOLDERS[f"old {phase}"]
                    aside.mkdir(parents=True, exist_ok=True)
                    path.rename(aside / path.name)

    def winner(self, resolved: Resolved) -> FrozenTrial | None:
        """The trial with the best validation value among those that ran to their end."""
        trials = self._study(resolved.sweep.name).get_trials(states=[TrialState.COMPLETE], deepcopy=False)
        return max(trials, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)

    def settings(self, resolved: Resolved, trial: FrozenTrial) -> dict[str, Any]:
        """All settings of a trial that has been run."""
        return settings_of(trial, resolved.propose)

    def _search(self, resolved: Resolved) -> Plan:
        name, stage = resolved.sweep.name, self._options.stage
        study = self._study(name)
        total = self._options.trials if resolved.varies else 1
        if stage == "search":
            first = _shared(resolved.allowed(resolved.sweep.first))[: max(1, total // 3)] if resolved.varies else []
            _enqueue(study, [(row, resolved.parameters(row), False) for row in first])
        else:
            rows = _shared(resolved.allowed() if stage == "published" else resolved.ablation())
            if not rows:
                raise ValueError(f"--stage {stage} found no declared row that agrees with --set; set fewer keys")
            _enqueue(study, [(row, {}, True) for row in rows])
            total = len(rows)
        return self._plan(resolved, study, total, "search", by_steps=stage == "search")

    def _refit(self, resolved: Resolved, winner: FrozenTrial) -> Plan:
        attributes = self._fixed(resolved, winner)
        wanted = [attributes | {"replicate": seed, "label": f"seed {seed}"} for seed in self._seeds(attributes)]
        return self._declared(resolved, f"{resolved.sweep.name}-{winner.number}", wanted, "refit")

    def _other_splits(self, resolved: Resolved, winner: FrozenTrial) -> Plan:
        attributes = self._fixed(resolved, winner)
        wanted = [
            attributes | {"replicate": seed, "split": spec, "label": f"{spec} seed {seed}"}
            for spec in other_splits(self._options.splits)
            for seed in self._seeds(attributes)
        ]
        return self._declared(resolved, f"{resolved.sweep.name}-{winner.number}", wanted, "splits")

    def _source(self, resolved: Resolved) -> Plan:
        """Every declared row that ran to its end, once a seed; honest steps are rounded to an evaluation."""
        wanted = []
        for trial in self._study(resolved.sweep.name).get_trials(states=[TrialState.COMPLETE], deepcopy=False):
            given, fixed = trial.user_attrs, self._fixed(resolved, trial)
            every = group(fixed["settings"]).train.eval_every
            fixed["steps"] = max(every, round(fixed["steps"] / every) * every) if fixed["steps"] else 0
            fixed["variants"] = {name: dict(settings) for name, settings in resolved.sweep.variants.items()}
            wanted += [
                fixed | {"replicate": seed + 100 * given["replicate"], "label": f"{given['label']}, seed {seed}"}
                for seed in self._seeds(fixed)
            ]
        return self._declared(resolved, resolved.sweep.name, wanted, "source")

    def _seeds(self, fixed: dict[str, Any]) -> range:
        """The final seeds; one for a closed form, which has none."""
        return range(1, (self._options.final_seeds if fixed["steps"] else 1) + 1)

    def _fixed(self, resolved: Resolved, trial: FrozenTrial) -> dict[str, Any]:
        """A trial's settings, and the steps and the lambda that validation chose. Steps are scaled to train + val, and
        so is the whole length: a method's stages begin where the trial's did, wherever it was best."""
        chosen = best_row(read_rows(self._folder / "trials" / f"{resolved.sweep.name}-{trial.number}"))
        settings = self.settings(resolved, trial)
        return {
            "exact": True,
            "settings": settings,
            "steps": max(1, round(chosen["step"] * self._growth)) if chosen["step"] else 0,
            "length": round(group(settings).train.steps * self._growth),
            "fusion": chosen["lambda"],
        }

    def _declared(self, resolved: Resolved, stem: str, wanted: list[dict[str, Any]], phase: str) -> Plan:
        study = self._study(f"{stem} {phase}")
        known = {trial.user_attrs["label"] for trial in study.get_trials(deepcopy=False)}
        for attributes in wanted:
            if attributes["label"] not in known:
                study.enqueue_trial({}, user_attrs=attributes)
        return self._plan(resolved, study, len(wanted), phase, stem=stem)

    def _plan(self, resolved: Resolved, study: optuna.Study, total: int, phase: str, **more: Any) -> Plan:
        return Plan(
            resolved.sweep.name,
            study,
            total,
            phase=phase,
            seed=self._options.seed,
            folder=self._folder.resolve(),
            propose=resolved.propose,
            fusion=self._fusion,
            **more,
        )

    def _study(self, name: str) -> optuna.Study:
        return optuna.create_study(
            storage=self._storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.NopPruner(),
            sampler=optuna.samplers.RandomSampler(seed=0),
        )


def other_splits(count: int) -> list[str]:
    """The seeded class-disjoint splits of `--splits`."""
    return [f"zero_shot:{seed}" for seed in range(1, count + 1)]


def best_row(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The evaluation that a trial's value comes from."""
    return next(row for row in rows if row["step"] == rows[-1]["best/step"])


def _enqueue(study: optuna.Study, rows: list[tuple[Declared, dict[str, Any], bool]]) -> None:
    known = {trial.user_attrs.get("label") for trial in study.get_trials(deepcopy=False)}
    for row, parameters, exact in rows:
        if row.label not in known:
            attributes = {"label": row.label, "settings": row.settings, "replicate": row.replicate, "exact": exact}
            study.enqueue_trial(parameters, user_attrs=attributes)


def _shared(rows: list[Declared]) -> list[Declared]:
    """Rows with equal settings are one training under all their labels: lambda is no setting of a training."""
    groups: dict[str, list[Declared]] = {}
    for row in rows:
        groups.setdefault(json.dumps([row.settings, row.replicate], sort_keys=True), []).append(row)
    return [
        Declared(", ".join(row.label for row in same), same[0].settings, same[0].replicate) for same in groups.values()
    ]
