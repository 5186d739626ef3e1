"""Terms of variational auto-encoders."""

from torch import Tensor
from torch.nn import functional

ACTIVE = 0.01  # variance of the mean over a batch above which a latent unit counts as active (Burda et al. 2016)


def kl_to_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, I)) in nats: summed over the units, averaged over the batch.

    (B, D) each -> scalar. Kingma and Welling 2014 (https://arxiv.org/abs/1312.6114), appendix B.

    >>> import torch
    >>> kl_to_standard_normal(torch.ones(4, 2), torch.zeros(4, 2)).item()
    1.0
    """
    return 0.5 * (logvar.exp() + mean.square() - 1 - logvar).sum(1).mean()


def num_active_units(mean: Tensor) -> Tensor:
    """How many latent units vary with the input: variance of their mean above 0.01; (B, D) -> scalar.

    Burda, Grosse, Salakhutdinov 2016 (https://arxiv.org/abs/1509.00519), over a batch instead of a data set.

    >>> import torch
    >>> num_active_units(torch.tensor([[0.0, 1.0, 0.00], [1.0, 1.0, 0.01]])).item()  # only the first one moves
    1
    """
    return (mean.var(0) > ACTIVE).sum()


def cosine_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Mean cosine between two codes of the same item, (B, D) each -> scalar: minimised, it keeps them apart.

    >>> import torch
    >>> cosine_overlap(torch.tensor([[1., 0.]]), torch.tensor([[1., 1.]])).item()  # 45 degrees
    0.7071067690849304
    """
    return functional.cosine_similarity(first, second, dim=1).mean()
