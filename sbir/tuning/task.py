"""What the methods of one run must agree on: what they retrieve for what, and settings that hold for all of them."""

from collections.abc import Sequence
from typing import Any

from sbir.data.items import plural
from sbir.training.settings import RUN_KEYS
from sbir.tuning.sweep import Sweep

QUERIES = ("sketch", "text")  # that methods between features of two domains may take


def domains(sweep: Sweep, query: str | None = None) -> tuple[str, str]:
    """What a method takes and what it retrieves for it; between features of two domains it may take `query`."""
    method = sweep.method
    own, gallery = method.query_domain, method.gallery_domain
    is_free = method.query_columns == method.gallery_columns == ("feature",) and own != gallery
    return query if is_free and query is not None else own, gallery


def of_one_task(sweeps: Sequence[Sweep], query: str | None = None) -> list[Sweep]:
    """The methods that retrieve what the first one does, for `query` where that is asked for; a line for the others of
    each kind."""
    if query is not None and query not in QUERIES:
        raise ValueError(f"data/query must be one of {', '.join(QUERIES)}, got {query}")
    fitting = [sweep for sweep in sweeps if query in (None, domains(sweep, query)[0])]
    if not fitting:
        raise ValueError(f"data/query={query} is for methods between features, got {sweeps[0].name}; leave it out")
    first = domains(fitting[0], query)
    others: dict[tuple[str, str], list[str]] = {}
    for sweep in sweeps:
        if domains(sweep, query) != first:
            others.setdefault(domains(sweep, query), []).append(sweep.name)
    for kind, names in others.items():
        own, wanted = (" by ".join(map(plural, reversed(one))) for one in (kind, first))
        print(f"{', '.join(names)}: not run, since this is about {wanted} and not about {own}; run these apart")
    return [sweep for sweep in sweeps if domains(sweep, query) == first]


def run_defaults(sweeps: Sequence[Sweep], *, smoke: bool) -> dict[str, Any]:
    """What all methods of the run declare alike; the few data of a smoke run are not split anew."""
    for key in (key for sweep in sweeps for key in sweep.run):
        if key not in RUN_KEYS:
            raise ValueError(f"`run` of a sweep must be among {', '.join(RUN_KEYS)}, got {key!r}")
    first = sweeps[0].run
    agreed = {key: value for key, value in first.items() if all(sweep.run.get(key) == value for sweep in sweeps)}
    return {key: value for key, value in agreed.items() if key != "data/split" or not smoke}


def single(key: str, values: list[Any]) -> Any:
    """The one value of a setting that holds for the whole run."""
    if len(values) != 1:
        raise ValueError(f"{key} holds for the whole run and so takes one value, got {values}")
    return values[0]
