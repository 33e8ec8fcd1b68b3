"""Refuses parameter lists that cannot be trained, before anything is made of them."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from thalweg.algebra.expr import postorder
from thalweg.errors import BadType, BadValue
from thalweg.kernels.shard import refuse_pending
from thalweg.rules import Rule

Group = dict[str, Any]


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


def check_unshared(groups: list[Group], group: Group) -> None:
    """Refuse a parameter of *group* that one of *groups* has already."""
    homes = {id(p): k for k, each in enumerate(groups) for p in each["params"]}
    for position, p in enumerate(tensors_in(group["params"])):
        if id(p) in homes:
            raise BadValue(
                f"params[{position}] (shape {tuple(p.shape)}) is already in group "
                f"{homes[id(p)]}, so it would be updated twice per step. Pass it in one group."
            )


def check_suited(params: list[Tensor], rule: Rule) -> None:
    """Refuse parameters that have no signs or no norm where *rule* asks for them."""
    operations = {each.op for each in postorder(rule.outputs)}
    if "sign" in operations and any(p.is_complex() for p in params):
        raise BadType(
            f"{rule.name} looks at the sign of the gradient, and complex numbers have none. "
            "Train the real and imaginary parts as two real parameters, or choose a rule "
            "without signs, such as adam."
        )
    if "unit_mean" in operations and any(p.is_complex() for p in params):
        raise BadType(
            f"{rule.name} takes means over the units of a layer, which are not defined here "
            "for complex numbers. Leave the transform out, or train real parameters."
        )
    empty = [k for k, p in enumerate(params) if not is_lazy(p) and p.numel() == 0]
    if empty and operations & {"sum_tensor", "mean_tensor"}:
        raise BadValue(
            f"params[{empty[0]}] has no elements, and {rule.name} takes the norm or mean of "
            "each tensor. Leave it out."
        )


def check_dense_where_needed(differentiable: bool, spread: bool) -> None:
    """Refuse sparse gradients where whole tensors are needed."""
    if differentiable or spread:
        raise BadType(
            f"{'differentiable=True' if differentiable else 'a parameter spread over processes'} "
            "takes dense gradients, and this one is sparse. Use nn.Embedding(sparse=False)."
        )


def warn_of_vanishing_eps(owner: str, group: Group) -> None:
    """Warn where the eps of *group* is zero in the dtype of some of its parameters."""
    eps = float(group["eps"].detach() if isinstance(group["eps"], Tensor) else group["eps"])
    kinds = {each.dtype for each in tensors_in(group["params"])}
    for kind in sorted(filter(lambda each: each.is_floating_point, kinds), key=str):
        if eps > 0 and float(torch.tensor(eps, dtype=kind)) == 0:
            warnings.warn(
                f"{owner}: eps={eps:g} is zero in {kind}, the dtype of some parameters and their "
                "state, and so are second moments of its size: steps can become very large. Use "
                f"eps >= {torch.finfo(kind).tiny:.0e} or keep parameters in float32.",
                stacklevel=6,
            )
