"""Image-text hashing: texts retrieve photos, and photos texts, by binary codes of two networks."""

from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from sbir.losses.triplets import image_text_triplets, share_a_label
from sbir.models.method import Method
from sbir.models.settings import check, check_choice, check_dropout, check_positive, check_range, check_unused
from sbir.models.texts import BERT, SCRATCH, TextBranch, check_encoder
from sbir.types import Batch, DataSpec, Player, Rows, Sampling, TrainRows, Views

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, RGB
WIDTH, BLOCKS = 64, 2  # of ResNet-18


class ImageTextHashing(Method):
    """A ResNet-18 and a BERT whose outputs behind a tanh become codes, trained on triplets of items that share labels.

    Four triplet losses: anchors in images or texts, positives and negatives in images or texts, over all triplets of a
    batch (`sbir.losses.triplets`); two items are similar where they have a label in common (of data without labels, the
    class). A text is the state of its first token, then dropout and a linear layer. View `code` (n, K): signs for
    Hamming ranking, or with `code="real"` the outputs of the tanh by Euclidean distance.

    Source: the code of xiami2019 (https://github.com/xiami2019/Cross-modal-retrieval), which has no paper. From it: the
    networks, the losses, the margin of a quarter of the bits (8 at 32 and 4 at 16; the others follow), the rates (1e-3
    for images, which is train/lr, and `text_lr` for texts) and their schedule. We differ: an item's own counterpart may
    be its positive (`aligned`; the source never has it), batches are shuffled anew in each epoch (the source's are the
    same in all), images are squares and not cropped ones, and there is a smaller network of each kind for machines
    without a GPU or a connection: `width` and `blocks` of the ResNet, and `encoder="scratch"`.
    """

    query_columns = ("text",)
    gallery_columns = ("image",)
    query_domain = "text"
    gallery_domain = "photo"
    fit_columns = ("text",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        bits: int = 32,
        margin: float = 0.25,
        aligned: bool = True,
        encoder: str = BERT[0],
        text_lr: float = 1e-4,
        dropout: float = 0.5,
        text_width: int = 256,
        text_layers: int = 4,
        vocabulary: int = 8000,
        weights: str = "imagenet",
        width: int = WIDTH,
        blocks: int = BLOCKS,
        crop: float = 0.875,
        flip: bool = True,
        code: Literal["binary", "real"] = "binary",
    ) -> None:
        super().__init__()
        check_choice("code", code, ("binary", "real"))
        check_dropout(dropout)
        check_range(1, 1024, bits=bits)
        check_range(1, text_layers=text_layers, width=width, blocks=blocks)
        check_range(64, text_width=text_width, vocabulary=vocabulary)
        check(text_width % 64 == 0, f"text_width must be a multiple of 64, the width of a head, got {text_width}")
        check_positive(margin=margin, text_lr=text_lr)
        check(0.1 <= crop <= 1, f"crop must be between 0.1 and 1 of an image's side, got {crop}; 1 crops nothing")
        if encoder != SCRATCH:
            sizes = {"text_width": text_width, "text_layers": text_layers, "vocabulary": vocabulary}
            check_unused(ImageTextHashing, f"encoder={encoder!r}", **sizes)
        own = "weights must be random for a ResNet of another size than ResNet-18 (width 64, blocks 2)"
        check(weights == "random" or (width, blocks) == (WIDTH, BLOCKS), f"{own}, got {weights!r}")
        side = spec.gallery["image"][0]
        check(side >= 32, f"images must be squares of at least 32 pixels, got {side}; write them with --images 64")
        pairs = "texts must come with their own photos, these have none; write the store from a data set of captions"
        check(spec.paired, pairs)
        self.sampling = Sampling(roles=("positive",), pairing="paired")
        self.distance = "hamming" if code == "binary" else "euclidean"
        self.code, self.margin, self.aligned, self.text_lr = code, margin * bits, aligned, text_lr
        self.weights, self.crop, self.flip = weights, crop, flip
        self.image = SmallResNet(width, blocks, bits)
        self.text = TextBranch(encoder, bits, dropout, width=text_width, layers=text_layers, vocabulary=vocabulary)

    @property
    def given(self) -> str:
        """Labels say who is similar, and pairs too where they may be positives."""
        return "text-photo pairs and labels" if self.aligned else "labels"

    def check_files(self) -> None:
        """The published encoder, and the file of the image network's weights."""
        check_encoder(self.text.encoder)
        if self.weights != "random":
            _weights(self.weights)

    def fit(self, rows: TrainRows) -> None:
        """Learn the vocabulary, or load what others have trained."""
        self.text.prepare(rows.query["text"])
        if self.weights != "random":
            self.image.load_state_dict(_weights(self.weights), strict=False)  # but the last layer

    def players(self) -> list[Player]:
        """One, with a learning rate of its own for texts."""
        groups: list[Any] = [
            {"params": list(self.image.parameters())},
            {"params": list(self.text.parameters()), "lr": self.text_lr},
        ]
        return [Player("hashing", groups, self.loss)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The four triplet terms."""
        text = torch.tanh(self.text(batch.query["text"]))
        image = torch.tanh(self.image(self._seen(batch.gallery["positive"]["image"])))
        similar = share_a_label(batch.tags) if batch.tags is not None else batch.labels[:, None] == batch.labels
        return image_text_triplets(image, text, similar, self.margin, aligned=self.aligned)

    def embed_query(self, rows: Rows) -> Views:
        """The `code` (n, K) of texts."""
        return {"code": self._code(self.text(rows["text"]))}

    def embed_gallery(self, rows: Rows) -> Views:
        """The `code` (n, K) of photos."""
        return {"code": self._code(self.image(self._seen(rows["image"])))}

    def _code(self, outputs: Tensor) -> Tensor:
        return torch.where(outputs >= 0, 1.0, -1.0) if self.code == "binary" else torch.tanh(outputs)

    def _seen(self, images: Tensor) -> Tensor:
        """Pixels (n, S, S, 3) uint8 cropped and normalised to (n, 3, s, s): at random in training, else the centre."""
        count, side = images.shape[:2]
        size = round(side * self.crop)
        corners = torch.full((count, 2), (side - size) // 2)
        if self.training:
            corners = torch.randint(side - size + 1, (count, 2))
        seen = torch.stack(
            [one[y : y + size, x : x + size] for one, (y, x) in zip(images, corners.tolist(), strict=True)]
        )
        if self.training and self.flip:
            turned = torch.rand(count) < 0.5
            seen[turned] = seen[turned].flip(2)
        mean, std = (torch.tensor(values, device=seen.device) for values in (MEAN, STD))
        return ((seen.float() / 255 - mean) / std).permute(0, 3, 1, 2)


class SmallResNet(ResNet):  # type: ignore[misc, unused-ignore]
    """ResNet-18 (He et al. 2016, https://arxiv.org/abs/1512.03385) as torchvision has it, or narrower or shallower.

    `width` is the number of channels of the first of four groups of `blocks` residual blocks each.
    """

    def __init__(self, width: int, blocks: int, out: int) -> None:
        self._width = width  # before torchvision's constructor, which makes the groups
        super().__init__(BasicBlock, [blocks] * 4)
        self.fc = nn.Linear(8 * width, out)

    def _make_layer(self, block: Any, planes: int, *args: Any, **more: Any) -> nn.Sequential:
        made: nn.Sequential = super()._make_layer(block, planes * self._width // WIDTH, *args, **more)
        return made


@lru_cache
def _weights(source: str) -> dict[str, Tensor]:
    """ResNet-18's published weights, or a file's, without the last layer."""
    from sbir.features.weights import load_backbone

    try:
        state = load_backbone("resnet18", source, size=224)[1]
    except OSError as error:
        raise ValueError(f"weights must be random, a file, or imagenet with a connection: {error}") from None
    assert state is not None  # of "random" weights alone
    return {name: torch.tensor(value) for name, value in state.items()}
