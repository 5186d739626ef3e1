"""`sbir evaluate`: score a saved model again."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `evaluate`."""
    evaluate = commands.add_parser("evaluate", help="score a saved model again")
    evaluate.add_argument("model", type=Path, metavar="RUN|MODEL")
    evaluate.add_argument("--data", type=Path, metavar="STORE", help="the store of the run when left out")
    evaluate.add_argument(
        "--protocol", choices=("zero_shot", "generalised", "seen", "overlapping"), help="the run's when left out"
    )
    evaluate.add_argument("--method", metavar="FILE.py:CLASS", help="the model's class, where it is not one of sbir's")
    evaluate.set_defaults(run=_evaluate)


def _evaluate(args: argparse.Namespace) -> None:
    from sbir.fast_products import use_fast_products
    from sbir.training.rescore import rescore
    from sbir.tuning.folder import count_look, run_folder

    use_fast_products()  # as in the run, whose figures these should be
    scored = rescore(args.model, args.data, args.protocol, args.method)
    for one in scored:
        print(one)
    run = run_folder(args.model)
    if run is None:
        print("looks at test: not counted, the model lies outside a run folder")
    else:
        looks = count_look(run.parent, scored[0].protocol.split_hash, f"{run.name}, sbir evaluate")
        print(f"looks at the test part of this split so far, in {run.parent}: {looks}")
