"""`thalweg.Optimizer`: any rule or chain as a torch optimizer."""

import hashlib
from typing import Any

from thalweg.algebra import source
from thalweg.errors import BadType, UnknownName, nearest
from thalweg.kernels.plan import lower
from thalweg.optim.driver import Driver, Group
from thalweg.rules import Rule, catalogue, find, transforms

_SETTABLE = {
    "betas", *(name for each in (*catalogue.values(), *transforms.values())
               for name in each.signature.hyperparameters),
}  # fmt: skip


class Optimizer(Driver):
    """Update parameters by *rule*: a Rule, a chain, or the registry name of one.

    ``Optimizer(model.parameters(), chain(clip_by_global_norm, adam, decay), lr=3e-4)``

    Hyperparameters are the rule's, by name, and may differ between parameter groups. A real
    ``torch.optim.Optimizer``: groups, closures, hooks, schedulers and checkpoints work as there.

    Parameters may be spread over processes (DTensor, ``fully_shard``). Sums over elements are then
    over whole tensors: every process must take every step, and a gradient is None in all or none.

    *nonfinite* says what to do about NaN or infinite gradients: ``propagate`` them as torch does,
    ``skip`` the step and count it in ``skipped_steps``, or ``raise`` before anything is updated.

    Raises UnknownName, BadValue or BadType for what it cannot use, before anything is made.
    """

    def __init__(
        self, params: Any, rule: Rule | str, *, nonfinite: str = "propagate", **hyper: Any
    ) -> None:
        self.rule = find(rule) if isinstance(rule, str) else rule
        if not isinstance(self.rule, Rule):
            raise BadType(
                f"rule is {type(rule).__name__} ({rule!r}); expected a Rule, a chain of rules and "
                "transforms, or a name such as 'adam'."
            )
        settings = self.rule.settings(**hyper)
        lower(self.rule)
        super().__init__(params, settings, nonfinite)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters; a key that reads like a hyperparameter must be the rule's."""
        given = set(param_group) if isinstance(param_group, dict) else set()
        for key in sorted(given - {*self.rule.hyperparameters, "params"}):
            hint = nearest(key, self.rule.hyperparameters)
            if hint or key in _SETTABLE:
                raise UnknownName(
                    f"a parameter group sets {key!r}, but {self.rule.name} has no such "
                    f"hyperparameter.{hint} It takes: {', '.join(self.rule.hyperparameters)}."
                )
        super().add_param_group(param_group)

    def rule_of(self, group: Group) -> Rule:
        """Return the one rule of this optimizer."""
        return self.rule

    def state_dict_rule(self) -> str:
        """Return the name under which checkpoints know the rule."""
        digest = hashlib.sha256(source(self.rule).encode()).hexdigest()[:12]
        return f"{self.rule.key} {digest}"

    def state_dict(self) -> dict[str, Any]:
        """Return the state, the groups, and the rule's name with a digest of its text."""
        return {**super().state_dict(), "rule": self.state_dict_rule()}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule}
