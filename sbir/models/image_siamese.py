"""Siamese and triplet networks on images: a branch for sketches, one for photos, and a classifier on top of both."""

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from sbir.losses.ranking import contrastive, euclidean, triplet
from sbir.models.cycle_gan import augmented
from sbir.models.image_networks import ImageNetwork, check_images, check_weights, signed
from sbir.models.method import Method
from sbir.models.settings import PairingSetting, check_choice, check_positive, check_range, resolve_pairing
from sbir.types import Batch, DataSpec, Role, Rows, Sampling, TrainRows, Views


class ImageSiamese(Method):
    """Sketches and photos by their distance in one space of unit length, trained on pairs or triplets and on classes.

    `loss` "contrastive": own photo near, a photo of another class `margin` away; "triplet": own photo nearer than
    another by `margin`. Every branch's output is classified too, by one classifier. View `embedding` (n, D), of unit
    length, by cosine.

    Source: the baselines AN Siamese, GN Siamese and GN Triplet of GDH (J. Zhang et al., ECCV 2018) after P. Sangkloy
    et al., "The Sketchy Database" (SIGGRAPH 2016): AlexNet or GoogLeNet, branches that share no weights, 1024 entries,
    and the classification loss beside the ranking. Not to be verified, and so our defaults: margins, weights, learning
    rates, that distances are of embeddings scaled to unit length (so that a margin means the same in every network,
    and 2 is the largest distance), and whether AN Siamese shares its branches. `negative` "class" is a photo of another
    class; "any" one of another class or, as often, another one of the same class, where the data have pairs.
    """

    query_columns = gallery_columns = ("image",)
    fit_columns = ()

    def __init__(
        self,
        spec: DataSpec,
        *,
        network: str = "googlenet",
        width: int = 64,
        weights: str = "random",
        shared: bool = False,
        latent: int = 1024,
        loss: Literal["contrastive", "triplet"] = "contrastive",
        margin: float = 1.0,
        negative: Literal["class", "any"] = "any",
        class_weight: float = 1.0,
        augment: bool = True,
        pairing: PairingSetting = "auto",
    ) -> None:
        super().__init__()
        check_choice("loss", loss, ("contrastive", "triplet"))
        check_choice("negative", negative, ("class", "any"))
        check_positive(margin=margin)
        check_range(0, 2, margin=margin)
        check_range(0, class_weight=class_weight)
        check_range(1, latent=latent)
        check_weights(network, weights)
        check_images(spec.query["image"], spec.gallery["image"])
        paired = resolve_pairing(pairing, spec)
        negatives: tuple[Role, ...] = ("negative",)
        if negative == "any" and paired == "paired":
            negatives = ("other_instance", "negative")
        self.sampling = Sampling(("positive", *negatives), paired)
        self.margin, self.class_weight, self.augment, self.weights = margin, class_weight, augment, weights
        self.ranking = loss
        self.sketch = _branch(network, width, latent)
        self.photo = self.sketch if shared else _branch(network, width, latent)
        self.classifier = nn.Linear(latent, spec.num_classes) if class_weight else None

    @property
    def given(self) -> str:
        """Negatives are of other classes: labels always."""
        return "sketch-photo pairs and class labels" if self.sampling.pairing == "paired" else "class labels"

    @property
    def pretrained(self) -> str:
        """The branches' weights, by file or name."""
        return next(self._networks()).pretrained(self.weights)

    def check_files(self) -> None:
        """The branches' weights."""
        next(self._networks()).load(self.weights)

    def fit(self, rows: TrainRows) -> None:
        """Begin with the branches' weights; no row is looked at."""
        for network in self._networks():
            network.load(self.weights)

    def _networks(self) -> Iterator[ImageNetwork]:
        return (module for module in self.modules() if isinstance(module, ImageNetwork))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Ranking, averaged over the kinds of negatives, and classes, averaged over the branches' passes."""
        sketch = self.sketch(self._seen(batch.query)).float()
        photos = {role: self.photo(self._seen(rows)).float() for role, rows in batch.gallery.items()}
        near = _distance(sketch, photos["positive"])
        rank = contrastive if self.ranking == "contrastive" else triplet
        far = [rank(near, _distance(sketch, photos[role]), self.margin) for role in self.sampling.roles[1:]]
        terms: dict[str, Tensor] = {self.ranking: sum(far[1:], far[0]) / len(far)}
        if self.classifier is not None:
            seen = [(sketch, batch.labels), *((photos[role], batch.gallery_labels[role]) for role in photos)]
            errors = [functional.cross_entropy(self.classifier(code), labels) for code, labels in seen]
            terms["classes"] = self.class_weight * sum(errors[1:], errors[0]) / len(errors)
        return terms

    def embed_query(self, rows: Rows) -> Views:
        """The `embedding` (n, D) of sketches."""
        return {"embedding": functional.normalize(self.sketch(signed(rows["image"])))}

    def embed_gallery(self, rows: Rows) -> Views:
        """The `embedding` (n, D) of photos."""
        return {"embedding": functional.normalize(self.photo(signed(rows["image"])))}

    def _seen(self, rows: Rows) -> Tensor:
        images = signed(rows["image"])
        return augmented(images) if self.augment else images


def _branch(network: str, width: int, latent: int) -> nn.Sequential:
    features = ImageNetwork(network, width)
    return nn.Sequential(features, nn.Linear(features.out, latent))


def _distance(first: Tensor, second: Tensor) -> Tensor:
    return euclidean(functional.normalize(first), functional.normalize(second))
