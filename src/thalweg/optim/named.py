"""torch.optim's names and signatures; which rule runs is decided by the switches they take.

``foreach``, ``fused`` and ``capturable`` are accepted so that existing code works, and do nothing:
the fastest engine that can run is always chosen.
"""

from functools import cache
from typing import Any

import torch

from thalweg.errors import BadValue
from thalweg.optim.driver import Driver, Group, Number
from thalweg.rules import Rule, chain, find
from thalweg.rules.transforms import ascend, decay, l2_decay


@cache
def with_switches(name: str, kind: str, maximize: bool) -> Rule:
    """Return the rule called *name* with L2 or decoupled decay, climbing if asked to."""
    pieces: list[Any] = [ascend] if maximize else []
    pieces += {"l2": [l2_decay], "decoupled": [decay], "none": []}[kind]
    return chain(*pieces, find(name)) if pieces else find(name)


class Named(Driver):
    """An optimizer of torch.optim, run by the rule of the same name.

    Its groups hold torch's keys, and its checkpoints are torch's checkpoints.
    """


def settings(arguments: dict[str, Any]) -> Group:
    """Return a constructor's arguments as the settings of a parameter group."""
    return {k: v for k, v in arguments.items() if k not in ("self", "params", "__class__")}


class SGD(Named):
    """Gradient descent, with momentum or Nesterov momentum if asked for."""

    shows_step = False

    def __init__(
        self, params: Any, lr: Number = 1e-3, momentum: Number = 0, dampening: Number = 0,
        weight_decay: Number = 0, nesterov: bool = False, *, maximize: bool = False,
        foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def _check_group(self, group: Group) -> None:
        super()._check_group(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise BadValue(
                f"SGD: nesterov=True with momentum={group['momentum']} and "
                f"dampening={group['dampening']}; it needs a positive momentum and no dampening."
            )

    def rule_of(self, group: Group) -> Rule:
        """Return sgd, momentum or nesterov."""
        name = "nesterov" if group["nesterov"] else "momentum" if group["momentum"] else "sgd"
        return with_switches(name, "l2", group["maximize"])


class Adagrad(Named):
    """Adagrad; like torch's, it makes the state of every parameter at once."""

    def __init__(
        self, params: Any, lr: Number = 1e-2, lr_decay: Number = 0, weight_decay: Number = 0,
        initial_accumulator_value: Number = 0, eps: Number = 1e-10, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters and begin their state."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        with torch.no_grad():
            for p in group["params"]:
                self._begun(self.rule_of(group), p, group)

    def rule_of(self, group: Group) -> Rule:
        """Return adagrad with L2 decay."""
        return with_switches("adagrad", "l2", group["maximize"])


class Adadelta(Named):
    """Adadelta, whose step the paper's way has no learning rate; lr = 1 leaves it so."""

    def __init__(
        self, params: Any, lr: Number = 1.0, rho: Number = 0.9, eps: Number = 1e-6,
        weight_decay: Number = 0, foreach: bool | None = None, *, capturable: bool = False,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return adadelta with L2 decay."""
        return with_switches("adadelta", "l2", group["maximize"])


class RMSprop(Named):
    """RMSprop, centered and with momentum if asked for."""

    def __init__(
        self, params: Any, lr: Number = 1e-2, alpha: Number = 0.99, eps: Number = 1e-8,
        weight_decay: Number = 0, momentum: Number = 0, centered: bool = False,
        capturable: bool = False, foreach: bool | None = None, maximize: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return the variant of rmsprop that the switches name."""
        centered = "_centered" if group["centered"] else ""
        momentum = "_momentum" if group["momentum"] else ""
        return with_switches(f"rmsprop{centered}{momentum}", "l2", group["maximize"])


BETAS = {"beta1": ("betas", 0), "beta2": ("betas", 1)}


class Adam(Named):
    """Adam, or AMSGrad if asked for."""

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 1e-3, betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8, weight_decay: Number = 0, amsgrad: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return adam or amsgrad with L2 or decoupled decay."""
        return with_switches(
            "amsgrad" if group["amsgrad"] else "adam", decay_kind(group), group["maximize"]
        )


class AdamW(Named):
    """Adam with decoupled weight decay, or AMSGrad with it if asked for."""

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 1e-3, betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8, weight_decay: Number = 1e-2, amsgrad: bool = False, *,
        maximize: bool = False, foreach: bool | None = None, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, {**settings(locals()), "decoupled_weight_decay": True})

    def rule_of(self, group: Group) -> Rule:
        """Return adam or amsgrad with decoupled decay."""
        return with_switches(
            "amsgrad" if group["amsgrad"] else "adam", "decoupled", group["maximize"]
        )


class SparseAdam(Named):
    """Adam for sparse gradients, with torch's place of eps in it; dense ones are taken as well.

    Every optimizer here takes sparse gradients. What sets this one apart is that eps is added
    before the second moment is corrected.
    """

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 1e-3, betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return adam_keras."""
        return with_switches("adam_keras", "none", group["maximize"])

    def state_dict(self) -> dict[str, Any]:
        """Return state and groups as torch's SparseAdam has them, where a step is no tensor."""
        found = super().state_dict()
        for entry in found["state"].values():
            if isinstance(entry, dict) and "step" in entry:
                entry["step"] = int(entry["step"])
        return found


class Adamax(Named):
    """AdaMax: Adam by the largest recent gradient."""

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 2e-3, betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8, weight_decay: Number = 0, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return adamax with L2 decay."""
        return with_switches("adamax", "l2", group["maximize"])


class NAdam(Named):
    """NAdam: Adam with Nesterov momentum on a warming schedule."""

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 2e-3, betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8, weight_decay: Number = 0, momentum_decay: Number = 4e-3,
        decoupled_weight_decay: bool = False, *, foreach: bool | None = None,
        maximize: bool = False, capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return nadam with L2 or decoupled decay."""
        return with_switches("nadam", decay_kind(group), group["maximize"])


class RAdam(Named):
    """RAdam: Adam that waits until its second moment is sound."""

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 1e-3, betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8, weight_decay: Number = 0, decoupled_weight_decay: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return radam with L2 or decoupled decay."""
        return with_switches("radam", decay_kind(group), group["maximize"])


class Rprop(Named):
    """Rprop for whole-batch gradients: it looks at signs only."""

    places = {
        "etaminus": ("etas", 0), "etaplus": ("etas", 1),
        "step_size_min": ("step_sizes", 0), "step_size_max": ("step_sizes", 1),
    }  # fmt: skip

    def __init__(
        self, params: Any, lr: Number = 1e-2, etas: tuple[Number, Number] = (0.5, 1.2),
        step_sizes: tuple[Number, Number] = (1e-6, 50), *, capturable: bool = False,
        foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return rprop."""
        return with_switches("rprop", "none", group["maximize"])


def decay_kind(group: Group) -> str:
    """Return ``decoupled`` or ``l2``, as the group's switch says."""
    return "decoupled" if group["decoupled_weight_decay"] else "l2"
