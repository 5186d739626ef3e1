"""What a drawing method leaves for the report, closed forms at every pass, and training in half precision."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from sbir.models.domain_migration import DomainMigrationHashing
from sbir.models.image_siamese import ImageSiamese
from sbir.models.method import Method
from sbir.models.pixels import LinearPixels, Pixels
from sbir.training.pictures import ITEMS, is_due
from sbir.training.run import Refit
from sbir.training.train_settings import TrainSettings
from sbir.types import Batch, DataSpec, Rows, Sampling, Views
from tests.models.test_drawings import SHAPES, SIDE, run

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = {"train/steps": 4, "train/eval_every": 1, "train/batch_size": 8}


class Counting(Method):
    """Notes what every pass over the training rows is given, and needs it for its loss."""

    query_columns = gallery_columns = ("image",)
    passes: Tensor
    sums: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.sampling = Sampling(("positive",))
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("sums", torch.zeros(4))

    def begin_epoch(
        self, queries: Iterator[tuple[Rows, Tensor]], gallery: Iterator[tuple[Rows, Tensor]]
    ) -> dict[str, float]:
        self.passes += 1
        self.eval()
        for at, side in enumerate((queries, gallery)):
            for rows, labels in side:
                self.sums[2 * at] = self.weight.detach() * rows["image"].float().mean()
                self.sums[2 * at + 1] += len(labels)
        return {"passes": float(self.passes)}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        assert self.training
        return {"loss": (self.weight * batch.query["image"].float().mean() - self.sums[2]).square().mean() / 1e4}

    def embed_query(self, rows: Rows) -> Views:
        return {"code": self.weight * rows["image"].float().flatten(1)}

    def embed_gallery(self, rows: Rows) -> Views:
        return self.embed_query(rows)


def test_every_pass_begins_with_all_training_rows_and_a_resumed_trial_equals_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    settings = {"train/steps": 24, "train/eval_every": 3, "train/batch_size": 8}  # 6 batches a pass
    whole = run(Counting, tmp_path / "whole", **settings)
    rows: list[dict[str, Any]] = [whole.advance()[0] for _ in range(8)]
    assert isinstance(whole.method, Counting)
    assert int(whole.method.passes) == 4
    assert whole.method.sums[1::2].tolist() == [4 * 48, 4 * 48]
    assert [row.get("train/passes") for row in rows] == [1.0, None, 2.0, None, 3.0, None, 4.0, None]
    for cut in (2, 3):  # between two passes, and within one
        first = run(Counting, tmp_path / f"cut-{cut}", **settings)
        for _ in range(cut):
            first.advance()
        second = run(Counting, tmp_path / f"cut-{cut}", **settings)
        again = [second.advance()[0] for _ in range(9 - cut)]
        for one, two in zip(rows[cut - 1 :], again, strict=True):
            assert {**one, "device_seconds": 0} == {**two, "device_seconds": 0}
        assert all(torch.equal(value, second.method.state_dict()[name]) for name, value in
                   whole.method.state_dict().items())  # fmt: skip


def test_a_finalist_saves_sheets_from_its_first_step_to_its_last_and_a_search_trial_none(tmp_path: Path) -> None:
    trained = run(DomainMigrationHashing, tmp_path / "final", Refit, **SHORT)
    while not trained.advance()[1]:
        pass
    sheets = sorted((tmp_path / "final/pictures").iterdir())
    assert [sheet.name for sheet in sheets] == [f"{step:07d}.jpg" for step in range(5)]
    with Image.open(sheets[0]) as first, Image.open(sheets[-1]) as last:
        assert first.size == last.size
        assert first.size[0] > 6 * SIDE
        assert first.size[1] > min(ITEMS, len(SHAPES)) * SIDE
        assert first.tobytes() != last.tobytes()
    run(DomainMigrationHashing, tmp_path / "search", **SHORT).advance()
    assert not (tmp_path / "search/pictures").exists()
    plain = run(DomainMigrationHashing, tmp_path / "plain", Refit, **SHORT, **{"method/migration": False})
    while not plain.advance()[1]:
        pass
    assert not (tmp_path / "plain/pictures").exists()


def test_there_are_at_most_five_sheets_however_long_the_training() -> None:
    for steps, every in ((50_000, 500), (360, 60), (7, 3), (1, 60)):
        stops = [*range(0, steps, every), steps]
        due = [step for step in stops if is_due(step, every, steps)]
        assert due[0] == 0
        assert due[-1] == steps
        assert len(due) <= 5


@pytest.mark.parametrize("method", [DomainMigrationHashing, ImageSiamese])
def test_bfloat16_trains_with_weights_in_float32_and_says_its_own_figures(method: type[Method], tmp_path: Path) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        trial = run(method, tmp_path / precision, **SHORT, **{"train/precision": precision})
        rows = [trial.advance()[0] for _ in range(2)]
        losses[precision] = [value for key, value in rows[-1].items() if key.startswith("train/")]
        assert all(parameter.dtype == torch.float32 for parameter in trial.method.parameters())
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.2, abs=0.05)
    with pytest.raises(ValueError, match="train/precision must be one of float32, tf32, bfloat16, got 'fp8'"):
        TrainSettings(precision="fp8")  # type: ignore[arg-type]


def test_a_linear_map_between_pixels_finds_photos_that_are_a_linear_map_of_drawings(tmp_path: Path) -> None:
    figures = {}
    for method in (Pixels, LinearPixels):
        settings = {} if method is Pixels else {"method/penalty": 1e-3}
        row, finished = run(method, tmp_path / method.__name__, **settings).advance()
        assert finished
        figures[method] = row["val/acc_at_1"]
    assert figures[LinearPixels] == 1.0
    assert figures[Pixels] < 1.0
