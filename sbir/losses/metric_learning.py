"""Losses of deep metric learning: every item of a batch is an anchor, the others of its class are its positives.

Each takes embeddings (B, D) of unit length with their labels (B,) int64 and gives a scalar. P_i and N_i are the
positives (the anchor itself left out) and negatives of anchor i, s a cosine, d a Euclidean distance. Anchors without a
positive or negative add nothing to terms that need one, and still count as one of the B that a mean runs over.
"Deep_Metric" is https://github.com/bnu-wangxun/Deep_metric, whose tables the sweep repeats.
"""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sbir.losses.ranking import triplet

Loss = Callable[[Tensor, Tensor], Tensor]
NEAREST = 1e-4  # distance below which two items count as one: the root has no slope at 0


def contrastive(embeddings: Tensor, labels: Tensor, *, margin: float = 0.5) -> Tensor:
    """Mean over anchors of the sum over P_i of 1 - s plus the sum over N_i with s > margin of s (Deep_Metric).

    On cosines, where Hadsell et al. (CVPR 2006) have squared distances; `margin` is the cosine that negatives may have.

    >>> round(contrastive(torch.tensor([[1., 0.], [.6, .8], [.8, .6]]), torch.tensor([0, 0, 1])).item(), 4)
    1.44
    """
    cosines, positive, negative = _pairs(embeddings, labels)
    near, far = (1 - cosines) * positive, cosines * (negative & (cosines > margin))
    return (near + far).sum() / len(labels)


def semi_hard(embeddings: Tensor, labels: Tensor, *, margin: float = 0.2) -> Tensor:
    """Triplets whose negative is farther than the positive, but by less than the margin, on squared distances.

    Mean of margin + d_ap^2 - d_an^2 over all such triplets of the batch, 0 where there is none. Source: F. Schroff et
    al., "FaceNet" (CVPR 2015, https://arxiv.org/abs/1503.03832), who pick one such negative for each pair; ours is the
    mean over what they may pick. Memory grows with B^3.
    """
    cosines, positive, negative = _pairs(embeddings, labels)
    squares = 2 - 2 * cosines
    size = (len(labels),) * 3  # anchor, positive, negative
    near, far = squares[:, :, None].expand(size), squares[:, None, :].expand(size)
    chosen = positive[:, :, None] & negative[:, None, :] & (near < far) & (far < near + margin)
    if not chosen.any():
        return 0 * squares.sum()
    return triplet(near[chosen], far[chosen], margin)


def lifted_structure(embeddings: Tensor, labels: Tensor, *, margin: float = 1.0) -> Tensor:
    """Every pair of one class against all negatives of both: sum over pairs of max(0, J)^2, halved, over their number.

    J = log(sum over N_i of exp(margin - d_in) + sum over N_j of exp(margin - d_jn)) + d_ij. Source: H. O. Song et al.,
    "Deep Metric Learning via Lifted Structured Feature Embedding" (CVPR 2016, https://arxiv.org/abs/1511.06452), who
    do not normalise embeddings.
    """
    cosines, positive, negative = _pairs(embeddings, labels)
    distances = _distances(cosines)
    far = _log_sum(margin - distances, negative)
    violated = (torch.logaddexp(far[:, None], far[None]) + distances).relu()
    return (violated.square() * positive).sum() / (2 * positive.sum().clamp(min=1))


def lifted_similarity(
    embeddings: Tensor,
    labels: Tensor,
    *,
    positive_scale: float = 2.0,
    negative_scale: float = 40.0,
    mining: float | None = None,
) -> Tensor:
    """Mean over anchors of 2/β log(sum over P_i of exp(-βs)) + 2/α log(sum over N_i of exp(αs)), β and α the scales.

    "Lifted*" of Deep_Metric: no hinge and no margin. With `mining` ε, negatives stay with s + ε above the least
    positive's s, positives with s - ε below the greatest negative's.
    """
    cosines, positive, negative = _mined(*_pairs(embeddings, labels), mining)
    both = positive.any(1) & negative.any(1)
    near = _log_sum(-positive_scale * cosines, positive) * 2 / positive_scale
    far = _log_sum(negative_scale * cosines, negative) * 2 / negative_scale
    return torch.where(both, near + far, 0).sum() / len(labels)


def binomial_deviance(
    embeddings: Tensor,
    labels: Tensor,
    *,
    positive_scale: float = 2.0,
    negative_scale: float = 40.0,
    threshold: float = 0.5,
) -> Tensor:
    """Mean over anchors of the mean over P_i of log(1 + exp(-β(s - λ))) plus that over N_i of log(1 + exp(α(s - λ))).

    β and α are the scales, λ the threshold. Source: Deep_Metric, after D. Yi et al., "Deep Metric Learning for Person
    Re-Identification" (ICPR 2014, https://arxiv.org/abs/1407.4979).
    """
    cosines, positive, negative = _pairs(embeddings, labels)
    near = functional.softplus(-positive_scale * (cosines - threshold))
    far = functional.softplus(negative_scale * (cosines - threshold))
    return (_mean(near, positive) + _mean(far, negative)).mean()


def nca(embeddings: Tensor, labels: Tensor, *, scale: float = 16.0, neighbours: int = 32) -> Tensor:
    """Mean over anchors of -log(share of P_i in the sum of exp(-scale · d) over the nearest `neighbours` items).

    Where no positive is among them, the nearest one joins. Source: J. Goldberger et al., "Neighbourhood Components
    Analysis" (NIPS 2004) on Euclidean distances, as a fork of Deep_Metric has it (its own file computes something
    else: it takes similarities for distances).
    """
    cosines, positive, negative = _pairs(embeddings, labels)
    distances = _distances(cosines)
    others = distances.detach().masked_fill(~(positive | negative), torch.inf)
    within = others <= others.sort(1).values[:, [min(neighbours, len(labels) - 1) - 1]]
    nearest = others == others.masked_fill(negative, torch.inf).amin(1, keepdim=True)
    seen = positive & torch.where((positive & within).any(1, keepdim=True), within, nearest)
    whole = seen | (negative & within)
    losses = _log_sum(-scale * distances, whole) - _log_sum(-scale * distances, seen)
    return torch.where(seen.any(1), losses, 0).sum() / len(labels)


def multi_similarity(
    embeddings: Tensor,
    labels: Tensor,
    *,
    positive_scale: float = 2.0,
    negative_scale: float = 40.0,
    threshold: float = 0.5,
    mining: float | None = 0.1,
) -> Tensor:
    """Mean over anchors of 1/β log(1 + sum over P_i of exp(-β(s - λ))) + 1/α log(1 + sum over N_i of exp(α(s - λ))).

    β and α are the scales, λ the threshold, `mining` as in `lifted_similarity`. Source: X. Wang et al.,
    "Multi-Similarity Loss" (CVPR 2019, https://arxiv.org/abs/1904.06627), with the settings of the authors' code.
    """
    cosines, positive, negative = _mined(*_pairs(embeddings, labels), mining)
    near = functional.softplus(_log_sum(-positive_scale * (cosines - threshold), positive)) / positive_scale
    far = functional.softplus(_log_sum(negative_scale * (cosines - threshold), negative)) / negative_scale
    return (near + far).mean()


def weight(
    embeddings: Tensor,
    labels: Tensor,
    *,
    positive_scale: float = 2.0,
    negative_scale: float = 40.0,
    threshold: float = 0.5,
    mining: float | None = None,
) -> Tensor:
    """Deep_Metric's own loss, "Weight": twice the multi-similarity loss, by default without its mining."""
    scales = {"positive_scale": positive_scale, "negative_scale": negative_scale}
    return 2 * multi_similarity(embeddings, labels, **scales, threshold=threshold, mining=mining)


class Margin(nn.Module):
    """Distance-weighted sampling and the margin loss, with a boundary for each class that is learnt.

    Every anchor has one random positive and one negative, drawn as often as its distance is rare among uniform points
    of the sphere: probability ~ 1 / q(d), log q(d) = (D - 2) log d + (D - 3)/2 log(1 - d^2/4), no d taken below
    `cutoff`, none beyond `farthest` (uniform where all are). Loss: max(0, d_ap - boundary + margin) + max(0, boundary -
    d_an + margin), summed and divided by the number of terms above 0. Source: C.-Y. Wu et al., "Sampling Matters in
    Deep Embedding Learning" (ICCV 2017, https://arxiv.org/abs/1706.07567), without their regulariser of the boundary,
    whose weight is 0; an anchor there has a negative for each of its positives.
    """

    def __init__(
        self,
        num_classes: int,
        width: int,
        *,
        margin: float = 0.2,
        boundary: float = 1.2,
        cutoff: float = 0.5,
        farthest: float = 1.4,
    ) -> None:
        super().__init__()
        self.margin, self.cutoff, self.farthest, self.width = margin, cutoff, farthest, width
        self.boundary = nn.Parameter(torch.full((num_classes,), boundary))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (B, D) and labels (B,) -> scalar; draws from torch's generator."""
        cosines, positive, negative = _pairs(embeddings, labels)
        distances = _distances(cosines)
        anchors = (positive.any(1) & negative.any(1)).nonzero()[:, 0]
        if not len(anchors):
            return 0 * (distances.sum() + self.boundary.sum())
        chances = self.chances(distances.detach(), negative)[anchors]
        near = distances[anchors, torch.multinomial(positive[anchors].to(chances), 1)[:, 0]]
        far = distances[anchors, torch.multinomial(chances, 1)[:, 0]]
        boundary = self.boundary[labels[anchors]]
        terms = torch.cat([near - boundary, boundary - far]) + self.margin
        return terms.relu().sum() / (terms > 0).sum().clamp(min=1)

    def chances(self, distances: Tensor, negative: Tensor) -> Tensor:
        """How likely each item is drawn as the negative of each anchor, (B, B) up to a factor per row."""
        clipped = distances.clamp(min=self.cutoff)
        room = (1 - clipped.square() / 4).clamp(min=NEAREST)
        logs = (2 - self.width) * clipped.log() - (self.width - 3) / 2 * room.log()
        allowed = negative & (distances < self.farthest)
        allowed = torch.where(allowed.any(1, keepdim=True), allowed, negative)
        logs = torch.where(distances < self.farthest, logs, 0).masked_fill(~allowed, -torch.inf)
        return (logs - logs.amax(1, keepdim=True)).exp().nan_to_num()


class ProxyNCA(nn.Module):
    """A learnt proxy for each class: mean of -log(exp(-t·d_own^2) / sum over the other proxies of exp(-t·d^2)).

    Distances are between embeddings and proxies of unit length, t is `scale`. Source: Y. Movshovitz-Attias et al., "No
    Fuss Distance Metric Learning using Proxies" (ICCV 2017, https://arxiv.org/abs/1703.07464), whose sum leaves out
    the own proxy, so that the loss can be negative.
    """

    def __init__(self, num_classes: int, width: int, *, scale: float = 1.0) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"ProxyNCA needs at least 2 training classes, got {num_classes}; add classes to train")
        self.scale = scale
        self.proxies = nn.Parameter(torch.randn(num_classes, width))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (B, D) and labels (B,) -> scalar."""
        squares = 2 - 2 * embeddings @ functional.normalize(self.proxies).T  # B, C
        own = functional.one_hot(labels, len(self.proxies)).bool()
        return (self.scale * squares[own] + _log_sum(-self.scale * squares, ~own)).mean()


LOSSES: Mapping[str, Any] = {
    "contrastive": contrastive,
    "semi_hard": semi_hard,
    "lifted_structure": lifted_structure,
    "lifted_similarity": lifted_similarity,
    "binomial_deviance": binomial_deviance,
    "margin": Margin,
    "nca": nca,
    "weight": weight,
    "multi_similarity": multi_similarity,
    "proxy_nca": ProxyNCA,
}


def loss_settings(name: str) -> dict[str, Any]:
    """The settings of a loss, with their defaults.

    >>> loss_settings("nca")
    {'scale': 16.0, 'neighbours': 32}
    """
    parameters = signature(LOSSES[name]).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def make_loss(name: str, num_classes: int, width: int, **settings: Any) -> Loss:
    """A loss by name: a module where it has parameters of its own, for embeddings of `width` entries."""
    made = LOSSES[name]
    loss: Loss = made(num_classes, width, **settings) if isinstance(made, type) else partial(made, **settings)
    return loss


def _pairs(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines (B, B), and which pairs are of one class (an item and itself is not) and which are not, (B, B) bool."""
    same = labels[:, None] == labels
    return embeddings @ embeddings.T, same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same


def _mined(cosines: Tensor, positive: Tensor, negative: Tensor, mining: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """Only pairs that are hard beside another pair of their anchor; with `mining` None all of them."""
    if mining is None:
        return cosines, positive, negative
    seen = cosines.detach()
    least = seen.masked_fill(~positive, torch.inf).amin(1, keepdim=True)
    greatest = seen.masked_fill(~negative, -torch.inf).amax(1, keepdim=True)
    return cosines, positive & (seen - mining < greatest), negative & (seen + mining > least)


def _distances(cosines: Tensor) -> Tensor:
    """Euclidean distances of unit vectors."""
    return (2 - 2 * cosines).clamp(min=NEAREST**2).sqrt()


def _log_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Row-wise log of the sum of exp over what the mask shows, (B, n) -> (B,); hugely negative where it shows none."""
    return values.masked_fill(~mask, -1e4).logsumexp(1)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Row-wise mean over what the mask shows, 0 where it shows none."""
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)
