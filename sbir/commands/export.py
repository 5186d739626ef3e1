"""`sbir export`: a run's winner as a folder for others."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `export`."""
    export = commands.add_parser(
        "export", help="write a run's winner as safetensors, with its gallery and a model card"
    )
    export.add_argument("run_folder", type=Path, metavar="RUN")
    export.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    export.add_argument("--method", metavar="NAME|FILE.py:CLASS", help="of the run; the best one when left out")
    export.add_argument("--data", type=Path, metavar="STORE", help="the store of the run when left out")
    export.add_argument("--half", action="store_true", help="keep the gallery in float16")
    export.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> None:
    from sbir.serving.export import TOLERANCE, export
    from sbir.training.rescore import read_about
    from sbir.tuning.folder import count_look, run_folder

    figures = export(args.run_folder, args.out, method=args.method, store=args.data, half=args.half)
    told = "  ".join(f"{name} {100 * value:.2f} %" for name, value in figures.items())
    print(f"wrote {args.out}\nscored again in a clean process, each within {100 * TOLERANCE:.1f} points: {told}")
    run = run_folder(args.run_folder)
    if run is not None:
        looks = count_look(run.parent, read_about(args.out)["protocol"]["split_hash"], f"{run.name}, sbir export")
        print(f"looks at the test part of this split so far, in {run.parent}: {looks}")
