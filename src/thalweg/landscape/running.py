"""What a running optimizer does to each number: its rule, its settings and the state it has now."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from thalweg.errors import BadType, BadValue
from thalweg.landscape.objective import Objective
from thalweg.landscape.response import Frozen, Response
from thalweg.rules import Rule, chain, find
from thalweg.rules.transforms import ascend, clip_by_global_norm, clip_by_value, decay, l2_decay

Group = Mapping[str, Any]

_PLACES = {"beta1": ("betas", 0), "beta2": ("betas", 1)}
_CLIPPING = (clip_by_global_norm, clip_by_value)
_NAMES = {
    "SGD": lambda group: _sgd(group),
    "Adam": lambda group: "amsgrad" if group["amsgrad"] else "adam",
    "RMSprop": lambda group: _rmsprop(group),
    "Adagrad": lambda _: "adagrad",
    "Adadelta": lambda _: "adadelta",
    "Adamax": lambda _: "adamax",
    "NAdam": lambda _: "nadam",
    "RAdam": lambda _: "radam",
    "SparseAdam": lambda _: "adam_keras",
}
"""Which rule each class of torch.optim runs; AdamW is an Adam whose groups say so."""


@final
class Running:
    """The steps of *optimizer*, as its state has them now, on the numbers of *objective*.

    *rate* replaces the learning rate of every group, *times* multiplies it. Numbers that the
    optimizer does not train, that had no gradient yet, or whose divisor is at least half eps
    (second moments up to eps squared), are left out: their steps are not what curvature decides.

    Raises BadType for an optimizer whose steps are no multiple of the gradient, BadValue for one
    that trains none of these numbers or has made no step.
    """

    def __init__(self, optimizer: Optimizer, objective: Objective) -> None:
        self.optimizer, self.objective = optimizer, objective
        self._groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        if not any(id(p) in self._groups for p in objective.sources.values()):
            raise BadValue(
                "the optimizer trains none of the parameters of this objective; make both from the "
                "same model."
            )
        if not any(self._begun(p) for p in objective.sources.values()):
            raise BadValue(
                "the optimizer has no state yet, and so no divisors. Let it make a step first."
            )

    @property
    def rate(self) -> float:
        """The learning rate of the first group now."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def rule(self) -> str:
        """The name of the rule of the first group."""
        return self._frozen(self.optimizer.param_groups[0]).rule.name

    def gradient_gain(self, turn: float, rate: float | None = None, times: float = 1) -> Tensor:
        """Return what the step makes of a gradient that changes by *turn*, zero where left out."""
        found = {name: self._gain(p, turn, rate, times) for name, p in self._each()}
        return self.objective.layout.join(found)

    def parameter_gain(self, turn: float, times: float = 1) -> Tensor:
        """Return what the step makes of the parameter itself, by weight decay."""
        found = {name: self._decay(p, turn, times) for name, p in self._each()}
        return self.objective.layout.join(found)

    def _each(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.objective.sources.items()

    def _gain(self, p: Tensor, turn: float, rate: float | None, times: float) -> Tensor:
        if not self._begun(p):
            return _zeros(p)
        gain = self._response(p, rate, times).to_gradient(turn)
        bare = self._response(p, rate, times, without_eps=True).to_gradient(turn)
        return torch.where(bare.abs() < 2 * gain.abs(), gain, 0)

    def _decay(self, p: Tensor, turn: float, times: float) -> Tensor:
        if not self._begun(p):
            return _zeros(p)
        return self._response(p, None, times).to_parameter(turn)

    def _begun(self, p: Tensor) -> bool:
        """Return whether the optimizer trains *p* and has every divisor that its rule needs."""
        if id(p) not in self._groups:
            return False
        state = self.optimizer.state.get(p, {})
        needed = self._frozen(self._groups[id(p)]).divisors
        return all(state.get(name) is not None for name in needed)

    def _response(
        self, p: Tensor, rate: float | None, times: float, without_eps: bool = False
    ) -> Response:
        group, state = self._groups[id(p)], dict(self.optimizer.state.get(p, {}))
        frozen, values = self._frozen(group), _values(self.optimizer, group)
        if "lr" in values:
            values["lr"] = (values["lr"] if rate is None else rate) * times
        held = {name: torch.as_tensor(state[name]).detach() for name in frozen.divisors}
        if without_eps and "eps" in values:
            inside = [name for name in held if frozen.reads_eps(name)]
            held |= {name: (held[name] - values["eps"]).clamp(min=0) for name in inside}
            values["eps"] = 0.0
        return frozen.response(values, held, p.detach(), float(state.get("step", 1)))

    def _frozen(self, group: Group) -> Frozen:
        return _frozen(rule_of(self.optimizer, group))


@lru_cache(maxsize=64)
def _frozen(rule: Rule) -> Frozen:
    return Frozen(rule)


def rule_of(optimizer: Optimizer, group: Group) -> Rule:
    """Return the rule that *optimizer* runs on *group*, clipping left out.

    Near a critical point gradients are small, and clipping does nothing to them.
    """
    own = getattr(optimizer, "rule_of", None)
    if own is None:
        return _torch_rule(type(optimizer), group)
    rule: Rule = own(group)
    kept = [piece for piece in rule.pieces if piece not in _CLIPPING]
    return rule if len(kept) == len(rule.pieces) else chain(*kept)


def _torch_rule(kind: type, group: Group) -> Rule:
    names = [each.__name__ for each in kind.__mro__ if each.__module__.startswith("torch.optim")]
    known = next((name for name in names if name in _NAMES), None)
    if known is None:
        raise BadType(
            f"{kind.__name__} is an optimizer whose rule is not known; expected thalweg's, or of "
            f"torch.optim one of {', '.join(_NAMES)} and AdamW."
        )
    pieces: list[Any] = [ascend] if group.get("maximize") else []
    if group.get("weight_decay"):
        pieces.append(decay if group.get("decoupled_weight_decay") else l2_decay)
    rule = find(_NAMES[known](group))
    return _chained(*pieces, rule) if pieces else rule


@lru_cache(maxsize=64)
def _chained(*pieces: Any) -> Rule:
    return chain(*pieces)


def _sgd(group: Group) -> str:
    return "nesterov" if group["nesterov"] else "momentum" if group["momentum"] else "sgd"


def _rmsprop(group: Group) -> str:
    centered, momentum = ("_centered", "_momentum")
    return f"rmsprop{centered * group['centered']}{momentum * bool(group['momentum'])}"


def _values(optimizer: Optimizer, group: Group) -> dict[str, float]:
    """Return the hyperparameters by name, as numbers."""
    own = getattr(optimizer, "values_of", None)
    rule = rule_of(optimizer, group)
    if own is not None:
        whole: Rule = optimizer.rule_of(group)  # type: ignore[attr-defined]
        return dict(zip(whole.hyperparameters, map(float, own(group)), strict=True))
    return {name: float(_value(group, name, rule)) for name in rule.hyperparameters}


def _value(group: Group, name: str, rule: Rule) -> Any:
    key, index = _PLACES.get(name, (name, None))
    if key not in group:
        return rule.hyperparameters[name].default
    return group[key] if index is None else group[key][index]


def _zeros(p: Tensor) -> Tensor:
    return torch.zeros(p.shape, dtype=torch.float64, device=p.device)
