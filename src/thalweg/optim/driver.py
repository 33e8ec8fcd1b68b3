"""What every thalweg optimizer is: a torch optimizer whose step is a launch of its rule."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from itertools import chain, count
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.optim import optimizer as torch_optimizer

from thalweg.algebra import Hyperparameter, symbol
from thalweg.algebra.expr import postorder
from thalweg.algebra.signature import Scalar
from thalweg.errors import BadType, BadValue
from thalweg.kernels.eager import check_writable
from thalweg.kernels.plan import lower
from thalweg.kernels.shard import anywhere, check_placed_alike, local, shard_of
from thalweg.kernels.table import LayoutChanged, Row
from thalweg.optim import checkpoint
from thalweg.optim.parameters import (
    check_dense_where_needed,
    check_suited,
    check_unshared,
    checked_parameters,
    materialized,
    tensors_in,
    warn_of_vanishing_eps,
)
from thalweg.optim.state import unwatched, watched
from thalweg.optim.timetable import (
    UPDATES,
    Entry,
    farthest_from_zero,
    found_in,
    with_numbers,
)
from thalweg.optim.untraced import untraced
from thalweg.optim.work import Kind, Work
from thalweg.rules import Rule
from thalweg.rules.functional import begin
from thalweg.schedules import Schedule

Group = dict[str, Any]
Number = float | Tensor | Schedule

_global_pre = torch_optimizer._global_optimizer_pre_hooks
_global_post = torch_optimizer._global_optimizer_post_hooks
_profiling = torch.autograd._profiler_enabled
_mark_changed = getattr(torch._C, "_increment_version", increment_version)

_LR = symbol("hyper", "lr")

UNREAD = ("foreach", "fused", "capturable")
POLICIES = ("propagate", "skip", "raise")


class Driver(torch.optim.Optimizer, ABC):
    """Drives rules over parameter groups; subclasses say which rule a group means.

    ``places`` maps a hyperparameter to where groups keep it, a key and an index, where that is
    not a key of its own name. ``shows_step`` is false where torch's checkpoints hold no step.

    Steps of groups that are ``differentiable`` are recorded by autograd: `backward` from what was
    computed after them reaches their gradients, the parameters and state before them, and
    hyperparameters that are tensors. Such parameters and state cannot be leaves that require grad,
    for a step writes to them: pass ``[p.clone() for p in model.parameters()]``, and compute losses
    from copies of these, so that no step writes to what a loss remembers.
    """

    places: Mapping[str, tuple[str, int]] = {}
    shows_step = True
    nonfinite = "propagate"
    _observed = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Keep torch from wrapping hooks around a subclass's step: they run in this one."""
        super().__init_subclass__(**keywords)
        cls.step.hooked = True  # type: ignore[attr-defined]

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
        shared = set.intersection(*(set(group) for group in self.param_groups))
        return [key for key in self.defaults if key in shared and key not in UNREAD]

    def kind_of(self, group: Group) -> Kind:
        """Return the group's rule, and whether its steps are differentiable."""
        return self.rule_of(group), bool(group.get("differentiable"))

    def values_of(self, group: Group) -> list[Any]:
        """Return the group's hyperparameters in the order of its rule.

        They are numbers; where steps are differentiable they are as the group holds them.
        """
        rule, differentiable = self.kind_of(group)
        values = (self._value(group, name) for name in rule.hyperparameters)
        return list(values) if differentiable else [float(_number(each)) for each in values]

    def _value(self, group: Group, name: str) -> Any:
        key, index = self.places.get(name, (name, None))
        return group[key] if index is None else group[key][index]

    def __init__(self, params: Any, defaults: Group, nonfinite: str = "propagate") -> None:
        if nonfinite not in POLICIES:
            raise BadValue(f"nonfinite={nonfinite!r}; expected one of {', '.join(POLICIES)}.")
        self.nonfinite = nonfinite
        self.skipped_steps = 0
        self._work: Work | None = None
        self._timetable: list[Entry] = []
        super().__init__(materialized(params), defaults)
        self.state = watched(self.state)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters; refused with nothing changed if anything in it is illegal."""
        defaults, entries = self.defaults, []
        if isinstance(param_group, dict):
            settings = {**defaults, **param_group}
            entries = self._entries(settings)
            settings = with_numbers(settings)
            settings["params"] = checked_parameters(settings)
            check_unshared(self.param_groups, settings)
            self._check_group(settings)
            counted = {UPDATES: 0} if entries else {}
            param_group = {**counted, **param_group, "params": settings["params"]}
            param_group |= {entry.key: settings[entry.key] for entry in entries}
            if "differentiable" in settings:
                self.defaults = {**defaults, "differentiable": settings["differentiable"]}
        try:  # torch asks the defaults whether parameters may be computed from others
            super().add_param_group(param_group)
        finally:
            self.defaults = defaults
        self._timetable += entries
        self._work = None

    def _entries(self, group: Group) -> list[Entry]:
        """Return which numbers of a new group follow schedules, after a look at their runs."""
        entries = found_in(group, len(self.param_groups))
        if not entries:
            return []
        owner = type(self).__name__
        rule = self.rule_of(with_numbers(group, farthest_from_zero))
        known: dict[tuple[str, int | None], Hyperparameter] = {
            self.places.get(name, (name, None)): h for name, h in rule.hyperparameters.items()
        }
        for entry in entries:
            entry.hyper = known.get(entry.place)
            if entry.hyper is None and entry.key in self.defaults and entry.index is None:
                raise BadType(
                    f"{owner}: {entry.key} follows a schedule, but it is no hyperparameter of "
                    f"{rule.name}, which runs here. Those are: {', '.join(rule.hyperparameters)}."
                )
            entry.check_run(owner)
        return entries

    def _check_group(self, group: Group) -> None:
        owner = type(self).__name__
        for name, hyper in self.rule_of(group).hyperparameters.items():
            key, index = self.places.get(name, (name, None))
            label = key if index is None else f"{key}[{index}]"
            hyper.check(self._number(group, name, label), owner, label)
        if group.get("differentiable"):
            check_writable(tensors_in(group["params"]))
        if "eps" in group:
            warn_of_vanishing_eps(owner, group)
        check_suited(tensors_in(group["params"]), self.rule_of(group))

    def _number(self, group: Group, name: str, label: str) -> Any:
        try:
            value = self._value(group, name)
        except (TypeError, IndexError) as error:
            raise BadType(
                f"{type(self).__name__}: {label} is not in {group[self.places[name][0]]!r}; "
                "expected a pair of numbers."
            ) from error
        key, index = self.places.get(name, (name, None))
        if index is not None and len(group[key]) > 2:
            raise BadValue(
                f"{type(self).__name__}: {key}={group[key]!r} has {len(group[key])} entries; "
                "expected two numbers."
            )
        if isinstance(value, Tensor) and value.numel() != 1:
            raise BadValue(
                f"{type(self).__name__}: {label} is a tensor of shape {tuple(value.shape)}; "
                "expected one number."
            )
        return _number(value)

    def schedule_of(self, key: str, group: int = 0) -> Schedule | None:
        """Return the schedule that *key* of a group follows, None where it is a plain number."""
        found = (each for each in self._timetable if (each.group, each.key) == (group, key))
        return next((each.schedule for each in found), None)

    @untraced
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
        timetable = self._timetable
        for entry in timetable:
            entry.write(self.param_groups[entry.group])
        work = self._work
        if work is None or not work.holds(self):
            work = self._work = self._arranged()
        complete = True
        try:
            for launch in work.launches:
                complete &= launch.take()
        except LayoutChanged:
            work = self._work = self._arranged()
            complete = min([launch.take() for launch in work.launches], default=True)
        for launch in work.launches:
            launch.run()
        if timetable:
            self._count_update()
        params = work.params
        _mark_changed(params if complete else [p for p in params if p.grad is not None])
        return loss

    step.hooked = True  # type: ignore[attr-defined]  # the hooks torch would wrap around it run here

    def _count_update(self) -> None:
        """Advance the groups whose hyperparameters follow schedules."""
        for number in {entry.group for entry in self._timetable}:
            self.param_groups[number][UPDATES] += 1

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
                result = Driver.step(*args, **kwargs)
            finally:
                self._observed = False
            self._optimizer_step_code()
            for hook in (*self._optimizer_step_post_hooks.values(), *_global_post.values()):
                hook(self, args, kwargs)
            return result

    def _finite(self) -> bool:
        """Apply the policy for gradients that are not finite; true where the step may go on."""
        params = list(chain.from_iterable(group["params"] for group in self.param_groups))
        found = [p.grad is not None and not _all_finite(p.grad) for p in params]
        bad = [k for k, each in enumerate(anywhere(found, params)) if each]
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
    def _arranged(self) -> "Work":
        """Make state for parameters that have a first gradient, and lay out the launches."""
        kinds = [self.kind_of(group) for group in self.param_groups]
        self._check_together(kinds)
        self._check_fit(kinds)
        rows: dict[Kind, list[Row]] = {}
        places = count()
        for number, (kind, group) in enumerate(zip(kinds, self.param_groups, strict=True)):
            for p, place in zip(group["params"], places, strict=False):
                if p.grad is not None or self.state.get(p):
                    rows.setdefault(kind, []).append(self._row(kind[0], p, number, place))
        return Work(self, kinds, rows)

    def _check_together(self, kinds: list[Kind]) -> None:
        """Refuse to split by differentiability what a rule reads as a whole."""
        for rule, differentiable in kinds:
            if differentiable and (rule, False) in kinds and lower(rule).reads_every_row:
                raise BadValue(
                    f"{type(self).__name__}: {rule.name} looks at all parameters at once, so its "
                    "groups are differentiable all or none. Set differentiable alike in all."
                )

    def _check_fit(self, kinds: list[Kind]) -> None:
        """Refuse gradients and state that do not fit, before state is begun for any parameter."""
        for (rule, differentiable), group in zip(kinds, self.param_groups, strict=True):
            slots = [k for k, v in rule.signature.slots.items() if not isinstance(v, Scalar)]
            for p in (each for each in group["params"] if each.grad is not None):
                state = self.state.get(p, {})
                kept = {name: state[name] for name in slots if state.get(name) is not None}
                row = Row(p, tuple(kept.values()), (), p, 0)
                row.check_gradient(p.grad)
                check_placed_alike(p.grad, p, "the gradient", pending=True)
                for name, value in kept.items():
                    check_placed_alike(value, p, f"the state {name!r}")
                if row.names_rows:
                    lower(rule).check_sparse()
                    check_dense_where_needed(differentiable, shard_of(p) is not None)

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
                with torch.set_grad_enabled(bool(group.get("differentiable"))):
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
        for entry in self._timetable:
            entry.forget_scheduler(self.param_groups[entry.group], groups[entry.group])
        self.__setstate__({"state": state, "param_groups": groups})
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "state": watched(state["state"])})
        for entry in self.__dict__.setdefault("_timetable", []):
            entry.adopt(self.param_groups[entry.group])
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
            "_timetable": self._timetable,
            "skipped_steps": self.skipped_steps,
        }


def _begin(initial: Any, p: Tensor, settings: Mapping[str, Any]) -> Any:
    """Return the first value of a slot; a complex number begins with both its parts.

    It is no view: autograd would not let a later step write to one that was made unrecorded.
    """
    if p.is_complex() and not isinstance(initial, Scalar):
        return torch.view_as_complex(begin(initial, torch.view_as_real(p), settings)).clone()
    return begin(initial, p, settings)


def _number(value: Any) -> Any:
    """Return *value* apart from any graph."""
    return value.detach() if isinstance(value, Tensor) else value


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
    g = local(g) if shard_of(g) else g
    values = g.detach().coalesce()._values() if g.is_sparse else g
    return bool(torch.isfinite(values).all())
