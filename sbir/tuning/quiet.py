"""Ray and Optuna without their noise; imported before Ray is."""

import logging
import os

SILENCE = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new engine cannot be silenced; with verbose=0 the old one is
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # "(raylet) A worker died" comes even with log_to_driver=False
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # our searcher and scheduler know what a report without a value is
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # Tune's snapshots are never read: the journal is the record
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
for _name, _value in SILENCE.items():
    os.environ.setdefault(_name, _value)


def silence() -> None:
    """Lower the loggers that speak through a sweep."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
