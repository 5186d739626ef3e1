"""What a sweep is to do, checked before Ray starts: its methods' spaces, its data, and what its figures will mean."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sbir.data.cache import embedded_store
from sbir.data.feed import Columns, Feed, has_pairs, make_feed
from sbir.data.items import TEXT_FEATURE, plural
from sbir.data.loader import Shared
from sbir.data.protocol import (
    Part,
    Partition,
    Protocol,
    make_protocol,
    other_split,
    partition,
)
from sbir.data.sampler import check_batches
from sbir.data.smoke import write_smoke_store
from sbir.data.splits import Split, assign
from sbir.data.transform import TransformSettings
from sbir.metrics.distances import FUSIONS
from sbir.models.method import Method
from sbir.report.reported import load_reported
from sbir.training.baselines import Untrained
from sbir.training.settings import RUN_KEYS, group
from sbir.tuning.options import Options
from sbir.tuning.phases import other_splits
from sbir.tuning.space import Resolved, wanted_by
from sbir.tuning.sweep import Sweep
from sbir.tuning.task import domains, of_one_task, run_defaults, single

THREADS = 1  # a trial; one trial a core is faster than one trial on all cores
SMOKE = {"train/steps": 20, "train/eval_every": 10, "train/batch_size": 20, "train/warmup": 5}


class Setup:
    """A checked request. Everything that can be wrong with it is a `ValueError` here, and nothing is written yet."""

    def __init__(self, sweeps: Sequence[Sweep], options: Options) -> None:
        self.options = options
        query = single("data/query", options.wanted["data/query"]) if "data/query" in options.wanted else None
        sweeps = of_one_task(sweeps, query)
        self.domains = domains(sweeps[0], query)
        self._run_settings = run_defaults(sweeps, smoke=options.smoke) | {
            key: single(key, options.wanted[key]) for key in RUN_KEYS if key in options.wanted
        }
        self.reported = load_reported(options.reported)
        self.resolved = self._resolve(sweeps, None)  # a typo is found before data are made
        self._check_names()
        self._open_store()
        self.resolved = self._resolve(sweeps, self._width())
        self._drop_unserved()
        self.by_name = {one.sweep.name: one for one in self.resolved}
        self._make_protocol()
        self._check_settings()

    @property
    def fusion(self) -> str | None:
        """How two views are combined in every trial, where the user fixed it."""
        fusion = self._run_settings.get("eval/lambda")
        return None if fusion is None else str(float(fusion)) if isinstance(fusion, int) else str(fusion)

    @property
    def feature_dim(self) -> int | None:
        """Entries of the feature that every trial sees, where all see the same; baselines see them too."""
        dim: int | None = self._shared_data().get("data/feature_dim")
        return dim

    @property
    def flags(self) -> list[str]:
        """Marks that every result bears."""
        marks = {"synthetic": self.protocol.synthetic, "demo scale": self.options.scale == "demo"}
        marks["training items in the gallery"] = self.protocol.name == "overlapping"
        return [flag for flag, marked in marks.items() if marked]

    @property
    def columns(self) -> set[str]:
        """Payload columns that the methods take in, and those that say what is scored."""
        methods = [one.sweep.method for one in self.resolved]
        wanted = {name for method in methods for name in (*method.query_columns, *method.gallery_columns)}
        of_texts = {TEXT_FEATURE} if "feature" in wanted and "text" in self.domains else set()
        return wanted | (({"labels", "side", "choices"} | of_texts) & set(self.items.payload))

    def rows(self, part: Part) -> Partition:
        """Store rows of one part of the run's split."""
        return partition(self.items, self.split, self.protocol, part)

    def given(self, name: str, settings: dict[str, Any]) -> str:
        """What a method was told in training."""
        method = self._weightless(self.by_name[name], settings)
        told = method.given.replace("sketch-photo", f"{self.domains[0]}-{self.domains[1]}")
        return "; ".join(filter(None, [told, method.pretrained]))

    @property
    def untrained(self) -> list[Untrained]:
        """The networks on pictures and texts as training begins, at the pinned settings where a sweep has them."""
        found: dict[str, Untrained] = {}
        for one in self.resolved:
            if "feature" not in one.sweep.method.query_columns:
                settings = one.constants | (one.ablation()[0].settings if one.sweep.best else {})
                row = f"{one.sweep.untrained or one.sweep.label}, untrained"
                given = self._weightless(one, settings).pretrained or "nothing"
                found.setdefault(row, Untrained(row, one.sweep.method, group(settings).method, given))
        return list(found.values())

    def last_stage(self, one: Resolved) -> float:
        """Part of the training after which a method's last stage begins."""
        return sum(stage.share for stage in self._weightless(one, one.constants).stages()[:-1])

    def _weightless(self, one: Resolved, settings: Mapping[str, Any]) -> Method:
        """A method without any weights in memory, for what it says of itself."""
        grouped = group(settings)
        spec = self._feed(one, self.split).spec_of(grouped.data)
        with torch.device("meta"):
            return one.sweep.method(spec, **grouped.method)

    def request(self) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        options = self.options
        return {
            "script": options.script,
            "methods": [one.sweep.name for one in self.resolved],
            "declaration": hashlib.sha256("".join(one.signature() for one in self.resolved).encode()).hexdigest()[:12],
            "stage": options.stage,
            "trials": options.trials,
            "final_seeds": options.final_seeds,
            "splits": options.splits,
            "seed": options.seed,
            "scale": options.scale,
            "set": {key: list(values) for key, values in options.wanted.items()},
            "data": self.manifest["content_hash"],
            "smoke": options.smoke,
        }

    def describe(self) -> dict[str, Any]:
        """For the run's manifest."""
        options = self.options
        return {
            "request": self.request(),
            "script": options.script,
            "methods": [one.sweep.name for one in self.resolved],
            "labels": {one.sweep.name: one.sweep.label for one in self.resolved},
            "stage": options.stage,
            "seed": options.seed,
            "scale": options.scale,
            "trials": options.trials,
            "final_seeds": options.final_seeds,
            "splits": options.splits,
            "threads": THREADS,
            "workers": options.workers,
            "settings": {key: list(values) for key, values in options.wanted.items()},
            "constants": {one.sweep.name: one.constants for one in self.resolved},
            "axes": {one.sweep.name: list(one.axes) for one in self.resolved},
            "domains": {one.sweep.name: one.axes for one in self.resolved},
            "metric": self.protocol.metric,
            "data": self._about_data(),
            "protocol": self.protocol.as_dict(),
            "given": self.manifest["given"],
            "backbone": self.manifest["backbone"],
        }

    def _resolve(self, sweeps: Sequence[Sweep], width: int | None) -> list[Resolved]:
        smoke = {key: [value] for key, value in SMOKE.items()} if self.options.smoke else {}
        wanted = smoke | {key: values for key, values in self.options.wanted.items() if key not in RUN_KEYS}
        both = zip(sweeps, wanted_by(sweeps, wanted), strict=True)
        return [Resolved(sweep, scale=self.options.scale, wanted=own, width=width) for sweep, own in both]

    def _check_names(self) -> None:
        for kind in ("name", "label"):
            names = [getattr(one.sweep, kind) for one in self.resolved]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"methods of one run need different names, got {twice[0]!r} twice; give one a key")

    def _drop_unserved(self) -> None:
        """Leave out, with a line, methods that these data cannot serve whatever their settings; one must be left."""
        split = assign(self.items, str(self._run_settings.get("data/split", "stored")))
        reasons: dict[str, str] = {}
        for one in self.resolved:
            try:
                spec = self._feed(one, split).spec()
                with torch.device("meta"):
                    one.sweep.method(spec, **group(one.fixed).method)
            except ValueError as error:
                reasons[one.sweep.name] = str(error)
        if len(reasons) == len(self.resolved):
            raise ValueError(next(iter(reasons.values())))
        for name, reason in reasons.items():
            print(f"{name}: not run, these data cannot serve it: {reason}")
        self.resolved = [one for one in self.resolved if one.sweep.name not in reasons]

    def _feed(self, one: Resolved, split: Split) -> Feed:
        """What a method would see of the training rows, without transforms."""
        method, train = one.sweep.method, split.rows == "train"
        query, gallery = (np.flatnonzero(train & (self.items.domain == domain)) for domain in self.domains)
        rows = Partition(query, gallery, query, gallery, paired=len(set(self.domains)) > 1)
        return make_feed(Columns(self.items), rows, method.query_columns, method.gallery_columns, TransformSettings())

    def _width(self) -> int | None:
        """Entries of the stored features, of the narrower side where the two differ."""
        columns = Columns(self.items)
        sides = (np.flatnonzero(self.items.domain == domain)[:1] for domain in self.domains)
        return min(map(columns.width, sides)) if "feature" in self.items.payload else None

    def _open_store(self) -> None:
        options = self.options
        if options.data:
            (self.store,) = options.data
        elif options.smoke:
            self.store = options.runs / ("smoke-texts" if "text" in self.domains else "smoke-data")
            if not self.store.exists():
                write_smoke_store(self.store, texts="text" in self.domains)
        else:
            self.store = embedded_store(texts="text" in self.domains)
        shared = Shared.mapped(self.store)
        self.manifest, self.items = shared.manifest, shared.items()
        held = set(np.unique(self.items.domain))
        if missing := [domain for domain in self.domains if domain not in held]:
            raise ValueError(
                f"this needs {plural(missing[0])}, {self.store} holds {' and '.join(map(plural, sorted(held)))}; "
                "take another --data (sbir data list says what a set has)"
            )

    def _make_protocol(self) -> None:
        spec = str(self._run_settings.get("data/split", "stored"))
        self.split = assign(self.items, spec)
        self.protocol: Protocol = make_protocol(
            self.items,
            self.split,
            split_spec=spec,
            content_hash=self.manifest["content_hash"],
            synthetic=bool(self.manifest["synthetic"]),
            name=self._run_settings.get("eval/protocol"),
            k=self._run_settings.get("eval/k"),
            select=self._run_settings.get("eval/metric", "precision"),
            centre=bool(self._run_settings.get("eval/centre", False)),
            features=self._features(),
            gallery=self.domains[1],
            query=self.domains[0],
            dataset=self.manifest["dataset"],
        )

    def _shared_data(self) -> dict[str, Any]:
        """Transforms of the features that hold for every trial of every method."""
        first, *others = [
            {key: value for key, value in one.constants.items() if key.startswith("data/")} for one in self.resolved
        ]
        return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}

    def _features(self) -> str:
        shared = self._shared_data()
        keys = {key for one in self.resolved for key in (*one.axes, *one.constants, *one.row_keys())}
        own = sorted(key for key in keys - shared.keys() if key.startswith("data/"))
        words = [f"{key.removeprefix('data/')}={value}" for key, value in shared.items()]
        return ", ".join(words + [f"{key} as each row's settings say" for key in own]) or "as stored"

    def _check_settings(self) -> None:
        if self.fusion is not None and self.fusion not in FUSIONS:
            raise ValueError(f"eval/lambda must be one of {', '.join(FUSIONS)}, got {self.fusion}")
        if self.options.splits and self.protocol.name != "zero_shot":
            raise ValueError(f"--splits is about class-disjoint splits, the protocol is {self.protocol.name}; drop it")
        for spec in other_splits(self.options.splits):
            other_split(self.items, spec, self.protocol)
        for one in self.resolved:
            one.check_values(self._feed(one, self.split).spec_of, Method.check_files)
            train, batch_size = self.rows("val"), group(one.constants).train.batch_size
            sampling = self._weightless(one, one.constants).sampling
            check_batches(self.items, train.train_query, train.train_gallery, sampling, batch_size)
            if one.unserved and self.options.stage == "published":
                listed = ", ".join(one.unserved)
                print(f"{one.sweep.label}: not run, since they need wider features than the store's: {listed}")

    def _about_data(self) -> dict[str, Any]:
        parts: dict[Part, Partition] = {"val": self.rows("val"), "test": self.rows("test")}
        num = {"train_query": len(parts["val"].train_query), "train_gallery": len(parts["val"].train_gallery)}
        for part, rows in parts.items():
            num |= {f"{part}_query": len(rows.query), f"{part}_gallery": len(rows.gallery)}
        return {
            "store": str(Path(self.store).resolve()),
            "dataset": self.manifest["dataset"],
            "synthetic": self.protocol.synthetic,
            "content_hash": self.manifest["content_hash"],
            "split": self.protocol.split,
            "split_hash": self.split.hash,
            "paired": has_pairs(self.items, parts["val"]),
            "num": num,
            "classes": {part: self._num_classes(part) for part in ("train", "val", "test")},
        }

    def _num_classes(self, part: str) -> int:
        return len(set(self.items.class_id[self.split.rows == part]))
