"""A GPU's rules on a machine without one: tensors that say they lie elsewhere, and refuse what a GPU would refuse.

Values are real and computed on the CPU, so figures can be compared. An operation on tensors of both places raises as
CUDA's does; numbers without dimensions, indices and copies may come from the CPU. What a host would have to wait for is
noted. The other place is called "meta", for which torch needs no driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

OTHER = torch.device("meta")
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
WAITED = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "bincount", "equal"}


class Elsewhere(Tensor):
    """A tensor whose values lie in `held`, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Elsewhere":
        made: Elsewhere = Tensor._make_wrapper_subclass(
            cls, inner.size(), inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=OTHER
        )
        made.held = inner
        return made

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any) -> Any:
        raise RuntimeError(f"{func} of another device outside of `other_device`")


class _MadeThere(TorchFunctionMode):
    """`torch.tensor` asks no dispatcher: what it makes is moved."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.tensor and kwargs.get("device") is not None:
            return func(*args, **{**kwargs, "device": None}).to(kwargs["device"])
        return func(*args, **kwargs)


class Rules(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What an operation does and is refused; `waits` are those that a host would have waited for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [one for one in tensors if isinstance(one, Elsewhere)]
        here = [one for one in tensors if not isinstance(one, Elsewhere) and one.dim()]
        copying = func in COPIES or (func in INDEXED and isinstance(args[0], Elsewhere))
        if there and here and not copying:
            raise RuntimeError(f"{func} got tensors of both devices")
        wanted = kwargs.get("device")
        away = bool(there) if wanted is None else torch.device(wanted) == OTHER
        if func is aten.copy_.default:
            away = isinstance(args[0], Elsewhere)
        self._note(func, bool(there), bool(here), away, tensors)
        inner_args, inner_kwargs = tree_map(_inner, (args, kwargs))
        result = func(*inner_args, **(inner_kwargs if wanted is None else inner_kwargs | {"device": "cpu"}))
        if torch.Tag.inplace_view in func.tags:
            with no_dispatch():
                func(*args, **kwargs)  # the shape that is seen
        owners = {id(one.held): one for one in there}  # of operations in place

        def outer(value: Any) -> Any:
            if id(value) in owners:
                return owners[id(value)]
            return Elsewhere(value) if away and isinstance(value, Tensor) else value

        return tree_map(outer, result)

    def _note(self, func: Any, there: bool, here: bool, away: bool, tensors: list[Tensor]) -> None:
        name = func.overloadpacket.__name__
        masked = func in INDEXED and any(one.dtype in (torch.bool, torch.uint8) for one in tensors[1:])
        crossing = func in COPIES and (here if away else there)
        if (there and (name in WAITED or masked)) or crossing or (there and here):
            self.waits.append(str(func))


@contextmanager
def other_device() -> Iterator[Rules]:
    """Within it, `meta` is the other place."""
    with _MadeThere(), Rules() as rules:
        yield rules


def _inner(value: Any) -> Any:
    return value.held if isinstance(value, Elsewhere) else value
