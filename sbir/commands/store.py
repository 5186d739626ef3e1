"""`sbir store`: inspect a store, and make one from arrays."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `store` and `store import`."""
    _add_store(commands)
    _add_import(commands)


def _add_store(commands: Commands) -> None:
    store = commands.add_parser("store", help="inspect and verify a store; `store import` makes one from arrays")
    store.add_argument("path", type=Path, metavar="PATH")
    store.set_defaults(run=_store)


def _add_import(commands: Commands) -> None:
    arrays = commands.add_parser(
        "store import",
        help="make a store from .npz files (feature, class, instance, id), or of a folder of published features",
    )
    arrays.add_argument("sketches", type=Path, metavar="SKETCHES.npz|FOLDER")
    arrays.add_argument("photos", type=Path, metavar="PHOTOS.npz", nargs="?", help="left out with a folder")
    arrays.add_argument("--split", metavar="FILE|NAME", help="JSON with the class lists train, val and test; or a "
                        "published split, with a folder")  # fmt: skip
    arrays.add_argument("--given", metavar="TEXT", help="where the features come from; it stands beside every figure")
    arrays.add_argument("--out", type=Path, required=True, metavar="STORE")
    arrays.set_defaults(run=_import)


def _store(args: argparse.Namespace) -> None:
    from sbir.data.inspect import describe
    from sbir.data.store import verify_store

    print(describe(verify_store(args.path)))


def _import(args: argparse.Namespace) -> None:
    from sbir.data.arrays import import_arrays, import_ready

    if args.photos is not None:
        import_arrays(args.sketches, args.photos, args.out, split=args.split, given=args.given)
    elif args.given is not None:
        raise ValueError(f"--given is for .npz files, the features of {args.sketches} say themselves what they are")
    else:
        import_ready(args.sketches, args.out, split=args.split)
    print(f"wrote {args.out}")
