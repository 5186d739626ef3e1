"""Losses of deep metric learning against their equations as loops, and against pytorch-metric-learning."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import Tensor
from torch.nn import functional

from sbir.losses.metric_learning import LOSSES, Margin, ProxyNCA, loss_settings, make_loss

WIDTH, CLASSES = 6, 5
Pair = tuple[Tensor, Tensor]


def batch(seed: int, spread: float = 0.7, counts: tuple[int, ...] = (4, 4, 3, 2, 1)) -> Pair:
    """Unit vectors around class means, in double precision and a random order; the last class has one item."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    means = torch.randn(len(counts), WIDTH, generator=generator, dtype=torch.float64)
    noise = spread * torch.randn(len(labels), WIDTH, generator=generator, dtype=torch.float64)
    return functional.normalize(means[labels] + noise), labels


def rows(pair: Pair) -> Iterator[tuple[list[float], list[float]]]:
    """Cosines of every anchor's positives and negatives."""
    embeddings, labels = pair
    for i, anchor in enumerate(embeddings):
        others = [(float(anchor @ embeddings[j]), bool(labels[j] == labels[i])) for j in range(len(labels)) if j != i]
        yield [s for s, same in others if same], [s for s, same in others if not same]


def mined(near: list[float], far: list[float], mining: float | None) -> tuple[list[float], list[float]]:
    if mining is None:
        return near, far
    return (
        [s for s in near if far and s - mining < max(far)],
        [s for s in far if near and s + mining > min(near)],
    )


def exp_sum(scale: float, cosines: list[float], threshold: float = 0.0) -> float:
    return sum(math.exp(scale * (s - threshold)) for s in cosines)


def slow_contrastive(pair: Pair, margin: float = 0.5) -> float:
    return sum(sum(1 - s for s in near) + sum(s for s in far if s > margin) for near, far in rows(pair))


def slow_lifted_similarity(pair: Pair, mining: float | None = None) -> float:
    total = 0.0
    for row in rows(pair):
        near, far = mined(*row, mining)
        if near and far:
            total += math.log(exp_sum(-2, near)) + 2 / 40 * math.log(exp_sum(40, far))
    return total


def slow_binomial_deviance(pair: Pair) -> float:
    total = 0.0
    for near, far in rows(pair):
        total += sum(math.log(1 + math.exp(-2 * (s - 0.5))) for s in near) / max(len(near), 1)
        total += sum(math.log(1 + math.exp(40 * (s - 0.5))) for s in far) / max(len(far), 1)
    return total


def slow_multi_similarity(pair: Pair, mining: float | None = 0.1) -> float:
    total = 0.0
    for row in rows(pair):
        near, far = mined(*row, mining)
        total += math.log(1 + exp_sum(-2, near, 0.5)) / 2 + math.log(1 + exp_sum(40, far, 0.5)) / 40
    return total


def slow_nca(pair: Pair, neighbours: int = 32) -> float:
    embeddings, labels = pair
    total = 0.0
    for i in range(len(labels)):
        found = sorted((float((embeddings[i] - embeddings[j]).norm()), j) for j in range(len(labels)) if j != i)
        near = [d for d, j in found[:neighbours] if labels[j] == labels[i]]
        near = near or [d for d, j in found if labels[j] == labels[i]][:1]
        far = [d for d, j in found[:neighbours] if labels[j] != labels[i]]
        if near:
            own, every = (sum(math.exp(-16 * d) for d in some) for some in (near, near + far))
            total -= math.log(own / every)
    return total


def slow_semi_hard(pair: Pair, margin: float = 0.2) -> float:
    embeddings, labels = pair
    found, every = [], range(len(labels))
    for a in every:
        for p in (j for j in every if j != a and labels[j] == labels[a]):
            for n in (j for j in every if labels[j] != labels[a]):
                near, far = (float((embeddings[a] - embeddings[j]).square().sum()) for j in (p, n))
                if near < far < near + margin:
                    found.append(near - far + margin)
    return len(labels) * sum(found) / len(found)


def slow_lifted_structure(pair: Pair, margin: float = 1.0) -> float:
    embeddings, labels = pair
    every, terms = range(len(labels)), []
    for i in every:
        for j in (j for j in every if j > i and labels[j] == labels[i]):
            far = 0.0
            for end in (i, j):
                others = [k for k in every if labels[k] != labels[i]]
                far += sum(math.exp(margin - float((embeddings[end] - embeddings[k]).norm())) for k in others)
            terms.append(max(0.0, math.log(far) + float((embeddings[i] - embeddings[j]).norm())) ** 2)
    return len(labels) * sum(terms) / (2 * len(terms))


SLOW: list[tuple[str, dict[str, Any], Callable[[Pair], float]]] = [
    ("contrastive", {}, slow_contrastive),
    ("contrastive", {"margin": 0.2}, lambda pair: slow_contrastive(pair, 0.2)),
    ("semi_hard", {}, slow_semi_hard),
    ("lifted_structure", {}, slow_lifted_structure),
    ("lifted_similarity", {}, slow_lifted_similarity),
    ("lifted_similarity", {"mining": 0.1}, lambda pair: slow_lifted_similarity(pair, 0.1)),
    ("binomial_deviance", {}, slow_binomial_deviance),
    ("nca", {}, slow_nca),
    ("nca", {"neighbours": 3}, lambda pair: slow_nca(pair, 3)),
    ("multi_similarity", {}, slow_multi_similarity),
    ("multi_similarity", {"mining": None}, lambda pair: slow_multi_similarity(pair, None)),
    ("weight", {}, lambda pair: 2 * slow_multi_similarity(pair, None)),
]


@pytest.mark.parametrize(("name", "settings", "slow"), SLOW, ids=lambda value: value if isinstance(value, str) else "")
def test_a_loss_is_its_equation(name: str, settings: dict[str, Any], slow: Callable[[Pair], float]) -> None:
    for seed in range(3):
        pair = batch(seed)
        fast = make_loss(name, CLASSES, WIDTH, **settings)(*pair)
        assert fast.item() == pytest.approx(slow(pair) / len(pair[1]), rel=1e-6)


def test_the_sample_has_what_mining_and_neighbours_leave_out() -> None:
    """Otherwise the equations above would hold for losses that ignore these settings."""
    pair = batch(0)
    for name, changed in (("nca", {"neighbours": 3}), ("lifted_similarity", {"mining": 0.1})):
        plain, other = (make_loss(name, CLASSES, WIDTH, **settings)(*pair) for settings in ({}, changed))
        assert plain.item() != pytest.approx(other.item(), rel=1e-3)


def euclidean(power: int = 1) -> distances.LpDistance:
    return distances.LpDistance(normalize_embeddings=True, p=2, power=power)


def peer_sum(loss: Any, pair: Pair, pairs: Any = None) -> float:
    return float(loss(*pair, pairs).detach())


def test_contrastive_is_the_peers_sum_of_pairs_up_to_a_constant_a_pair() -> None:
    pair = batch(0)
    peer = losses.ContrastiveLoss(
        pos_margin=1, neg_margin=0.5, distance=distances.CosineSimilarity(), reducer=reducers.SumReducer()
    )
    active = sum(s > 0.5 for _, far in rows(pair) for s in far)
    assert active
    ours = make_loss("contrastive", CLASSES, WIDTH)(*pair).item()
    assert len(pair[1]) * ours == pytest.approx(peer_sum(peer, pair) + 0.5 * active, rel=1e-6)


def test_semi_hard_is_the_peers_mean_over_its_semi_hard_triplets() -> None:
    pair, distance = batch(0), euclidean(power=2)
    found = miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard", distance=distance)(*pair)
    peer = losses.TripletMarginLoss(margin=0.2, distance=distance, reducer=reducers.MeanReducer())
    assert make_loss("semi_hard", CLASSES, WIDTH)(*pair).item() == pytest.approx(peer_sum(peer, pair, found), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "peer"),
    [
        ("lifted_structure", {}, losses.LiftedStructureLoss(neg_margin=1, pos_margin=0, distance=euclidean())),
        ("nca", {}, losses.NCALoss(softmax_scale=16, distance=euclidean(), reducer=reducers.SumReducer())),
        ("multi_similarity", {"mining": None}, losses.MultiSimilarityLoss(alpha=2, beta=40, base=0.5)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_loss_is_its_peer(name: str, settings: dict[str, Any], peer: Any) -> None:
    for seed in range(3):
        pair = batch(seed)
        ours = make_loss(name, CLASSES, WIDTH, **settings)(*pair).item()
        count = len(pair[1]) if isinstance(peer.reducer, reducers.SumReducer) else 1
        assert count * ours == pytest.approx(peer_sum(peer, pair), rel=1e-5)


def test_mining_is_the_peers() -> None:
    pair = batch(1)
    found = miners.MultiSimilarityMiner(epsilon=0.1)(*pair)
    peer = losses.MultiSimilarityLoss(alpha=2, beta=40, base=0.5)
    ours = make_loss("multi_similarity", CLASSES, WIDTH)(*pair).item()
    assert ours == pytest.approx(peer_sum(peer, pair, found), rel=1e-6)


def test_margin_is_its_equation_on_the_triplets_it_draws_and_the_peers() -> None:
    """A class of two and one of one: every positive is sure, and negatives are made sure by the cutoff."""
    points = functional.normalize(torch.tensor([[1.0, 0.1, 0], [1, -0.1, 0], [0.6, 0.8, 0], [-1, 0, 0.2]]).double())
    labels = torch.tensor([0, 0, 1, 2])
    loss = Margin(3, 3).double()
    loss.boundary.data.copy_(torch.tensor([0.3, 1.2, 1.2]))
    near = float((points[0] - points[1]).norm())
    far = [float((points[anchor] - points[2]).norm()) for anchor in (0, 1)]  # the other is beyond 1.4
    terms = [near - 0.3 + 0.2] * 2 + [0.3 - d + 0.2 for d in far]
    active = [term for term in terms if term > 0]
    assert loss(points, labels).item() == pytest.approx(sum(active) / len(active))
    peer = losses.MarginLoss(margin=0.2, nu=0, beta=0.3, distance=euclidean())
    triplets = (torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([2, 2]))
    assert loss(points, labels).item() == pytest.approx(peer_sum(peer, (points, labels), triplets))
    loss(points, labels).backward()
    assert loss.boundary.grad is not None
    assert loss.boundary.grad[0] != 0


def test_margin_draws_negatives_as_rarely_as_their_distance_is_common() -> None:
    embeddings, labels = batch(2, spread=2.0, counts=(6, 6, 6))
    distance = torch.cdist(embeddings, embeddings)
    ours = Margin(3, WIDTH).chances(distance, labels[:, None] != labels)
    for i, row in enumerate(distance.tolist()):
        rare = [
            (max(d, 0.5) ** (WIDTH - 2) * (1 - max(d, 0.5) ** 2 / 4) ** ((WIDTH - 3) / 2)) ** -1
            if labels[i] != label and d < 1.4
            else 0.0
            for d, label in zip(row, labels, strict=True)
        ]
        assert (ours[i] / ours[i].sum()).tolist() == pytest.approx([one / sum(rare) for one in rare])


def test_margin_draws_from_all_negatives_where_all_are_far() -> None:
    points = functional.normalize(torch.tensor([[1.0, 0, 0], [1, 0.01, 0], [-1, 0, 0.1], [-1, 0.1, 0]]))
    labels = torch.tensor([0, 0, 1, 1])
    chances = Margin(2, 3).chances(torch.cdist(points, points), labels[:, None] != labels)
    assert (chances / chances.sum(1, keepdim=True)).tolist() == [[0, 0, 0.5, 0.5]] * 2 + [[0.5, 0.5, 0, 0]] * 2


def test_proxy_nca_is_its_equation_and_the_peers_without_the_own_proxy() -> None:
    embeddings, labels = batch(3)
    loss = ProxyNCA(CLASSES, WIDTH, scale=3.0).double()
    proxies = functional.normalize(loss.proxies.detach())
    total, with_own = 0.0, 0.0
    for one, label in zip(embeddings, labels.tolist(), strict=True):
        kernels = [math.exp(-3 * float((one - proxy).square().sum())) for proxy in proxies]
        total -= math.log(kernels[label] / (sum(kernels) - kernels[label])) / len(labels)
        with_own -= math.log(kernels[label] / sum(kernels)) / len(labels)
    assert loss(embeddings, labels).item() == pytest.approx(total, rel=1e-6)
    peer = losses.ProxyNCALoss(CLASSES, WIDTH, softmax_scale=3)
    peer.proxies.data.copy_(loss.proxies.data)
    peer.double()
    assert peer_sum(peer, (embeddings, labels)) == pytest.approx(with_own, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_with_duplicates_one_class_and_lonely_items_and_training_pulls_classes_together(
    name: str,
) -> None:
    torch.manual_seed(0)
    points, _ = batch(4, counts=(8,))
    for labels in (torch.zeros(8), torch.arange(8), torch.tensor([0, 0, 0, 0, 1, 1, 1, 2])):
        free = torch.cat([points[:1].repeat(3, 1), points[3:]]).float().requires_grad_()
        loss = make_loss(name, 8, WIDTH)
        loss(functional.normalize(free), labels.long()).backward()  # type: ignore[no-untyped-call]
        assert free.grad is not None
        assert free.grad.isfinite().all()
    embeddings, labels = batch(5, spread=2.0, counts=(5, 5, 5))
    free, loss = embeddings.float().requires_grad_(), make_loss(name, 3, WIDTH)
    more = list(loss.parameters()) if isinstance(loss, torch.nn.Module) else []
    optimizer = torch.optim.Adam([free, *more], lr=0.02)
    before = gap(free, labels)
    for _ in range(150):
        optimizer.zero_grad()
        loss(functional.normalize(free), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert gap(free, labels) > before + 0.2


def gap(points: Tensor, labels: Tensor) -> float:
    """Mean cosine within classes less that between them."""
    unit = functional.normalize(points.detach())
    same = labels[:, None] == labels
    cosines = unit @ unit.T
    return float(cosines[same & ~torch.eye(len(labels)).bool()].mean() - cosines[~same].mean())


def test_settings_are_the_losses_own() -> None:
    assert loss_settings("margin") == {"margin": 0.2, "boundary": 1.2, "cutoff": 0.5, "farthest": 1.4}
    with pytest.raises(ValueError, match="at least 2 training classes, got 1"):
        make_loss("proxy_nca", 1, WIDTH)
