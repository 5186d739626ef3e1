"""`sbir retrieve`: the nearest photos for a sketch."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `retrieve`."""
    retrieve = commands.add_parser("retrieve", help="search an exported model's gallery with a sketch")
    retrieve.add_argument("model", type=Path, metavar="MODEL", help="a folder that `sbir export` wrote")
    how = retrieve.add_mutually_exclusive_group(required=True)
    how.add_argument("--sketch", metavar="FILE", help="an image, FILE.ndjson or FILE.ndjson/KEY (QuickDraw)")
    retrieve.add_argument("--top", type=int, default=10, metavar="K")
    retrieve.add_argument("--json", action="store_true", help="print JSON")
    retrieve.add_argument("--weights", type=Path, metavar="FILE", help="the backbone's, where they came from a file")
    retrieve.add_argument("--method", metavar="FILE.py:CLASS", help="the model's class, where it is not one of sbir's")
    retrieve.set_defaults(run=_retrieve)


def _retrieve(args: argparse.Namespace) -> None:
    from sbir.serving.model import Exported
    from sbir.serving.sketch import Sketcher, open_sketch

    picture = open_sketch(args.sketch)
    model = Exported(args.model, args.method)
    answers = model.search(Sketcher(model.about, args.weights).feature(picture), args.top)
    if args.json:
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(answer) for answer in answers], indent=1))
        return
    for rank, answer in enumerate(answers, 1):
        print(f"{rank:3}  {answer.distance:.4f}  {answer.class_name}  {answer.item_id}")
