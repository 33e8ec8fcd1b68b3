"""Who runs, with which learning rates, for how long: settled before the first step."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg import problems
from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.problems import Problem, Split
from thalweg.rules import Rule, catalogue, find

_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Plan:
    """A race that has been checked and can begin; ``epochs`` holds for every run."""

    problem: Problem
    rules: tuple[Rule, ...]
    trials: int
    seed: int
    epochs: int

    @property
    def batch_size(self) -> int:
        """The number of examples behind one update."""
        size = self.problem.batch_size
        return len(examples(self.problem, "train")[1]) if size == "all" else size

    def entries(self) -> list[tuple[Rule, float]]:
        """Return each run's rule and learning rate, all rules before the next learning rate.

        So a busy spell of the machine does not fall on one rule, and a race that is cut short has
        tried about as many learning rates for each.
        """
        grids = [grid(rule, self.trials) for rule in self.rules]
        return [(rule, lr) for lrs in zip(*grids, strict=True) for rule, lr in self._paired(lrs)]

    def _paired(self, lrs: tuple[float, ...]) -> Iterable[tuple[Rule, float]]:
        return zip(self.rules, lrs, strict=True)


def prepare(
    problem: str | Problem,
    rules: Iterable[str | Rule] | None = None,
    *,
    trials: int = 4,
    seed: int = 0,
    epochs: int | None = None,
) -> Plan:
    """Check the arguments of a race, load the problem's data and return the plan.

    Raises UnknownName, BadValue, BadType or BadFile before anything is trained.
    """
    check_count("trials", trials)
    check_count("seed", seed, 0, _LARGEST_SEED)
    if epochs is not None:
        check_count("epochs", epochs)
    chosen = _choose(catalogue if rules is None else rules)
    loaded = problems.load(problem) if isinstance(problem, str) else problem
    for part in ("train", "validation"):
        examples(loaded, part)
    return Plan(loaded, chosen, trials, seed, loaded.epochs if epochs is None else epochs)


def examples(problem: Problem, part: str) -> tuple[Tensor, Tensor]:
    """Return the inputs and targets of ``"train"`` or ``"validation"`` as tensors.

    Raises BadValue where the problem has none, or has them as a Dataset or DataLoader.
    """
    data = getattr(problem, part)
    if not isinstance(data, Split):
        raise BadValue(
            f"a race needs {part} as a pair of tensors or arrays; the problem {problem.name!r} has "
            f"{'none' if data is None else 'a ' + type(data).__name__}."
        )
    return torch.as_tensor(data.inputs), torch.as_tensor(data.targets)


def grid(rule: Rule, trials: int) -> tuple[float, ...]:
    """Return ``trials`` learning rates, evenly spaced in logarithm over the rule's search range.

    Both ends of the range belong to the grid. A single trial is the rule's default.
    """
    lr = rule.hyperparameters["lr"]
    if trials == 1:
        return (lr.default,)
    low, high = map(math.log, lr.search or (lr.default / 10, lr.default * 10))
    exponents = (low + (high - low) * index / (trials - 1) for index in range(trials))
    return tuple(float(f"{math.exp(exponent):.4g}") for exponent in exponents)


def _choose(rules: Iterable[str | Rule]) -> tuple[Rule, ...]:
    if isinstance(rules, str):
        raise BadType(
            f"rules should be a list of names, got the text {rules!r}: write [{rules!r}]."
        )
    found = [find(rule) if isinstance(rule, str) else rule for rule in rules]
    chosen = tuple(dict.fromkeys(found))
    if not chosen:
        raise BadValue(
            "a race needs at least one rule, none was given; leave rules out for all of them."
        )
    _check_rules(chosen)
    return chosen


def _check_rules(rules: tuple[Rule, ...]) -> None:
    keys = [rule.key for rule in rules]
    for rule in rules:
        if keys.count(rule.key) > 1:
            raise BadValue(f"two different rules are called {rule.key!r}; give each its own key.")
        if "lr" not in rule.hyperparameters:
            raise BadValue(f"the rule {rule.key!r} has no hyperparameter lr, which a race varies.")
