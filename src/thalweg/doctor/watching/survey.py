"""What can be told of a model and an optimizer by looking at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules import activation, batchnorm, conv, instancenorm, loss, rnn

from thalweg.doctor.evidence import (
    GroupFacts,
    ModelFacts,
    ModuleFacts,
    OptimizerFacts,
    ParameterFacts,
)
from thalweg.doctor.evidence.facts import Family
from thalweg.optim.driver import Driver

FAMILIES: tuple[tuple[type | tuple[type, ...], Family], ...] = (
    ((conv._ConvNd,), "convolution"),
    ((nn.Linear, nn.Bilinear), "linear"),
    ((rnn.RNNBase, rnn.RNNCellBase), "recurrent"),
    ((nn.MultiheadAttention,), "attention"),
    ((nn.Embedding, nn.EmbeddingBag), "embedding"),
    (
        (batchnorm._NormBase, instancenorm._InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm,
         nn.LocalResponseNorm),
        "normalization",
    ),
    ((nn.modules.dropout._DropoutNd,), "dropout"),
    ((loss._Loss,), "loss"),
)  # fmt: skip

ADAPTIVE = {
    "adam", "adamw", "adamax", "nadam", "radam", "adagrad", "adadelta", "rmsprop", "adafactor",
    "sparseadam", "amsgrad", "yogi", "adabelief", "lamb", "adan",
}  # fmt: skip
"""Rules whose step is divided by a running size of the gradient, by the names of their classes."""

DECOUPLED = {
    "adamw", "sgdw", "lion", "lamb", "muon", "adan", "adafactor",
    "decay", "decay_by_schedule", "independent_decay", "corrected_decay",
}  # fmt: skip
"""Rules and transforms that shrink weights beside the step, where no setting tells."""


def unwrapped(model: nn.Module) -> tuple[nn.Module, str]:
    """Return the module inside a compiled or parallel wrapper, and which of these it was."""
    host = ""
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model, host = inner, "compiled"
        elif isinstance(model, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
            model, host = model.module, host or "parallel"
        else:
            return model, host or ("compiled" if is_compiled(model) else "")


def innermost(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Return the optimizer inside those that wrap it, as Accelerate's does."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), torch.optim.Optimizer):
        optimizer = inner
    return optimizer


def leaves(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules whose output is looked at: those without children, and attention."""
    inside = ""
    for name, module in model.named_modules():
        if inside and name.startswith(inside):
            continue
        if _is_leaf(module):
            inside = f"{name}." if name else ""
            yield name, module


def _is_leaf(module: nn.Module) -> bool:
    """Whether nothing inside is looked at: there is nothing, it is known, or it is compiled."""
    childless = not any(True for _ in module.children())
    return childless or family_of(module) != "other" or is_compiled(module)


def is_compiled(module: nn.Module) -> bool:
    """Whether hooks do not see inside a module, for torch compiled it."""
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None


def family_of(module: nn.Module) -> Family:
    """Return what kind of layer a module is."""
    for kinds, family in FAMILIES:
        if isinstance(module, kinds):
            return family
    return "activation" if type(module).__module__ == activation.__name__ else "other"


def survey_model(model: nn.Module, optimizer: torch.optim.Optimizer) -> ModelFacts:
    """Return the facts of a model, as its parameters are in the groups of an optimizer."""
    inner, host = unwrapped(model)
    modules = {name: _module(name, module) for name, module in leaves(inner)}
    parameters = dict(_parameters(inner, _membership(optimizer)))
    return ModelFacts(type(inner).__name__, parameters, modules, tuple(modules), host)


def _module(name: str, module: nn.Module) -> ModuleFacts:
    settings = {key: value for key, value in vars(module).items() if _is_setting(key, value)}
    if isinstance(tracked := getattr(module, "num_batches_tracked", None), Tensor):
        settings["num_batches_tracked"] = int(tracked)
    own = tuple(f"{name}.{each}" if name else each for each, _ in module.named_parameters())
    return ModuleFacts(name, type(module).__name__, family_of(module), settings, own)


def _is_setting(key: str, value: Any) -> bool:
    return not key.startswith("_") and key != "training" and isinstance(value, (Real, tuple, str))


def _membership(optimizer: torch.optim.Optimizer) -> dict[int, tuple[int, ...]]:
    """Return the groups of each tensor that an optimizer holds, by its identity."""
    groups: dict[int, tuple[int, ...]] = {}
    for number, group in enumerate(optimizer.param_groups):
        for tensor in group["params"]:
            groups[id(tensor)] = (*groups.get(id(tensor), ()), number)
    return groups


def _parameters(
    model: nn.Module, groups: Mapping[int, tuple[int, ...]]
) -> Iterator[tuple[str, ParameterFacts]]:
    names: dict[int, list[str]] = {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(tensor), []).append(name)
    for name, tensor in model.named_parameters():
        yield name, ParameterFacts(
            name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."),
            name.rpartition(".")[0], tensor.requires_grad, groups.get(id(tensor), ()),
            tuple(names[id(tensor)][1:]),
        )  # fmt: skip


def survey_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer) -> OptimizerFacts:
    """Return the facts of an optimizer, its parameters by their names in a model."""
    names = {id(tensor): name for name, tensor in unwrapped(model)[0].named_parameters()}
    groups = [
        _group(group, names, dict(_horizons(optimizer, number)))
        for number, group in enumerate(optimizer.param_groups)
    ]
    kind, adaptive = type(optimizer).__name__, is_adaptive(optimizer)
    return OptimizerFacts(kind, groups, adaptive, decay_of(optimizer), rule_names(optimizer)[0])


def _group(
    group: Mapping[str, Any], names: Mapping[int, str], scheduled: Mapping[str, int | None]
) -> GroupFacts:
    known = tuple(names[id(each)] for each in group["params"] if id(each) in names)
    return GroupFacts(dict(_numbers(group)), known, len(group["params"]) - len(known), scheduled)


def follows_schedules(optimizer: torch.optim.Optimizer) -> bool:
    """Whether hyperparameters of an optimizer are thalweg schedules."""
    return any(any(_horizons(optimizer, each)) for each in range(len(optimizer.param_groups)))


def _horizons(optimizer: torch.optim.Optimizer, group: int) -> Iterator[tuple[str, int | None]]:
    """Yield the hyperparameters of a group that are thalweg schedules, with their horizons."""
    if not isinstance(optimizer, Driver):
        return
    for key in optimizer.param_groups[group]:
        if (schedule := optimizer.schedule_of(key, group)) is not None:
            yield key, schedule.horizon


def _numbers(group: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in group.items():
        if isinstance(value, Tensor) and value.numel() == 1:
            yield key, value.item()
        elif isinstance(value, (Real, tuple, str)):
            yield key, value


def rule_names(optimizer: torch.optim.Optimizer) -> list[str]:
    """Return the names of what an optimizer does: a rule's pieces, or the classes of torch's."""
    if isinstance(optimizer, Driver):
        rule = optimizer.rule_of(optimizer.param_groups[0])
        return [each.key for each in rule.pieces or (rule,)]
    return [each.__name__.lower() for each in type(optimizer).__mro__]


def is_adaptive(optimizer: torch.optim.Optimizer) -> bool:
    """Whether its step is divided by a running size of the gradient."""
    return any(name.startswith(known) for name in rule_names(optimizer) for known in ADAPTIVE)


def decay_of(optimizer: torch.optim.Optimizer) -> Literal["l2", "decoupled", ""]:
    """Return what ``weight_decay`` does to its parameters.

    torch's AdamW is an Adam: the setting tells, not the class.
    """
    settings = {**optimizer.defaults, **optimizer.param_groups[0]}
    if "weight_decay" not in settings:
        return ""
    if "decoupled_weight_decay" in settings:
        return "decoupled" if settings["decoupled_weight_decay"] else "l2"
    return "decoupled" if DECOUPLED & set(rule_names(optimizer)) else "l2"
