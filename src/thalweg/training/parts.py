"""What `fit` was given is of the kinds it takes, and one part belongs to the other."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from os import PathLike
from typing import Any

import torch
from torch import nn

from thalweg.errors import BadType, BadValue
from thalweg.training.checkpoints import Checkpoints
from thalweg.training.data.order import Order
from thalweg.training.strategies.strategy import Strategy


def check_model_and_optimizer(model: Any, optimizer: Any) -> None:
    """Raise BadType or BadValue unless the optimizer, without a closure, can train the model."""
    _check_kind("model", model, nn.Module, "a module")
    _check_kind(
        "optimizer", optimizer, torch.optim.Optimizer,
        'an optimizer, such as thalweg.Optimizer(model.parameters(), "adam", lr=0.001)',
    )  # fmt: skip
    if _needs_closure(optimizer):
        raise BadValue(
            f"{type(optimizer).__name__} evaluates the model several times in one update, by a "
            "closure, and fit measures one gradient for each. Use another optimizer."
        )
    check_optimized(model, optimizer)


def check_extras(strategies: Any, order: Any, checkpoints: Any) -> None:
    """Raise BadType or BadValue unless these are what they are taken for, each strategy once."""
    if not isinstance(strategies, Sequence):
        raise BadType(f"strategies={strategies!r}; expected a list: [EarlyStopping(patience=3)].")
    for each in strategies:
        _check_kind("each strategy", each, Strategy, "one that is made: EarlyStopping(patience=3)")
    if len({id(each) for each in strategies}) < len(strategies):
        raise BadValue("a strategy was given twice, and would act twice; give it once.")
    if order is not None:
        _check_kind("order", order, Order, "one that is made, such as InOrder()")
    if checkpoints is not None:
        _check_kind("checkpoints", checkpoints, (Checkpoints, str, PathLike), "a folder")


def _check_kind(name: str, value: Any, kind: Any, expected: str) -> None:
    if not isinstance(value, kind):
        raise BadType(f"{name} is {value!r:.60}; expected {expected}.")


def _needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def check_parameters(model: nn.Module) -> set[int]:
    """Return the ids of the parameters that can be trained; BadValue where there are none."""
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    if not trained:
        raise BadValue(
            "no parameter of the model requires a gradient, so that none can be trained."
        )
    return trained


def check_optimized(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Raise BadValue unless the optimizer holds a parameter of the model that can be trained."""
    trained = check_parameters(model)
    if trained.isdisjoint(id(p) for group in optimizer.param_groups for p in group["params"]):
        raise BadValue(
            "the optimizer updates no parameter of this model; it was made of another one, or of "
            "none. Make it of model.parameters(), when the model is complete."
        )
