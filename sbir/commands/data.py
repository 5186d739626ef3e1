"""`sbir data`: make a data set."""

import argparse
import json
import tempfile
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `data doodles`."""
    data = commands.add_parser("data", help="make a data set").add_subparsers(required=True, metavar="DATASET")
    doodles = data.add_parser("doodles", help="the procedural data set: synthetic, for trying out and testing")
    doodles.add_argument("--out", type=Path, metavar="DIR", help="where to write it, a new folder")
    doodles.add_argument("--size", choices=("demo", "full"), default="demo")
    doodles.add_argument("--seed", type=int, default=0)
    doodles.add_argument("--card", action="store_true", help="print how difficult it is")
    doodles.add_argument("--contact-sheet", type=Path, metavar="FILE", help="a picture of every class")
    doodles.set_defaults(run=_doodles)


def _doodles(args: argparse.Namespace) -> None:
    from sbir.data import doodles

    if not (args.out or args.card or args.contact_sheet):
        raise ValueError("sbir data doodles needs --out, --card or --contact-sheet, got none of them")
    with tempfile.TemporaryDirectory() as scratch:
        root = args.out or Path(scratch) / "doodles"
        doodles.write_doodles(root, size=args.size, seed=args.seed)
        if args.out:
            print(f"wrote {args.out}")
        if args.contact_sheet:
            doodles.contact_sheet(root, args.contact_sheet)
            print(f"wrote {args.contact_sheet}")
        if args.card:
            print(_card(root, Path(scratch)))


def _card(root: Path, scratch: Path) -> str:
    """The difficulty card as JSON: features as the embedded store has them, baselines on top."""
    from sbir.data import cache
    from sbir.data.doodles.card import card
    from sbir.features.extract import extract

    store = extract(root, scratch / "store", backbone=cache.BACKBONE, weights=cache.WEIGHTS, size=cache.SIZE)
    return json.dumps(card(root, store), indent=1)
