"""`sbir data`: what data sets there are, whether one is whole, and getting or making one."""

import argparse
import json
import tempfile
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `data list`, `data check`, `data get` and `data doodles`."""
    data = commands.add_parser("data", help="list, check, get or make data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    known = actions.add_parser("list", help="the data sets that are read: files, where to get them, licence, splits")
    known.add_argument("names", nargs="*", metavar="NAME", help="all when left out")
    known.set_defaults(run=_list)
    check = actions.add_parser("check", help="compare a folder with the published counts; exit status 2 where it lacks")
    check.add_argument("name", metavar="NAME")
    check.add_argument("root", type=Path, metavar="ROOT")
    check.add_argument("--variant", metavar="WHAT=WHICH", help="see sbir data list")
    check.set_defaults(run=_check)
    get = actions.add_parser("get", help="download a public data set; started again, it goes on")
    get.add_argument("name", choices=("quickdraw", "caltech101"))
    get.add_argument("--out", type=Path, required=True, metavar="DIR")
    get.add_argument("--classes", nargs="+", default=[], metavar="CLASS", help="all when left out")
    get.set_defaults(run=_get)
    _add_doodles(actions)


def _add_doodles(actions: Commands) -> None:
    doodles = actions.add_parser("doodles", help="the procedural data set: synthetic, for trying out and testing")
    doodles.add_argument("--out", type=Path, metavar="DIR", help="where to write it, a new folder")
    doodles.add_argument("--size", choices=("demo", "full"), default="demo")
    doodles.add_argument("--seed", type=int, default=0)
    doodles.add_argument("--card", action="store_true", help="print how difficult it is")
    doodles.add_argument("--contact-sheet", type=Path, metavar="FILE", help="a picture of every class")
    doodles.set_defaults(run=_doodles)


def _list(args: argparse.Namespace) -> None:
    from sbir.data.sets import catalog

    print("\n\n".join(catalog.describe(name) for name in args.names or catalog.entries()))


def _check(args: argparse.Namespace) -> None:
    from sbir.data.sets import catalog

    lines, wrong = catalog.check(args.name, args.root, args.variant)
    print("\n".join(lines))
    if wrong:
        raise ValueError(f"{args.root} is not all of {args.name}: {'; '.join(wrong)}")


def _get(args: argparse.Namespace) -> None:
    from sbir.data.sets import fetch

    get = {"quickdraw": fetch.get_quickdraw, "caltech101": fetch.get_caltech}[args.name]
    for path in get(args.out, args.classes):
        print(f"have {path}", flush=True)


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
