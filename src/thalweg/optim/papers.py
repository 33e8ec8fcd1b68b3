"""Classes for rules that torch.optim does not have, in its manner: the same groups and switches."""

import math
from typing import Any

from thalweg.errors import BadValue, UnknownName, nearest
from thalweg.optim.driver import Group, Number
from thalweg.optim.named import BETAS, Named, decay_kind, settings, with_switches
from thalweg.rules import Rule


class SGDW(Named):
    """Gradient descent with momentum and decoupled weight decay."""

    def __init__(
        self, params: Any, lr: Number = 1e-3, momentum: Number = 0.9, weight_decay: Number = 1e-2,
        dampening: Number = 0, *, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return momentum with decoupled decay."""
        return with_switches("momentum", "decoupled", group["maximize"])


DECAYS = ("none", "linear", "cosine", "restart")


class Signed(Named):
    """PowerSign and AddSign: how much the signs count may decay with the number of updates.

    *decay* is ``none``, ``linear``, ``cosine`` or ``restart``, and the last three go over
    *decay_steps* updates, which must then be given. *periods* counts the waves of the cosine, or
    the restarts; unless given it is the rule's own: half a wave, or one period.
    """

    family: str

    def _check_group(self, group: Group) -> None:
        name, decay = type(self).__name__, group["decay"]
        if decay not in DECAYS:
            raise UnknownName(
                f"{name}: decay={decay!r}.{nearest(str(decay), DECAYS)} Expected one of "
                f"{', '.join(DECAYS)}."
            )
        super()._check_group(group)

    def _value(self, group: Group, name: str) -> Any:
        if name == "periods" and group["periods"] is None:
            return self.rule_of(group).hyperparameters["periods"].default
        value = super()._value(group, name)
        if value is None:
            raise BadValue(
                f"{type(self).__name__}: decay={group['decay']!r} needs {name}, the number of "
                "updates it goes over."
            )
        return value

    def rule_of(self, group: Group) -> Rule:
        """Return the variant that decays as the group asks."""
        variant = "" if group["decay"] == "none" else f"_{group['decay']}"
        return with_switches(f"{self.family}{variant}", "none", group["maximize"])


class PowerSign(Signed):
    """PowerSign: the step is multiplied by alpha where gradient and momentum agree in sign."""

    family = "powersign"

    def __init__(
        self, params: Any, lr: Number = 0.1, beta: Number = 0.9, alpha: Number = math.e,
        decay: str = "none", decay_steps: float | None = None, periods: float | None = None, *,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))


class AddSign(Signed):
    """AddSign: the step is doubled where gradient and momentum agree in sign, else cancelled."""

    family = "addsign"

    def __init__(
        self, params: Any, lr: Number = 0.1, beta: Number = 0.9, alpha: Number = 1,
        decay: str = "none", decay_steps: float | None = None, periods: float | None = None, *,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))


class Lion(Named):
    """Lion: steps by the sign of a momentum, with decoupled weight decay."""

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 1e-4, betas: tuple[Number, Number] = (0.9, 0.99),
        weight_decay: Number = 0, *, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return lion with decoupled decay."""
        return with_switches("lion", "decoupled", group["maximize"])


class Yogi(Named):
    """Yogi: Adam whose second moment moves by at most the newest square."""

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 1e-2, betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-3, weight_decay: Number = 0, initial_accumulator_value: Number = 1e-6, *,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return yogi with L2 decay."""
        return with_switches("yogi", "l2", group["maximize"])


class AdaBelief(Named):
    """AdaBelief: Adam that divides by the spread of the gradients around their mean."""

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 1e-3, betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8, weight_decay: Number = 0, decoupled_weight_decay: bool = False, *,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return adabelief with L2 or decoupled decay."""
        return with_switches("adabelief", decay_kind(group), group["maximize"])


class LARS(Named):
    """LARS: momentum in which each tensor moves by a set share of its own norm."""

    def __init__(
        self, params: Any, lr: Number = 0.1, momentum: Number = 0.9, weight_decay: Number = 0,
        trust_coefficient: Number = 1e-3, *, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return lars, whose decay is its own."""
        return with_switches("lars", "none", group["maximize"])


class LAMB(Named):
    """LAMB: AdamW whose step for each tensor has the length of lr times the tensor's norm."""

    places = BETAS

    def __init__(
        self, params: Any, lr: Number = 1e-3, betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-6, weight_decay: Number = 1e-2, *, maximize: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, settings(locals()))

    def rule_of(self, group: Group) -> Rule:
        """Return lamb, whose decay is its own."""
        return with_switches("lamb", "none", group["maximize"])
