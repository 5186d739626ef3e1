"""A whole sweep: the same 12 trials and seeds by this project and by a plain script, and their final figures.

    python -m benchmarks.sweep

The plain script is what one would write with the same libraries: a Tune function trainable with a `DataLoader`, Adam,
P@k over the grid of lambda by `topk`, samples decoded from [z; sketch], `WandbLoggerCallback` offline. Both draw the
same batches from the same initial weights. A second plain one, for the same figures, also rounds as we do: it has Adam
in its fused form and multiplies with `sbir.fast_products` (after some dozen steps either alone moves P@20 by up to some
points). Whole processes are timed; the plain scripts take the networks from here, and with them the setting of Python's
garbage collector that makes imports quicker. The trials are rows of the source at demo scale and length on the embedded
data. The last result is in results/sweep.md.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from sbir.tuning import quiet  # isort: skip  (before Ray is imported)

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from benchmarks.measure import Report, answer, start_python
from sbir.data.cache import embedded_store
from sbir.fast_products import use_fast_products
from sbir.models.cross_modal import CrossModal
from sbir.training.loop import mix
from sbir.tuning import runner, tune
from sbir.tuning.main import run as run_sweep
from sbir.tuning.options import parse
from sbir.tuning.sweep import Sweep

DECODE, DROPOUT = ("e", "s", "s+e"), (0.0, 0.1, 0.2, 0.3)
TRIALS = [{"decode": decode, "dropout": dropout} for decode in DECODE for dropout in DROPOUT]
SAME, STEPS = "plain, same rounding", 250
FIXED = {"latent": 128, "hidden": 256, "num_samples": 20}


def lengths(steps: int) -> dict[str, Any]:
    """Of every trial."""
    return {"train/steps": steps, "train/eval_every": steps // 5, "train/warmup": steps // 5, "train/batch_size": 64}


def rows_of(steps: int) -> dict[str, dict[str, Any]]:
    """The declared rows."""
    return {f"row {number}": {**FIXED, **own, **lengths(steps)} for number, own in enumerate(TRIALS)}


def ours(folder: Path, steps: int) -> dict[str, float]:
    """Label -> best value on validation; the runner's whole work, the report included.

    Under "" stands when the last trial had ended (seconds since 1970): what follows are baselines, tables and the page.
    """
    ended: list[float] = []
    run_trials = tune.run_trials

    def stamped(*args: Any, **more: Any) -> None:
        run_trials(*args, **more)
        ended.append(time.time())

    setattr(runner, "run_trials", stamped)  # noqa: B010
    sweep = Sweep(CrossModal, space={"decode": DECODE}, published=rows_of(steps), key="same")
    words = ["--stage", "published", "--final-seeds", "0", "--runs", str(folder / "runs"), "--workers", "2"]
    with redirect_stdout(open(os.devnull, "w")):  # noqa: PTH123
        assert run_sweep([sweep], parse("same", None, words)) == 0
    from sbir.report.load import load_run

    (run,) = (folder / "runs").glob("same-*")
    trials = load_run(run).trials
    return {"": ended[0], **dict(zip(trials["label"], trials["value"], strict=True))}


class Given(Dataset[Any]):
    """Batches by store rows, as our sampler drew them, read item by item."""

    def __init__(self, feature: Tensor) -> None:
        self.feature = feature

    def __len__(self) -> int:
        return len(self.feature)

    def __getitem__(self, rows: tuple[int, ...]) -> Tensor:
        return torch.stack([self.feature[row] for row in rows])  # roles, D


def plain(folder: Path, steps: int, seeds: dict[str, int], *, same: bool) -> dict[str, float]:
    """The same trials as one would write them, or with the `same` rounding."""
    for name in quiet.SILENCE:  # Tune as it comes, with its own files of results
        if name.startswith("TUNE_"):
            os.environ.pop(name, None)
    os.environ |= {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_SILENT": "true"}
    import ray
    from ray import tune
    from ray.air.integrations.wandb import WandbLoggerCallback

    store, declared = str(embedded_store()), rows_of(steps)

    def trainable(config: dict[str, Any]) -> None:
        label = config["label"]
        if same:
            use_fast_products()
        for value in train(store, declared[label], seeds[label], same=same):
            tune.report({"value": value})

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"label": tune.grid_search(list(declared))},
        run_config=tune.RunConfig(
            storage_path=str(folder / "tune"), verbose=0, callbacks=[WandbLoggerCallback("same")]
        ),
    )
    results = tuner.fit()
    assert not results.errors
    ray.shutdown()
    found = {}
    for result in (results[number] for number in range(len(results))):
        assert result.config is not None
        assert result.metrics_dataframe is not None
        found[str(result.config["label"])] = float(result.metrics_dataframe["value"].max())
    return found


def train(store: str, settings: dict[str, Any], seed: int, *, same: bool) -> Iterator[float]:
    """One plain trial; P@k at the best lambda after every fifth."""
    from sbir.data.feed import Columns, make_feed
    from sbir.data.loader import Shared
    from sbir.data.protocol import make_protocol, partition
    from sbir.data.sampler import Sampler
    from sbir.data.splits import assign
    from sbir.data.transform import TransformSettings
    from sbir.types import Batch

    items = Shared.mapped(store).items()
    split = assign(items, "stored")
    protocol = make_protocol(items, split, split_spec="stored", content_hash="", synthetic=True)
    rows = partition(items, split, protocol, "val")
    feature = torch.cat([torch.from_numpy(block.copy()) for block in items.payload["feature"].blocks])
    spec = make_feed(Columns(items), rows, ("feature",), ("feature",), TransformSettings()).spec()
    torch.manual_seed(mix(seed))
    method = CrossModal(spec, **{key: value for key, value in settings.items() if "/" not in key})
    optimizer = torch.optim.Adam(method.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=same or None)
    sampler = Sampler(
        rows.train_query, rows.train_gallery, items.class_id, items.instance_id,
        sampling=method.sampling, batch_size=64, seed=seed,
    )  # fmt: skip
    step, epoch, every = 0, 0, settings["train/eval_every"]
    while step < settings["train/steps"]:
        drawn = list(sampler.epoch(epoch))
        order = [
            list(zip(*(of.tolist() for of in (batch.query, *batch.gallery.values())), strict=True)) for batch in drawn
        ]
        own = torch.Generator()  # or each epoch's loader would take a number of those that noise is drawn from
        for stacked in DataLoader(Given(feature), batch_sampler=order, generator=own):
            if step % every == 0:
                torch.manual_seed(mix(seed, step))
                method.train()
            sketch, *photos = (some.contiguous() for some in stacked.unbind(1))
            gallery = {role: {"feature": some} for role, some in zip(method.sampling.roles, photos, strict=True)}
            terms = method.loss(Batch({"feature": sketch}, gallery, torch.zeros(64), {}))
            optimizer.zero_grad()
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = 2e-4 * min(1.0, (step + 1) / settings["train/warmup"])
            optimizer.step()
            [value.item() for value in terms.values()]
            step += 1
            if step % every == 0:
                yield score(method, feature, items.class_id, rows, protocol.k)
            if step == settings["train/steps"]:
                return
        epoch += 1


@torch.no_grad()
def score(method: CrossModal, feature: Tensor, class_id: Any, rows: Any, k: int) -> float:
    """Best P@k over the grid of lambda."""
    from sbir.models.layers import seeded_noise

    method.eval()
    sketch, photo = feature[rows.query], feature[rows.gallery]
    code = method.sketch_structure(sketch)
    noise = seeded_noise(method.num_samples, method.latent, sketch)
    given = {"e": code, "s": sketch, "s+e": torch.cat([code, sketch], 1)}[method.decode]
    decoded = [method.photo_decoder(torch.cat([z.expand(len(given), -1), given], 1)) for z in noise]
    pairs = [(code, method.photo_structure(photo)), (torch.stack(decoded).mean(0), photo)]
    one, two = (1 - functional.normalize(a) @ functional.normalize(b).T for a, b in pairs)
    relevant = torch.from_numpy(class_id[rows.query])[:, None] == torch.from_numpy(class_id[rows.gallery])
    grid = [*(weight / 10 * one + (1 - weight / 10) * two for weight in range(11)), torch.minimum(one, two)]
    return max(relevant.gather(1, fused.topk(k, dim=1, largest=False).indices).double().mean().item() for fused in grid)


def seeds_of(steps: int) -> dict[str, int]:
    """Label -> the seed that the runner gives that row: of the sweep's seed and the settings."""
    import zlib

    from sbir.tuning.space import Resolved

    sweep = Sweep(CrossModal, space={"decode": DECODE}, published=rows_of(steps), key="same")
    resolved = Resolved(sweep, scale="demo", wanted={})
    texts = {row.label: json.dumps({**resolved.constants, **row.settings}, sort_keys=True) for row in resolved.rows}
    return {label: mix(0, zlib.crc32(text.encode()), 0) for label, text in texts.items()}


def one(args: argparse.Namespace) -> None:
    """What the table starts."""
    folder = Path(args.folder)
    if args.what == "ours":
        said = ours(folder, args.steps)
    else:
        said = plain(folder, args.steps, seeds_of(args.steps), same=args.what == SAME)
    print(json.dumps(said))


def table(args: argparse.Namespace) -> None:
    """Both, in turn."""
    report = Report("sweep", ("ray", "torch", "optuna", "wandb"))
    embedded_store()
    walls: dict[str, list[float]] = {"plain": [], SAME: [], "ours": [], "ours, to the end of the last trial": []}
    found: dict[str, dict[str, float]] = {}
    for _ in range(args.rounds):
        for kind in ("plain", SAME, "ours"):
            with tempfile.TemporaryDirectory() as folder:
                before = time.time()
                words = [kind, "--folder", folder, "--steps", str(args.steps)]
                found[kind] = answer(start_python("benchmarks.sweep", *words))
                walls[kind].append(time.time() - before)
        walls["ours, to the end of the last trial"].append(found["ours"].pop("") - before)
    seconds = {kind: min(taken) for kind, taken in walls.items()}
    report.say(f"{len(TRIALS)} trials of {args.steps} steps, 5 evaluations each, 2 at once on 2 cores; best of "
               f"{args.rounds} in turns")  # fmt: skip
    report.say()
    hours = {kind: len(TRIALS) * 3600 / taken for kind, taken in seconds.items()}
    report.table(
        ["", "wall s", "trials/h", "ratio", "ratio to the same rounding"],
        [[kind, seconds[kind], hours[kind], hours[kind] / hours["plain"], hours[kind] / hours[SAME]] for kind in walls],
    )
    rows: list[list[Any]] = [
        [label, *(100 * found[kind][label] for kind in ("plain", SAME, "ours"))] for label in found["plain"]
    ]
    report.say("Best P@k on validation in %, by trial")
    report.say()
    report.table(["trial", "plain", SAME, "ours"], rows)
    gap = max(abs(same - own) for _, _, same, own in rows)
    report.say(f"Largest difference between the last two: {gap:.3f} points.")
    report.keep(wall=walls, values=found)
    if args.steps == STEPS:
        report.write()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("table", "ours", "plain", SAME), default="table")
    parser.add_argument("--folder", default="")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    quiet.silence()
    table(args) if args.what == "table" else one(args)


if __name__ == "__main__":
    main()
