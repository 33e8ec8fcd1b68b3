"""What every thalweg optimizer is: a torch optimizer whose step is a launch of its rule."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, count
from operator import is_, itemgetter
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.optim import optimizer as torch_optimizer

from thalweg.algebra import symbol
from thalweg.algebra.expr import postorder
from thalweg.algebra.signature import Scalar
from thalweg.errors import BadType, BadValue
from thalweg.kernels import launches
from thalweg.kernels.table import Row
from thalweg.optim import checkpoint
from thalweg.optim.state import OptimizerState, ParameterState, changes, unwatched, watched
from thalweg.rules import Rule
from thalweg.rules.functional import begin

Group = dict[str, Any]

_global_pre = torch_optimizer._global_optimizer_pre_hooks
_global_post = torch_optimizer._global_optimizer_post_hooks
_profiling = torch.autograd._profiler_enabled
_mark_changed = getattr(torch._C, "_increment_version", increment_version)

_LR = symbol("hyper", "lr")

UNREAD = ("foreach", "fused", "capturable", "differentiable")
POLICIES = ("propagate", "skip", "raise")


class Driver(torch.optim.Optimizer, ABC):
    """Drives rules over parameter groups; subclasses say which rule a group means.

    ``places`` maps a hyperparameter to where groups keep it, a key and an index, where that is
    not a key of its own name. ``shows_step`` is false where torch's checkpoints hold no step.
    """

    places: Mapping[str, tuple[str, int]] = {}
    shows_step = True
    nonfinite = "propagate"
    _observed = False

    @abstractmethod
    def rule_of(self, group: Group) -> Rule:
        """Return the rule that the settings of *group* ask for."""

    @property
    def limits(self) -> dict[str, str]:
        """Promises of the public optimizer contract that its rule does not make, and why."""
        rules = map(self.rule_of, self.param_groups)
        if any("lr" in r.hyperparameters and _LR not in set(postorder(r.outputs)) for r in rules):
            return {"it stands still at learning rate zero": "lr is only where step sizes begin"}
        return {}

    def state_dict_rule(self) -> str | None:
        """Return the rule's name in checkpoints, or None where they hold none, as torch's."""
        return None

    def settings_read(self) -> list[str]:
        """Return the keys of a group on which its rule and hyperparameters depend."""
        return [key for key in self.defaults if key not in UNREAD]

    def values_of(self, group: Group) -> list[float]:
        """Return the group's hyperparameters in the order of its rule."""
        return [float(self._value(group, name)) for name in self.rule_of(group).hyperparameters]

    def _value(self, group: Group, name: str) -> Any:
        key, index = self.places.get(name, (name, None))
        return group[key] if index is None else group[key][index]

    def __init__(self, params: Any, defaults: Group, nonfinite: str = "propagate") -> None:
        if nonfinite not in POLICIES:
            raise BadValue(f"nonfinite={nonfinite!r}; expected one of {', '.join(POLICIES)}.")
        self.nonfinite = nonfinite
        self.skipped_steps = 0
        self._work: _Work | None = None
        super().__init__(_materialized(params), defaults)
        self.state = watched(self.state)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters; refused with nothing changed if anything in it is illegal."""
        if isinstance(param_group, dict):
            param_group = {**param_group, "params": _checked_parameters(param_group)}
            self._check_unshared(param_group)
            self._check_group({**self.defaults, **param_group})
        super().add_param_group(param_group)
        self._work = None

    def _check_unshared(self, group: Group) -> None:
        homes = {id(p): k for k, each in enumerate(self.param_groups) for p in each["params"]}
        for position, p in enumerate(_tensors(group["params"])):
            if id(p) in homes:
                raise BadValue(
                    f"params[{position}] (shape {tuple(p.shape)}) is already in group "
                    f"{homes[id(p)]}, so it would be updated twice per step. Pass it in one group."
                )

    def _check_group(self, group: Group) -> None:
        owner = type(self).__name__
        for name, hyper in self.rule_of(group).hyperparameters.items():
            key, index = self.places.get(name, (name, None))
            label = key if index is None else f"{key}[{index}]"
            hyper.check(self._number(group, name, label), owner, label)
        if "eps" in group:
            self._warn_of_vanishing_eps(group)

    def _number(self, group: Group, name: str, label: str) -> Any:
        try:
            value = self._value(group, name)
        except (TypeError, IndexError) as error:
            raise BadType(
                f"{type(self).__name__}: {label} is not in {group[self.places[name][0]]!r}; "
                "expected a pair of numbers."
            ) from error
        if isinstance(value, Tensor) and value.numel() != 1:
            raise BadValue(
                f"{type(self).__name__}: {label} is a tensor of shape {tuple(value.shape)}; "
                "expected one number."
            )
        return value

    def _warn_of_vanishing_eps(self, group: Group) -> None:
        eps = float(group["eps"])
        kinds = {each.dtype for each in _tensors(group["params"])}
        for kind in sorted(filter(lambda each: each.is_floating_point, kinds), key=str):
            if eps > 0 and float(torch.tensor(eps, dtype=kind)) == 0:
                warnings.warn(
                    f"{type(self).__name__}: eps={eps:g} is zero in {kind}, the dtype of some "
                    "parameters and their state, so it cannot guard a division there. Use "
                    f"eps >= {torch.finfo(kind).tiny:.0e} or keep parameters in float32.",
                    stacklevel=5,
                )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one update; returns what *closure*, which re-evaluates the model, returned."""
        if (
            _global_pre or _global_post or self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks or _profiling()
        ) and not self._observed:  # fmt: skip
            return self._observed_step((self,) if closure is None else (self, closure), {})
        loss = None if closure is None else _evaluated(closure)
        if self.nonfinite != "propagate" and not self._finite():
            return loss
        work = self._work
        if work is None or not work.holds(self):
            work = self._work = self._arranged()
        complete = True
        for launch in work.launches:
            complete &= launch.take()
        for launch in work.launches:
            launch.run()
        params = work.params
        _mark_changed(params if complete else [p for p in params if p.grad is not None])
        return loss

    step.hooked = True  # type: ignore[attr-defined]  # the hooks torch would wrap around it run here

    def _observed_step(self, args: tuple, kwargs: dict) -> Any:
        """Make one update inside a profiler range, with hooks before and after."""
        name = f"Optimizer.step#{type(self).__name__}.step"
        with torch.autograd.profiler.record_function(name):
            for hook in (*_global_pre.values(), *self._optimizer_step_pre_hooks.values()):
                changed = hook(self, args, kwargs)
                if changed is not None:
                    args, kwargs = _hook_result(changed)
            self._observed = True
            try:
                result = type(self).step(*args, **kwargs)
            finally:
                self._observed = False
            self._optimizer_step_code()
            for hook in (*self._optimizer_step_post_hooks.values(), *_global_post.values()):
                hook(self, args, kwargs)
            return result

    def _finite(self) -> bool:
        """Apply the policy for gradients that are not finite; true where the step may go on."""
        params = chain.from_iterable(group["params"] for group in self.param_groups)
        bad = [k for k, p in enumerate(params) if p.grad is not None and not _all_finite(p.grad)]
        if bad and self.nonfinite == "raise":
            raise BadValue(
                f"the gradients of parameters {', '.join(map(str, bad[:8]))} (counted over all "
                "groups) hold NaN or infinity; nothing was updated. Lower the learning rate, clip "
                'gradients, or choose nonfinite="skip".'
            )
        self.skipped_steps += bool(bad)
        return not bad

    @torch.inference_mode(False)
    @torch.no_grad()
    def _arranged(self) -> "_Work":
        """Make state for parameters that have a first gradient, and lay out the launches."""
        rules = [self.rule_of(group) for group in self.param_groups]
        self._check_fit(rules)
        rows: dict[Rule, list[Row]] = {}
        places = count()
        for number, (rule, group) in enumerate(zip(rules, self.param_groups, strict=True)):
            for p, place in zip(group["params"], places, strict=False):
                if p.grad is not None or self.state.get(p):
                    rows.setdefault(rule, []).append(self._row(rule, p, number, place))
        return _Work(self, rules, rows)

    def _check_fit(self, rules: list[Rule]) -> None:
        """Refuse gradients and state that do not fit, before state is begun for any parameter."""
        for rule, group in zip(rules, self.param_groups, strict=True):
            slots = [k for k, v in rule.signature.slots.items() if not isinstance(v, Scalar)]
            for p in (each for each in group["params"] if each.grad is not None):
                kept = map(self.state.get(p, {}).get, slots)
                Row(p, tuple(v for v in kept if v is not None), (), p, 0).check_gradient(p.grad)

    def _row(self, rule: Rule, p: Tensor, number: int, place: int) -> Row:
        """Return the row of parameter *p*, of group *number* and the *place*-th of all."""
        kept = self.state.get(p, {})
        begun = all(kept.get(slot) is not None for slot in rule.signature.slots)
        state = self._begun(rule, p, self.param_groups[number])
        named = {slot: state[slot] for slot in rule.signature.slots}
        scalars = {n for n, i in rule.signature.slots.items() if isinstance(i, Scalar)}
        return Row(
            p,
            tuple(value for name, value in named.items() if name not in scalars),
            tuple(value for name, value in named.items() if name in scalars),
            state["step"] if self.shows_step else torch.tensor(float(begun)),
            number,
            place,
        )

    def _begun(self, rule: Rule, p: Tensor, group: Group) -> dict[str, Any]:
        """Return the state of *p*, begun if this is its first gradient."""
        slots = rule.signature.slots
        state = self.state[p] if slots or self.shows_step else {}
        if self.shows_step and "step" not in state:
            state["step"] = torch.tensor(0.0, dtype=torch.float32)
        for slot, initial in slots.items():
            if state.get(slot) is None:
                settings = {name: self._value(group, name) for name in rule.hyperparameters}
                state[slot] = _begin(initial, p, settings)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a checkpoint of this rule, torch's or thalweg's; refused whole if it does not fit.

        State keeps its precision where it is wider than the parameter's.
        """
        state_dict = dict(state_dict) if isinstance(state_dict, Mapping) else state_dict
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            changed = before(self, state_dict)
            state_dict = state_dict if changed is None else changed
        groups, state = checkpoint.matched(self, state_dict)
        self.__setstate__({"state": state, "param_groups": groups})
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "state": watched(state["state"])})
        self._work = None

    def state_dict(self) -> dict[str, Any]:
        """Return state and groups in ordinary dictionaries, as torch lays them out."""
        found = super().state_dict()
        return {**found, "state": {k: unwatched(v) for k, v in found["state"].items()}}

    def __getstate__(self) -> dict[str, Any]:
        return {
            **super().__getstate__(),
            "state": {key: unwatched(value) for key, value in self.state.items()},
            "nonfinite": self.nonfinite,
            "skipped_steps": self.skipped_steps,
        }


class _Work:
    """The launches of one optimizer, and all that must not have changed for them to be right.

    Parameters are held to their address in memory at every step. State is watched by identity;
    of its addresses only those of the first and the last row are looked at, which notices storage
    that was moved for all (``share_memory_``, ``.data =`` in a loop) at no cost per parameter.
    """

    def __init__(self, driver: Driver, rules: list[Rule], rows: dict[Rule, list[Row]]) -> None:
        self.rules = rules
        self.parts = {rule: launches(rule, part) for rule, part in rows.items()}
        self.launches = list(chain.from_iterable(self.parts.values()))
        table = [row for launch in self.launches for row in launch.rows]
        self.params = [row.parameter for row in table]
        taken = set(map(id, self.params))
        everything = chain.from_iterable(map(_parameters, driver.param_groups))
        self.waiting = [p for p in everything if id(p) not in taken]
        sample = chain.from_iterable(
            (*row.slots, *row.scalars) for row in (*table[:1], *table[-1:])
        )
        self.memory = [*self.params, *sample]
        self.addresses = list(map(_address, self.memory))
        self.groups = [list(group["params"]) for group in driver.param_groups]
        self.several = all(p.numel() > 1 for group in self.groups for p in group)
        self.state = list(_tensors_of(driver))
        self.looked_at, self.whole = _time(driver), driver.state
        self.keys = driver.settings_read()
        self.settings_of = itemgetter("params", *self.keys)
        self._read(driver)

    def _read(self, driver: Driver) -> None:
        """Give every launch the hyperparameters of its groups; groups of other rules get zeros."""
        groups = driver.param_groups
        self.settings = [self.settings_of(group) for group in groups]
        read = [group[key] for group in groups for key in self.keys]
        self.fixed = not any(isinstance(v, (Tensor, list)) for v in (*read, *_flat(read)))
        values = list(zip(map(driver.values_of, groups), self.rules, strict=True))
        for rule, part in self.parts.items():
            none = [0.0] * len(rule.hyperparameters)
            for launch in part:
                launch.set_hypers([own if each is rule else none for own, each in values])

    def holds(self, driver: Driver) -> bool:
        """Whether the layout still describes *driver*; new numbers are read on the way."""
        groups = driver.param_groups
        if not self._same_parameters(groups):
            return False
        changed = changes[0] != self.looked_at or driver.state is not self.whole
        if changed and not self._same_state(driver):
            return False
        if list(map(_address, self.memory)) != self.addresses:
            return False
        if self.waiting and any(p.grad is not None for p in self.waiting):
            return False
        if self.fixed and list(map(self.settings_of, groups)) == self.settings:
            return True
        if list(map(driver.rule_of, driver.param_groups)) != self.rules:
            return False
        self._read(driver)
        return True

    def _same_parameters(self, groups: list[Group]) -> bool:
        """Whether every group lists the parameters it did.

        Comparing lists stops at identity, element by element, which is what is wanted and fast. A
        parameter that was exchanged is compared by value, and a value of several elements has no
        truth: that raises. Where some parameter has one element, identity is asked for instead.
        """
        now = list(map(_parameters, groups))
        if not self.several:
            flat = chain.from_iterable(now)
            return list(map(id, flat)) == list(map(id, chain.from_iterable(self.groups)))
        try:
            return now == self.groups
        except RuntimeError:
            return False

    def _same_state(self, driver: Driver) -> bool:
        """Look at every piece of state, and remember when, unless some of it is not watched."""
        self.looked_at, self.whole = _time(driver), driver.state
        return all(map(is_, _tensors_of(driver), self.state))


_END = (object(),)
_address = torch._C.TensorBase.data_ptr
_parameters = itemgetter("params")


def _tensors_of(driver: Driver) -> Iterable[Any]:
    """Yield every piece of state in order, and a mark at the end."""
    entries = driver.state.values()
    return chain(*(each.values() if isinstance(each, dict) else (each,) for each in entries), _END)


def _time(driver: Driver) -> int:
    """Return the time of the clock of changes, or one that never comes if not all is watched."""
    kinds = {type(driver.state), *map(type, driver.state.values())}
    return changes[0] if kinds <= {OptimizerState, ParameterState} else -1


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        yield from value if isinstance(value, (tuple, list)) else (value,)


def _begin(initial: Any, p: Tensor, settings: Mapping[str, Any]) -> Any:
    """Return the first value of a slot; a complex number begins with both its parts."""
    if p.is_complex() and not isinstance(initial, Scalar):
        return torch.view_as_complex(begin(initial, torch.view_as_real(p), settings))
    return begin(initial, p, settings)


def _evaluated(closure: Callable[[], Any]) -> Any:
    with torch.enable_grad():
        return closure()


def _hook_result(changed: Any) -> tuple[tuple, dict]:
    if isinstance(changed, tuple) and len(changed) == 2:
        return changed
    raise BadType(
        f"a step pre-hook returned {type(changed).__name__}; expected None or a pair "
        "(new_args, new_kwargs)."
    )


def _all_finite(g: Tensor) -> bool:
    values = g._values() if g.is_sparse else g
    return bool(torch.isfinite(values).all())


def _materialized(params: Any) -> Any:
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


def _tensors(entries: list) -> list[Tensor]:
    return [each[1] if isinstance(each, tuple) else each for each in entries]


def _checked_parameters(group: Group) -> list:
    """Return a group's parameters as a list; each a leaf of real or complex numbers, none twice."""
    if "params" not in group:
        raise BadValue(f"the group {{{', '.join(group)}}} has no 'params'; give it a list of them.")
    params = group["params"]
    _refuse_set(params)
    entries = [params] if isinstance(params, Tensor) else list(params)
    seen: set[int] = set()
    for position, p in enumerate(_tensors(entries)):
        if not isinstance(p, Tensor):
            raise BadType(f"params[{position}] is {type(p).__name__}; expected a tensor.")
        if not (p.is_floating_point() or p.is_complex()):
            raise BadType(
                f"params[{position}] has dtype {p.dtype}; only floating-point tensors can descend. "
                "Leave it out, or convert it with .float()."
            )
        if not (p.is_leaf or p.retains_grad):
            raise BadValue(
                f"params[{position}] (shape {tuple(p.shape)}) is computed from other tensors, so "
                "its gradient is not kept. Pass what it is computed from, or a detached copy."
            )
        if id(p) in seen:
            raise BadValue(
                f"params[{position}] (shape {tuple(p.shape)}) is in the list twice, so it would be "
                "updated twice per step. Pass each parameter once."
            )
        seen.add(id(p))
    return entries
