"""`sbir cite`: BibTeX of data sets, methods and this software."""

import argparse
import difflib
from importlib.resources import files

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `cite`."""
    cite = commands.add_parser("cite", help="print BibTeX of data sets, methods and this software")
    cite.add_argument("names", nargs="*", metavar="NAME", help="data sets or methods; all when left out")
    cite.set_defaults(run=_cite)


def _cite(args: argparse.Namespace) -> None:
    print("\n\n".join(entries(args.names)))


def entries(names: list[str]) -> list[str]:
    """The entries for data sets, splits or methods by name, each once; all without a name."""
    text = files("sbir").joinpath("cite.bib").read_text(encoding="utf-8")
    found = [block.partition("\n") for block in text.strip().split("\n\n")[1:]]
    cited = [(set(head.removeprefix("% ").split()), body.strip()) for head, _, body in found]
    known = {name for about, _ in cited for name in about}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known) or sorted(known)
            raise ValueError(f"sbir cite takes names of data sets and methods, got {name}; near it: {', '.join(near)}")
    return [body for about, body in cited if not names or about & set(names)]
