"""`sbir retrieve`: the nearest photos for a sketch or a text."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `retrieve`."""
    retrieve = commands.add_parser("retrieve", help="search an exported model's gallery with a sketch or a text")
    retrieve.add_argument("model", type=Path, metavar="MODEL", help="a folder that `sbir export` wrote")
    how = retrieve.add_mutually_exclusive_group(required=True)
    how.add_argument("--sketch", metavar="FILE", help="an image, FILE.ndjson or FILE.ndjson/KEY (QuickDraw)")
    how.add_argument("--text", metavar="WORDS", help="of a model that was trained on texts")
    how.add_argument("--draw", action="store_true", help="open a page to draw on, on this machine alone")
    retrieve.add_argument("--top", type=int, default=10, metavar="K")
    retrieve.add_argument("--json", action="store_true", help="print JSON")
    retrieve.add_argument("--port", type=int, default=0, help="of --draw; a free one when left out")
    retrieve.add_argument("--photos", type=Path, metavar="FOLDER", help="the data set, where --draw finds it moved")
    retrieve.add_argument(
        "--weights", type=Path, metavar="FILE", help="the backbone's, where they came from a file or folder"
    )
    retrieve.add_argument("--method", metavar="FILE.py:CLASS", help="the model's class, where it is not one of sbir's")
    retrieve.set_defaults(run=_retrieve)


def _retrieve(args: argparse.Namespace) -> None:
    if args.draw:
        _draw(args)
    else:
        _search(args)


def _search(args: argparse.Namespace) -> None:
    from sbir.serving.model import Exported
    from sbir.serving.sketch import Sketcher, open_sketch, text_rows

    sketch = open_sketch(args.sketch) if args.sketch is not None else None
    model = Exported(args.model, args.method)
    own = model.about, args.weights
    rows = text_rows(own[0], args.text, own[1]) if sketch is None else Sketcher(*own).rows(sketch)
    answers = model.search(rows, args.top)
    if args.json:
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(answer) for answer in answers], indent=1))
        return
    for rank, answer in enumerate(answers, 1):
        print(f"{rank:3}  {answer.distance:.4f}  {answer.class_name}  {answer.item_id}")


def _draw(args: argparse.Namespace) -> None:
    import importlib.util
    from contextlib import suppress

    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise ValueError("--draw needs starlette and uvicorn, which are not installed; pip install 'sbir[draw]'")
    from sbir.serving.draw import HOST, listen, make_server
    from sbir.serving.model import Exported
    from sbir.serving.pad import Pad
    from sbir.serving.sketch import Sketcher

    model = Exported(args.model, args.method)
    root = args.photos or model.about["root"]
    pad = Pad(model, Sketcher(model.about, args.weights), top=args.top, root=Path(root) if root else None)
    server = make_server(pad)
    with listen(args.port) as listening, suppress(KeyboardInterrupt):
        print(f"draw at http://{HOST}:{listening.getsockname()[1]}/ (Ctrl-C ends)", flush=True)
        server.run(sockets=[listening])
