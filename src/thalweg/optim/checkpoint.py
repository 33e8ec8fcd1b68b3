"""Reads a checkpoint into an optimizer's own terms, or refuses it before anything has changed."""

from collections import defaultdict
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from thalweg.algebra.signature import Scalar
from thalweg.errors import BadType, BadValue
from thalweg.kernels.shard import check_placed_alike
from thalweg.rules import Rule

if TYPE_CHECKING:
    from thalweg.optim.driver import Driver

Group = dict[str, Any]


def matched(driver: "Driver", saved: Mapping[str, Any]) -> tuple[list[Group], dict]:
    """Return the groups and state that *saved* means for *driver*, deep copies of what it holds."""
    owner = type(driver).__name__
    if not isinstance(saved, Mapping) or not {"state", "param_groups"} <= set(saved):
        raise BadType(f"{owner}: a checkpoint is a dict with 'state' and 'param_groups'.")
    _check_rule(driver, saved)
    groups = _groups(driver, saved["param_groups"])
    state: dict = defaultdict(dict)
    places = _places(groups, saved["param_groups"])
    for key, entry in saved["state"].items():
        if key not in places:
            state[key] = deepcopy(entry)
        elif entry:
            p, group = places[key]
            state[p] = _entry(driver, group, p, entry, f"{owner}: parameter {key}")
    return groups, state


def _check_rule(driver: "Driver", saved: Mapping[str, Any]) -> None:
    ours = driver.state_dict_rule()
    theirs = saved.get("rule")
    if ours and theirs and theirs != ours:
        raise BadValue(
            f"{type(driver).__name__}: this is a checkpoint of the rule {theirs!r}; the optimizer "
            f"runs {ours!r}. Build the optimizer with the rule that was saved."
        )


def _groups(driver: "Driver", saved: list[Group]) -> list[Group]:
    owner = type(driver).__name__
    sizes = [len(group["params"]) for group in driver.param_groups]
    theirs = [len(group["params"]) for group in saved]
    if sizes != theirs:
        raise BadValue(
            f"{owner}: the checkpoint has {len(theirs)} groups of {theirs} parameters; the "
            f"optimizer has {len(sizes)} of {sizes}. Build the optimizer as it was when saved."
        )
    groups = [
        _group(driver, own, group) for own, group in zip(driver.param_groups, saved, strict=True)
    ]
    for group in groups:
        driver._check_group(group)
    return groups


def _group(driver: "Driver", own: Group, saved: Group) -> Group:
    lacking = [key for key in driver.settings_read() if key not in (*saved, *_NEWER)]
    beyond = [key for key in _SWITCHES if key in saved and key not in own]
    if lacking or beyond:
        raise BadValue(
            f"{type(driver).__name__}: the checkpoint was saved by another rule: a group of it "
            f"{'lacks' if lacking else 'holds'} {', '.join(lacking or beyond)}. Build the "
            "optimizer that was saved."
        )
    for key in _KINDS:
        if key in own and saved.get(key, own[key]) != own[key]:
            raise BadValue(
                f"{type(driver).__name__}: the checkpoint was saved with {key}={saved[key]!r}, "
                f"another rule than {key}={own[key]!r}. Build the optimizer that was saved."
            )
    kept = {k: _copied(v) for k, v in saved.items() if k not in ("params", "differentiable")}
    defaults = {key: value for key, value in own.items() if key != "params"}
    return {**defaults, **kept, "params": own["params"]}


def _copied(setting: Any) -> Any:
    """Return a deep copy of a setting; of a tensor computed from others, its numbers alone."""
    if isinstance(setting, (tuple, list)):
        return type(setting)(map(_copied, setting))
    if isinstance(setting, Tensor) and not setting.is_leaf:
        return setting.detach().clone()
    return deepcopy(setting)


_KINDS = ("decoupled_weight_decay",)
_NEWER = ("maximize", "decoupled_weight_decay", "differentiable")  # older checkpoints lack them
_SWITCHES = ("amsgrad", "centered", "nesterov", "decoupled_weight_decay")  # few rules have them


def _places(groups: list[Group], saved: list[Group]) -> dict[Any, tuple[Tensor, Group]]:
    return {
        key: (p, group)
        for group, theirs in zip(groups, saved, strict=True)
        for key, p in zip(theirs["params"], group["params"], strict=True)
    }


def _entry(driver: "Driver", group: Group, p: Tensor, entry: Mapping, where: str) -> dict[str, Any]:
    rule = driver.rule_of(group)
    expected = [*(["step"] if driver.shows_step else []), *rule.signature.slots]
    present = {name: value for name, value in entry.items() if value is not None}
    if set(present) != set(expected) and (present or driver.shows_step):
        raise BadValue(
            f"{where}: the checkpoint holds {', '.join(sorted(present)) or 'nothing'}; {rule.name} "
            f"keeps {', '.join(sorted(expected)) or 'nothing'}. It was saved by another rule or "
            "with other switches."
        )
    return {
        name: _value(rule, name, p, present[name], f"{where}: {name}")
        for name in expected
        if name in present
    }


def _value(rule: Rule, name: str, p: Tensor, value: Any, where: str) -> Tensor:
    if not isinstance(value, (Tensor, int, float)):
        raise BadType(f"{where} is {type(value).__name__}; expected a tensor.")
    value = torch.as_tensor(value).detach()
    if name == "step" or isinstance(rule.signature.slots[name], Scalar):
        if value.numel() != 1:
            raise BadValue(f"{where} has shape {tuple(value.shape)}; expected one number.")
        wide = torch.float32 if name == "step" else torch.promote_types(value.dtype, torch.float32)
        return value.to("cpu", wide, copy=True).reshape(())
    if value.shape != p.shape:
        raise BadValue(
            f"{where} has shape {tuple(value.shape)}; its parameter has {tuple(p.shape)}. The "
            "checkpoint belongs to another model, or its parameters come in another order."
        )
    check_placed_alike(value, p, where)
    copy = torch.empty_like(p, dtype=torch.promote_types(value.dtype, p.dtype), requires_grad=False)
    return copy.copy_(value.to_dense() if value.is_sparse else value)
