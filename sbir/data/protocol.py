"""What a number means: which rows are queries and gallery, how they are scored, and a fingerprint of all of it."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sbir.data.dataset import SIDES
from sbir.data.items import Items, plural
from sbir.data.sampler import first_of
from sbir.data.splits import Split, assign

Indices = NDArray[np.int64]
Part = Literal["val", "test"]
PROTOCOLS = ("zero_shot", "generalised", "seen", "overlapping")
OVERLAPPING = 2000  # queries of the image-text source, of 19 999 items; of fewer items a tenth
METRICS_VERSION = 1
QUERY_DOMAIN, GALLERY_DOMAIN = "sketch", "photo"
RECALL = {  # data set -> ranks at which deep metric learning publishes its figures
    "cub": (1, 2, 4, 8, 16, 32),
    "cars": (1, 2, 4, 8, 16, 32),
    "sop": (1, 10, 100, 1000),
    "inshop": (1, 10, 20, 30, 40, 50),
}
OTHER_RECALL = (1, 2, 4, 8)
QUERIES, GALLERY = 100, 1000  # sketches of a class where sketches retrieve sketches, as SketchMate (CVPR 2018) has it


@dataclass(frozen=True)
class Protocol:
    """Everything that must agree before two numbers may stand in one column."""

    name: str  # "zero_shot" | "generalised" | "seen" | "overlapping"
    k: int  # cut-off of precision and mAP
    select: str  # the metric that the search maximises, such as precision_at_200
    split: str  # how the split was made: "stored", "zero_shot:3", ...
    split_hash: str
    content_hash: str  # of the store
    synthetic: bool
    centre: bool = False  # subtract each side's mean training embedding before ranking
    features: str = "as stored"  # transforms fitted on train rows that the whole run shares, or which settings vary
    gallery: str = GALLERY_DOMAIN  # what is retrieved: photos, or other sketches
    query: str = QUERY_DOMAIN  # what it is retrieved for
    relevant: Literal["class", "labels"] = "class"  # of multi-label data: whatever shares a label with the query
    recall: tuple[int, ...] = ()  # ranks n of `recall_at_n`, where photos are retrieved by photos

    @property
    def metric(self) -> str:
        """The key that is maximised."""
        return f"val/{self.select}"

    def lines(self) -> dict[str, object]:
        """The readable parts that the fingerprint is made of."""
        things, own = plural(self.gallery), self.gallery != self.query
        every = "all" if own or self.query == QUERY_DOMAIN else "all other"
        shared = "the query's class" if self.relevant == "class" else "a label of the query"
        galleries = {
            "zero_shot": f"{every} {things} of the unseen classes",
            "generalised": f"{things} of the unseen classes and held-out {things} of the seen ones",
            "seen": f"held-out {things} of the training classes",
            "overlapping": f"{things} of all parts, of training too, but the queries' own; queries likewise",
        }
        parted = f"; of each class half are queries, at most {QUERIES}, and at most {GALLERY} of the rest are searched"
        return {
            "protocol": self.name,
            "gallery": galleries[self.name] + parted * (self.gallery == self.query == QUERY_DOMAIN),
            "relevant": f"{things} of {shared}" + f" (accuracy: the query's own {self.gallery})" * own,
            "k": self.k,
            "denominators": "in the metrics' names; precision divides by k",
            "ties": "ranked by gallery order; of Hamming distances, in expectation over all orders",
            "ranking": "embeddings centred by domain" if self.centre else "embeddings as they are",
            "features": self.features,
            "split": f"{self.split} ({self.split_hash})",
            "data": self.content_hash,
            "synthetic": self.synthetic,
            "metrics version": METRICS_VERSION,
            **({"query": plural(self.query)} if self.query != QUERY_DOMAIN else {}),
        }

    def fingerprint(self) -> str:
        """Eight hexadecimal digits over `lines`."""
        return hashlib.sha256(json.dumps(self.lines(), sort_keys=True).encode()).hexdigest()[:8]

    def as_dict(self) -> dict[str, object]:
        """For manifests: the fields, the readable lines and the fingerprint."""
        return {**asdict(self), "lines": self.lines(), "fingerprint": self.fingerprint()}


@dataclass(frozen=True)
class Partition:
    """Store rows: what to fit on and what to score."""

    train_query: Indices
    train_gallery: Indices
    query: Indices
    gallery: Indices
    paired: bool = field(default=True, kw_only=True)  # whether a query's own item counts, as a photo does


def default_k(
    items: Items, split: Split, name: str, domain: str = GALLERY_DOMAIN, query_domain: str = QUERY_DOMAIN
) -> int:
    """The usual size of a class in the test gallery, at most 200: the median number of its items."""
    gallery = _scored_rows(items, split, name, "test", (query_domain, domain))[1]
    if not len(gallery):
        return 1  # `partition` says what is missing
    return int(min(200, np.median(np.unique(items.class_id[gallery], return_counts=True)[1])))


def make_protocol(
    items: Items,
    split: Split,
    *,
    split_spec: str,
    content_hash: str,
    synthetic: bool,
    name: str | None = None,
    k: int | None = None,
    select: str = "precision",
    centre: bool = False,
    features: str = "as stored",
    gallery: str = GALLERY_DOMAIN,
    query: str = QUERY_DOMAIN,
    dataset: str = "",
) -> Protocol:
    """Resolve what is left open, and check that the split can serve the protocol.

    Items with `labels` are relevant by these. Where photos are retrieved by photos, `recall_at_n` has the ranks that
    are published for `dataset`, as far as the galleries go.
    """
    name = split.kind if name is None else name
    if name not in PROTOCOLS:
        raise ValueError(f"eval/protocol must be one of {', '.join(PROTOCOLS)}, got {name!r}")
    if name == "overlapping" and query == gallery:
        raise ValueError(f"protocol {name} is one of texts and photos, got {plural(gallery)} for {plural(query)}")
    usual = default_k(items, split, name, gallery, query)
    protocol = Protocol(
        name, usual if k is None else k, select, split_spec, split.hash, content_hash, synthetic, centre, features,
        gallery, query,
        "labels" if "labels" in items.payload else "class",
    )  # fmt: skip
    sizes = {part: _num_candidates(partition(items, split, protocol, part)) for part in get_args(Part)}
    if k is None:
        k = min(usual, *sizes.values())  # a validation gallery may be smaller than a class of the test gallery
        protocol = replace(protocol, k=k)
    for part, size in sizes.items():
        if not 1 <= k <= size:
            raise ValueError(f"eval/k must be between 1 and the {part} gallery size {size}, got {k}")
    ranks = RECALL.get(dataset, OTHER_RECALL) if query == gallery == "photo" else ()
    recall = tuple(n for n in ranks if n <= min(sizes.values()))
    return replace(protocol, select=_metric_name(select, k, recall), recall=recall)


def _num_candidates(rows: Partition) -> int:
    """How many gallery items are ranked for a query at the least: all but itself."""
    return len(rows.gallery) - bool(np.isin(rows.query, rows.gallery).any())


def other_split(items: Items, spec: str, like: Protocol) -> tuple[Split, Protocol]:
    """Another split of the same data, to be scored as `like` says, at the same k."""
    split = assign(items, spec)
    protocol = replace(like, split=spec, split_hash=split.hash)
    for part in get_args(Part):
        if (size := _num_candidates(partition(items, split, protocol, part))) < max(like.k, *like.recall, 1):
            raise ValueError(f"eval/k must be at most the {part} gallery size {size} of split {spec}, got {like.k}")
    return split, protocol


def partition(items: Items, split: Split, protocol: Protocol, part: Part) -> Partition:
    """Rows for selection (`val`: fit on train) or for the final figure (`test`: fit on train and val)."""
    fit = ["train"] if part == "val" else ["train", "val"]
    query, gallery = _scored_rows(items, split, protocol.name, part, (protocol.query, protocol.gallery))
    rows = {
        "train_query": _rows(items, split, protocol.query, fit),
        "train_gallery": _rows(items, split, protocol.gallery, fit),
        "query": query,
        "gallery": gallery,
    }
    empty = [name for name, found in rows.items() if len(found) == 0]
    needs_held = protocol.name != "overlapping" and "held" in _scored(split, protocol.name, part)[1]
    if needs_held and not (split.rows == "held").any():
        empty.append("held-out photos")  # without them the generalised gallery would be the zero-shot one
    if empty:
        raise ValueError(
            f"protocol {protocol.name} needs rows for {', '.join(empty)} in part {part} of split {protocol.split}, "
            "got none; choose another split (--set data/split=generalised:0 holds out photos of seen classes)"
        )
    return Partition(**rows, paired=protocol.gallery != protocol.query)


def reverse(items: Items, rows: Partition, protocol: Protocol) -> Partition | None:
    """Rows to retrieve the other way round, from gallery domain to query domain; None where nobody asks for that.

    Texts and photos are: as queries the photos (or texts) that belong to the queries, in their order, as gallery the
    counterparts of the gallery. It is written in the direction of the protocol: the new queries are in `gallery`.
    """
    if protocol.query == protocol.gallery or "text" not in (protocol.query, protocol.gallery):
        return None
    of = {side: np.flatnonzero(items.domain == side) for side in (protocol.query, protocol.gallery)}
    asking = first_of(items.instance_id[rows.query], items.instance_id[of[protocol.gallery]])
    searched = np.isin(items.instance_id[of[protocol.query]], items.instance_id[rows.gallery])
    known = items.instance_id[of[protocol.query]] >= 0
    if (asking < 0).any() or not (searched & known).any():
        return None
    return replace(rows, query=of[protocol.query][searched & known], gallery=of[protocol.gallery][asking])


def _scored(split: Split, name: str, part: Part) -> tuple[list[str], list[str]]:
    if name == "overlapping":
        every = ["train", "val"] if part == "val" else ["train", "val", "test", "held"]
        return every, every
    if part == "val":
        return ["val"], ["val"]
    if name == "zero_shot" or split.kind == "seen":
        return ["test"], ["test"]
    return (["test"], ["test", "held"]) if name == "generalised" else (["held"], ["held"])


def _scored_rows(
    items: Items, split: Split, name: str, part: Part, domains: tuple[str, str]
) -> tuple[Indices, Indices]:
    """Queries and gallery. Where both are sketches each class is parted, in an order that its item ids decide; of
    photos that are retrieved by photos each is on the sides that the data set says (`side`), or on both.
    """
    query, gallery = (
        _rows(items, split, side, parts) for side, parts in zip(domains, _scored(split, name, part), strict=True)
    )
    if name == "overlapping":
        return _overlapping(items, query, gallery)
    if domains == ("photo", "photo"):
        return _on_side(items, query, "query"), _on_side(items, gallery, "gallery")
    if domains != (QUERY_DOMAIN, QUERY_DOMAIN):
        return query, gallery
    rng = np.random.default_rng(20260)
    queries, searched = [query[:0]], [gallery[:0]]
    for number in np.unique(items.class_id[gallery]):
        own = query[items.class_id[query] == number]
        own = rng.permutation(own[np.argsort(items.item_id[own].astype(str))])
        queries.append(own[: min(QUERIES, len(own) // 2)])
        rest = np.setdiff1d(gallery[items.class_id[gallery] == number], queries[-1])
        searched.append(rng.permutation(rest[np.argsort(items.item_id[rest].astype(str))])[:GALLERY])
    return np.sort(np.concatenate(queries)), np.sort(np.concatenate(searched))


def _overlapping(items: Items, query: Indices, gallery: Indices) -> tuple[Indices, Indices]:
    """A random tenth of the queries, at most 2000, and all of the gallery but what belongs to them."""
    ordered = query[np.argsort(items.item_id[query].astype(str))]
    drawn = np.sort(np.random.default_rng(20260).permutation(ordered)[: min(OVERLAPPING, len(query) // 10)])
    return drawn, gallery[~np.isin(items.instance_id[gallery], items.instance_id[drawn])]


def _on_side(items: Items, rows: Indices, side: str) -> Indices:
    if "side" not in items.payload:
        return rows
    return rows[np.isin(items.payload["side"].take(rows), [SIDES.index(""), SIDES.index(side)])]


def _rows(items: Items, split: Split, domain: str, parts: list[str]) -> Indices:
    return np.flatnonzero((items.domain == domain) & np.isin(split.rows, parts))


def _metric_name(select: str, k: int, recall: tuple[int, ...]) -> str:
    names = {
        "precision": f"precision_at_{k}",
        "map_k": f"map_at_{k}_k",
        "map_hits": f"map_at_{k}_hits",
        "map_min": f"map_at_{k}_min",
        "map_all": "map_all",
        "acc_at_1": "acc_at_1",
        "acc_at_5": "acc_at_5",
        "acc_at_10": "acc_at_10",
        **{f"recall_at_{n}": f"recall_at_{n}" for n in recall},
    }
    if select not in names:
        raise ValueError(f"eval/metric must be one of {', '.join(names)}, got {select!r}")
    return names[select]
