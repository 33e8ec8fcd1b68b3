"""Refuses parameter lists that cannot be trained, before anything is made of them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from thalweg.errors import BadType, BadValue
from thalweg.kernels.shard import refuse_pending


def materialized(params: Any) -> Any:
    """Turn iterators into lists, and refuse what holds no parameters."""
    if isinstance(params, Tensor):
        raise BadType("params is one tensor; expected an iterable of tensors, such as [tensor].")
    _refuse_set(params)
    if isinstance(params, Mapping):
        raise BadType("params is a dict; expected a list, of groups such as [{'params': ...}].")
    try:
        groups = list(params)
    except TypeError as error:
        raise BadType(
            f"params is {type(params).__name__}; expected an iterable of tensors or groups, such "
            "as model.parameters()."
        ) from error
    if not groups:
        raise BadValue(
            "the parameter list is empty. If it came from an iterator, such as "
            "model.parameters() saved in a variable, it may have been used up already."
        )
    return groups


def _refuse_set(params: Any) -> None:
    if isinstance(params, (set, frozenset)):
        raise BadType("params is a set, whose order changes between runs; expected a list.")


def tensors_in(entries: list) -> list[Tensor]:
    """Return the tensors among *entries*, which may be pairs of a name and a tensor."""
    return [each[1] if isinstance(each, tuple) else each for each in entries]


def checked_parameters(group: Mapping[str, Any]) -> list:
    """Return a group's parameters as a list; each of real or complex numbers, none twice.

    Each is a leaf, or keeps its gradient, unless the group is differentiable.
    """
    if "params" not in group:
        raise BadValue(f"the group {{{', '.join(group)}}} has no 'params'; give it a list of them.")
    params = group["params"]
    _refuse_set(params)
    entries = [params] if isinstance(params, Tensor) else list(params)
    seen: set[int] = set()
    for position, p in enumerate(tensors_in(entries)):
        if not isinstance(p, Tensor):
            raise BadType(f"params[{position}] is {type(p).__name__}; expected a tensor.")
        if not (p.is_floating_point() or p.is_complex()):
            raise BadType(
                f"params[{position}] has dtype {p.dtype}; only floating-point tensors can descend. "
                "Leave it out, or convert it with .float()."
            )
        if p.is_sparse:
            raise BadType(
                f"params[{position}] (shape {tuple(p.shape)}) is a sparse tensor; expected a dense "
                "one, such as its to_dense(). Only gradients may be sparse."
            )
        if not (p.is_leaf or p.retains_grad or group.get("differentiable")):
            raise BadValue(
                f"params[{position}] (shape {tuple(p.shape)}) is computed from other tensors, so "
                "its gradient is not kept. Pass what it is computed from, or a detached copy."
            )
        refuse_pending(p)
        if id(p) in seen:
            raise BadValue(
                f"params[{position}] (shape {tuple(p.shape)}) is in the list twice, so it would be "
                "updated twice per step. Pass each parameter once."
            )
        seen.add(id(p))
    return entries
