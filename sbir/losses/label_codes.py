"""Binary codes that labels prescribe: the closed-form steps of discrete hashing, and what a network is to make of them.

Source: J. Zhang, F. Shen, L. Liu et al., "Generative Domain-Migration Hashing for Sketch-to-Image Retrieval" (ECCV
2018) and its released code; the two steps are those of supervised discrete hashing (F. Shen et al., CVPR 2015).
Labels Y (n, C) are one-hot, codes B (n, K) are signs, and D (C, K) projects labels to codes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def label_projection(codes: Sequence[Tensor], labels: Sequence[Tensor], num_classes: int) -> Tensor:
    """The D-step: D (C, K) of least sum over sides of |B - Y D|² plus |D|², codes (n, K) and labels (n,) of each side.

    With Y_i of side i it is (sum Y_iᵀY_i + I)⁻¹ sum Y_iᵀB_i; where both sides have the same labels, as in the source,
    (2 YᵀY + I)⁻¹ Yᵀ(B_I + B_S). Y is one-hot, so the matrix is diagonal: each class's sum over one plus its count.

    >>> label_projection([torch.tensor([[1.0], [1.0], [-1.0]])], [torch.tensor([0, 0, 1])], 3).tolist()
    [[0.6666666865348816], [-0.5], [0.0]]
    """
    every, which = torch.cat(list(codes)), torch.cat(list(labels))
    sums = torch.zeros(num_classes, every.shape[1], device=every.device).index_add_(0, which, every.float())
    return sums / (1 + torch.bincount(which, minlength=num_classes))[:, None]


def nearest_codes(outputs: Tensor, labels: Tensor, projection: Tensor, weight: float) -> Tensor:
    """The B-step: signs B (n, K) of least |B - Y D|² + weight |B - H|², for outputs H (n, K): sign(Y D + weight H).

    A zero counts as positive.

    >>> nearest_codes(torch.tensor([[9.0, -9.0]]), torch.tensor([0]), torch.tensor([[-0.1, 0.0]]), 1e-5).tolist()
    [[-1.0, -1.0]]
    """
    return torch.where(projection[labels] + weight * outputs >= 0, 1.0, -1.0)


def discrete_objective(
    codes: Sequence[Tensor], outputs: Sequence[Tensor], labels: Sequence[Tensor], projection: Tensor, weight: float
) -> Tensor:
    """What both closed-form steps lower: |D|² plus, over sides, |B - Y D|² + weight |B - H|² -> scalar."""
    sides = zip(codes, outputs, labels, strict=True)
    errors = [
        (code - projection[which]).square().sum() + weight * (code - out).square().sum() for code, out, which in sides
    ]
    return projection.square().sum() + torch.stack(errors).sum()


def code_error(outputs: Tensor, codes: Tensor) -> Tensor:
    """The F-step's quantisation: squared distance of outputs (B, K) to their codes, summed over bits, mean -> scalar.

    >>> code_error(torch.tensor([[0.5, 0.0], [1.0, 1.0]]), torch.ones(2, 2)).item()  # (0.25 + 1 + 0) / 2
    0.625
    """
    return (outputs - codes).square().sum(1).mean()


def instance_triplet(photo: Tensor, sketch: Tensor, other: Tensor, margin: float) -> Tensor:
    """Fine-grained triplet: mean of max(0, margin + |H(I_i) - H(S_i)|² - |H(I_i) - H(S_k)|²) -> scalar.

    Outputs of photos and of their sketches, (B, K) each; `other` (B,) is the row k of each, -1 where there is none
    (its term is 0).

    >>> photo, sketch = torch.tensor([[0.0], [3.0]]), torch.tensor([[1.0], [3.0]])
    >>> instance_triplet(photo, sketch, torch.tensor([1, -1]), 20.0).item()  # (20 + 1 - 9) / 2
    6.0
    """
    near = (photo - sketch).square().sum(1)
    far = (photo - sketch[other.clamp(min=0)]).square().sum(1)
    return ((margin + near - far).relu() * (other >= 0)).mean()


def other_instance(instances: Tensor) -> Tensor:
    """For each row a random row of another instance, -1 where the batch has none; unknown instances (-1) all differ.

    (B,) int64 -> (B,) int64.

    >>> other_instance(torch.tensor([4, 4, 7]))[:2].tolist(), other_instance(torch.tensor([4, 4])).tolist()
    ([2, 2], [-1, -1])
    """
    same = (instances[:, None] == instances) & (instances >= 0)[:, None]
    same |= torch.eye(len(instances), dtype=torch.bool, device=instances.device)
    drawn = torch.rand(same.shape, device=instances.device).masked_fill(same, -1.0)
    best = drawn.max(1)
    return torch.where(best.values >= 0, best.indices, -1)


def cycle_error(again: Tensor, image: Tensor) -> Tensor:
    """Mean absolute difference of what came back to what went in, (B, 3, S, S) each -> scalar.

    Source: J.-Y. Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks" (ICCV
    2017, https://arxiv.org/abs/1703.10593).
    """
    return functional.l1_loss(again, image)
