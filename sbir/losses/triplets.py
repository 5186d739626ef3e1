"""Triplets of a batch whose items carry several labels each, and the four losses of two modalities on them."""

import torch
from torch import Tensor


def share_a_label(tags: Tensor) -> Tensor:
    """Which items of a batch are similar, multi-hot (B, L) -> (B, B) bool: those with a label in common, and each to
    itself.

    >>> share_a_label(torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0]])).int().tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    tags = tags.float()
    return (tags @ tags.T > 0).fill_diagonal_(True)


def triplet_counts(similar: Tensor, *, aligned: bool) -> Tensor:
    """How often each (anchor, positive, negative) is a triplet of the batch, (B, B) bool -> (B, B, B) float32.

    Every item r of the batch gives triplets: anchor a before positive p among the items similar to r (r included), and
    any negative n among the others. So a and p need not be similar to each other, and one triplet comes from as many
    items as it fits. With `aligned` also a = p, which between two modalities is an item's own counterpart; the source
    never has it (xiami2019, https://github.com/xiami2019/Cross-modal-retrieval).

    >>> similar = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    >>> triplet_counts(similar, aligned=False).nonzero().tolist()
    [[0, 1, 2]]
    >>> int(triplet_counts(similar, aligned=True).sum())  # twice (0, 0, 2), (0, 1, 2), (1, 1, 2); (2, 2, 0), (2, 2, 1)
    8
    """
    near = similar.float()
    size = len(near)
    pairs = (near[:, :, None] * near[:, None, :]).reshape(size, -1)  # R, A·P
    counts = (pairs.T @ (1 - near)).reshape(size, size, size)  # A, P, N
    allowed = torch.ones(size, size, device=near.device).triu(0 if aligned else 1)
    return counts * allowed[:, :, None]


def triplet_mean(anchors: Tensor, others: Tensor, counts: Tensor, margin: float) -> Tensor:
    """Mean over triplets of max(0, d(a, p) - d(a, n) + margin), with squared Euclidean d, codes (B, K) twice -> scalar.

    Row a of `anchors` is compared with rows p and n of `others`, `counts` (B, B, B) times. 0 where there is no triplet.

    >>> codes = torch.tensor([[0.0], [1.0], [3.0]])
    >>> similar = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    >>> triplet_mean(codes, codes, triplet_counts(similar, aligned=False), 10.0).item()  # 1 - 9 + 10
    2.0
    """
    distances = (anchors[:, None] - others).square().sum(2)  # B, B
    losses = (distances[:, :, None] - distances[:, None, :] + margin).relu()  # A, P, N
    return (losses * counts).sum() / counts.sum().clamp(min=1)


def image_text_triplets(
    image: Tensor, text: Tensor, similar: Tensor, margin: float, *, aligned: bool
) -> dict[str, Tensor]:
    """The four losses of image-text hashing, whose sum is minimised, codes (B, K) each: row i of both is one pair.

    Anchors are of the first modality in a term's name, positives and negatives of the second, all on the same triplets
    but for `aligned` pairs, which only two modalities have.
    """
    within = triplet_counts(similar, aligned=False)
    across = triplet_counts(similar, aligned=True) if aligned else within
    return {
        "image_image": triplet_mean(image, image, within, margin),
        "text_text": triplet_mean(text, text, within, margin),
        "image_text": triplet_mean(image, text, across, margin),
        "text_image": triplet_mean(text, image, across, margin),
    }
