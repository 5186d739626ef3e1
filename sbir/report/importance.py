"""How much each axis mattered, by fANOVA (Hutter, Hoos and Leyton-Brown 2014), and only where that can be said."""

import optuna
from optuna.trial import TrialState

COMPLETE_PER_AXIS = 10


def importance(study: optuna.Study) -> dict[str, float] | dict[str, str]:
    """Share of each axis in the variance of the value, or a `note` that says why there is none.

    COMPLETE trials alone count, and at least ten of them an axis: with a handful fANOVA gives figures, too, and they
    mean nothing. Axes that not every complete trial has (conditional ones) are left out. Optuna's default evaluator is
    not used: PED-ANOVA inverts the order of effects when trials are few.
    """
    trials = study.get_trials(states=[TrialState.COMPLETE], deepcopy=False)
    axes = _varying(trials)
    needed = COMPLETE_PER_AXIS * max(1, len(axes))
    if len(trials) < needed:
        return {"note": f"not enough: {len(axes)} axes need {needed} complete trials, there are {len(trials)}"}
    if not axes:
        return {"note": "no axis varies over the complete trials"}
    if len({trial.value for trial in trials}) == 1:
        return {"note": "all complete trials have the same value"}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=axes)
    return {axis: float(share) for axis, share in shares.items()}


def _varying(trials: list[optuna.trial.FrozenTrial]) -> list[str]:
    """Parameters of every complete trial with more than one value among them."""
    if not trials:
        return []
    shared = set.intersection(*(set(trial.params) for trial in trials))
    return sorted(axis for axis in shared if len({trial.params[axis] for trial in trials}) > 1)
