"""`sbir invariance`: how much the codes of a run's finalists change when drawings are moved."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `invariance`."""
    study = commands.add_parser("invariance", help="similarity of codes under shift, rotation and scale")
    study.add_argument("model", type=Path, metavar="RUN|MODEL")
    study.add_argument("--data", type=Path, metavar="STORE", help="the store of the run when left out")
    study.add_argument("--drawings", type=int, default=100, metavar="N", help="held-out drawings (default 100)")
    study.set_defaults(run=_invariance)


def _invariance(args: argparse.Namespace) -> None:
    from sbir.report.page import write_report
    from sbir.training.invariance import FILE, study
    from sbir.tuning.folder import SUMMARY

    if args.drawings < 1:
        raise ValueError(f"--drawings must be 1 or more, got {args.drawings}")
    curves = study(args.model, args.data, drawings=args.drawings)
    print("area under the similarity curve, 1 is full invariance; between: mean similarity of two different drawings")
    for name, moves in curves.items():
        areas = "".join(f"  {move} {curve['area']:.3f}" for move, curve in moves.items())
        print(f"{name:32s}{areas}  between {moves['shift']['others']:.3f}")
    print(f"curves: {args.model / FILE}")
    if (args.model / SUMMARY).exists():
        print(f"report: {write_report(args.model)}")
