import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from sbir.report.importance import importance

SPACE = {
    "mode": CategoricalDistribution(["a", "b"]),
    "x": FloatDistribution(0, 1),
    "nothing": FloatDistribution(0, 1),
}


def make_study(num: int, *, state: TrialState = TrialState.COMPLETE) -> optuna.Study:
    """y = [mode = a] + 0.2 x + 0 nothing, on a grid without randomness."""
    study = optuna.create_study(direction="maximize")
    for n in range(num):
        x = n * 0.37 % 1
        params = {"mode": "ab"[n % 2], "x": x, "nothing": n * 0.61 % 1}
        value = float(n % 2 == 0) + 0.2 * x
        study.add_trial(create_trial(params=params, distributions=SPACE, value=value, state=state))
    return study


def test_the_axis_with_the_large_effect_comes_first_and_shares_add_up() -> None:
    shares = importance(make_study(40))
    assert next(iter(shares)) == "mode"
    assert float(shares["mode"]) > 0.9
    assert float(shares["nothing"]) < 0.05
    assert sum(map(float, shares.values())) == pytest.approx(1)


def test_below_ten_complete_trials_an_axis_there_is_a_note_with_the_counts() -> None:
    assert importance(make_study(29)) == {"note": "not enough: 3 axes need 30 complete trials, there are 29"}
    assert "note" not in importance(make_study(30))


def test_pruned_trials_do_not_count() -> None:
    assert "there are 0" in str(importance(make_study(60, state=TrialState.PRUNED))["note"])


def test_conditional_and_fixed_axes_are_left_out() -> None:
    study = make_study(39)
    fixed = {"mode": "a", "x": 0.5}
    study.add_trial(
        create_trial(
            params=fixed, distributions={key: SPACE[key] for key in fixed}, value=0.4, state=TrialState.COMPLETE
        )
    )
    assert set(importance(study)) == {"mode", "x"}


def test_equal_values_are_no_evidence_about_any_axis() -> None:
    study = optuna.create_study()
    for n in range(20):
        study.add_trial(create_trial(params={"x": n / 20}, distributions={"x": SPACE["x"]}, value=1.0))
    assert importance(study) == {"note": "all complete trials have the same value"}
