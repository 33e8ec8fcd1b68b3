"""`thalweg.Optimizer`: any rule or chain as a torch optimizer."""

import hashlib
from typing import Any

from thalweg.algebra import source
from thalweg.errors import BadType, UnknownName, nearest
from thalweg.kernels.plan import lower
from thalweg.optim.driver import Driver, Group
from thalweg.optim.timetable import largest, with_numbers
from thalweg.rules import Rule, catalogue, find, transforms, variants

_SETTABLE: set[str] = {
    "betas", "etas", "step_sizes", "maximize", "nesterov", "amsgrad", "centered", "decay",
    "decoupled_weight_decay", "like", "nonfinite", "rule",
    *(name for each in {**catalogue, **variants}.values() for name in each.hyperparameters),
    *(name for each in transforms.values() for name in each.signature.hyperparameters),
}  # fmt: skip

_PEAKS = {"base_lr", "max_lr"}
"""What decays measure lr by; unless given it is the lr, or the highest that its schedule goes."""


class Optimizer(Driver):
    """Update parameters by *rule*: a Rule, a chain, or the registry name of one.

    ``Optimizer(model.parameters(), chain(clip_by_global_norm, adam, decay), lr=3e-4)``

    Hyperparameters are the rule's, by name, and may differ between parameter groups. Each is a
    number or a schedule, such as ``lr=cosine(3e-4, steps=10_000).after(warmup(500))``. A real
    ``torch.optim.Optimizer``: groups, closures, hooks, schedulers and checkpoints work as there.

    *like* asks for another convention by the same name, torch's being the default:
    ``Optimizer(params, "nadam", like="paper")`` runs Dozat's own; there are ``optax`` and
    ``keras`` too.

    A sparse gradient, as ``nn.Embedding(sparse=True)`` makes it, updates the rows it names and
    leaves all others, and their state, as they are; rules that sum over elements refuse it.

    Parameters may be spread over processes (DTensor, ``fully_shard``). Sums over elements are then
    over whole tensors: every process must take every step, and a gradient is None in all or none.

    *nonfinite* says what to do about NaN or infinite gradients: ``propagate`` them as torch does,
    ``skip`` the step and count it in ``skipped_steps``, or ``raise`` before anything is updated.
    *differentiable* lets autograd record the steps, as in `thalweg.optim.driver.Driver`.

    Raises UnknownName, BadValue or BadType for what it cannot use, before anything is made.
    """

    def __init__(
        self, params: Any, rule: Rule | str, *, like: str | None = None,
        nonfinite: str = "propagate", differentiable: bool = False, **hyper: Any,
    ) -> None:  # fmt: skip
        if like is not None and not isinstance(rule, str):
            raise BadType(
                f"like={like!r} chooses between the rules of one name; give the name, not a rule."
            )
        self.rule = find(rule, like) if isinstance(rule, str) else rule
        if not isinstance(self.rule, Rule):
            raise BadType(
                f"rule is {type(rule).__name__} ({rule!r}); expected a Rule, a chain of rules and "
                "transforms, or a name such as 'adam'."
            )
        settings = {**self.rule.settings(**with_numbers(hyper)), **hyper}
        settings |= {name: largest(settings["lr"]) for name in _PEAKS & set(settings) - set(hyper)}
        lower(self.rule)
        super().__init__(params, {**settings, "differentiable": differentiable}, nonfinite)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters; a key that reads like a hyperparameter must be the rule's."""
        given = set(param_group) if isinstance(param_group, dict) else set()
        for key in sorted(given - {*self.rule.hyperparameters, "params", "differentiable"}):
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
        return fingerprint(self.rule)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, the groups, and the rule's name with a digest of its text."""
        return {**super().state_dict(), "rule": self.state_dict_rule()}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule}


def fingerprint(rule: Rule) -> str:
    """Return the key of a rule with what tells its text from another."""
    text = source(rule).partition("\n")[2], repr(rule.signature.slots)
    digest = hashlib.sha256("".join(text).encode()).hexdigest()[:12]
    return f"{rule.key} {digest}"
