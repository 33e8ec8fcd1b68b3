"""The rule's numbers, epoch by epoch: the learning rate is lower in each than in the last."""

from __future__ import annotations

from dataclasses import dataclass

from thalweg.rules import Rule


@dataclass(frozen=True)
class Rates:
    """Hyperparameters of a rule in the order of its signature; *back_off* lowers ``lr``.

    In each epoch the rate is *back_off* times that of the one before (Recht et al. 2011).
    """

    settings: dict[str, float]
    back_off: float = 1.0

    def at(self, epoch: int) -> dict[str, float]:
        """Return the hyperparameters of epoch number *epoch*, from 0."""
        if "lr" not in self.settings:
            return self.settings
        return {**self.settings, "lr": self.settings["lr"] * self.back_off**epoch}


def rates_of(rule: Rule, lr: float | None, back_off: float) -> Rates:
    """Return the rates of a rule that begin at *lr*, at the rule's own where that is None."""
    given = {} if lr is None else {"lr": float(lr)}
    return Rates(rule.settings(**given), back_off)
