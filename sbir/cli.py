"""The `sbir` command: data, features, stores, and scoring of saved models."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status is 0, 2 after an error of the user's input, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:2] == ["store", "import"]:  # beside `store PATH`, which takes a positional too
        words[:2] = ["store import"]
    args = _parser().parse_args(words)
    try:
        args.run(args)
    except KeyboardInterrupt:
        print("sbir: interrupted; an extraction goes on where it was when started again", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"sbir: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sbir", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_data(commands)
    _add_features(commands)
    _add_store(commands)
    _add_import(commands)
    _add_evaluate(commands)
    return parser


def _add_data(commands: "_Commands") -> None:
    data = commands.add_parser("data", help="make a data set").add_subparsers(required=True, metavar="DATASET")
    doodles = data.add_parser("doodles", help="the procedural data set: synthetic, for trying out and testing")
    doodles.add_argument("--out", type=Path, metavar="DIR", help="where to write it, a new folder")
    doodles.add_argument("--size", choices=("demo", "full"), default="demo")
    doodles.add_argument("--seed", type=int, default=0)
    doodles.add_argument("--card", action="store_true", help="print how difficult it is")
    doodles.add_argument("--contact-sheet", type=Path, metavar="FILE", help="a picture of every class")
    doodles.set_defaults(run=_doodles)


def _add_features(commands: "_Commands") -> None:
    features = commands.add_parser("features", help="extract features of a data set into a store")
    features.add_argument("root", type=Path, metavar="DATASET_ROOT")
    features.add_argument("--backbone", default="vgg16", metavar="vgg16|squeezenet1_1|mobilenet_v2")
    features.add_argument("--weights", default="imagenet", metavar="imagenet|random|FILE")
    features.add_argument("--size", type=int, default=224, metavar="PX")
    features.add_argument("--seed", type=int, default=0, help="of random weights, and of the order of rows")
    features.add_argument("--out", type=Path, required=True, metavar="STORE")
    features.add_argument("--skip-broken", action="store_true", help="leave out images that cannot be read")
    features.add_argument("--workers", type=int, metavar="N", help="actors; all cores or GPUs when left out")
    features.set_defaults(run=_features)


def _add_store(commands: "_Commands") -> None:
    store = commands.add_parser("store", help="inspect and verify a store; `store import` makes one from arrays")
    store.add_argument("path", type=Path, metavar="PATH")
    store.set_defaults(run=_store)


def _add_import(commands: "_Commands") -> None:
    arrays = commands.add_parser("store import", help="make a store from .npz files: feature, class, instance, id")
    arrays.add_argument("sketches", type=Path, metavar="SKETCHES.npz")
    arrays.add_argument("photos", type=Path, metavar="PHOTOS.npz")
    arrays.add_argument("--split", type=Path, metavar="FILE", help="JSON with the class lists train, val and test")
    arrays.add_argument("--given", metavar="TEXT", help="where the features come from; it stands beside every figure")
    arrays.add_argument("--out", type=Path, required=True, metavar="STORE")
    arrays.set_defaults(run=_import)


def _add_evaluate(commands: "_Commands") -> None:
    evaluate = commands.add_parser("evaluate", help="score a saved model again")
    evaluate.add_argument("model", type=Path, metavar="RUN|MODEL")
    evaluate.add_argument("--data", type=Path, metavar="STORE", help="the store of the run when left out")
    evaluate.add_argument("--protocol", choices=("zero_shot", "generalised", "seen"), help="the run's when left out")
    evaluate.add_argument("--method", metavar="FILE.py:CLASS", help="the model's class, where it is not one of sbir's")
    evaluate.set_defaults(run=_evaluate)


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


def _features(args: argparse.Namespace) -> None:
    from sbir.features.extract import extract

    extract(
        args.root,
        args.out,
        backbone=args.backbone,
        weights=args.weights,
        size=args.size,
        seed=args.seed,
        skip_broken=args.skip_broken,
        workers=args.workers,
    )
    print(f"wrote {args.out}")


def _store(args: argparse.Namespace) -> None:
    from sbir.data.inspect import describe
    from sbir.data.store import verify_store

    print(describe(verify_store(args.path)))


def _import(args: argparse.Namespace) -> None:
    from sbir.data.arrays import import_arrays

    import_arrays(args.sketches, args.photos, args.out, split=args.split, given=args.given)
    print(f"wrote {args.out}")


def _evaluate(args: argparse.Namespace) -> None:
    from sbir.training.rescore import rescore
    from sbir.tuning.folder import count_look, run_folder

    scored = rescore(args.model, args.data, args.protocol, args.method)
    for one in scored:
        print(one)
    run = run_folder(args.model)
    if run is None:
        print("looks at test: not counted, the model lies outside a run folder")
    else:
        looks = count_look(run.parent, scored[0].protocol.split_hash, f"{run.name}, sbir evaluate")
        print(f"looks at the test part of this split so far, in {run.parent}: {looks}")


if __name__ == "__main__":
    sys.exit(main())
