"""The answer: an interval of learning rates, one of them, and the reasons in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

from thalweg.doctor.plain import plain
from thalweg.doctor.rates.edge import Edge
from thalweg.doctor.rates.sweep import SEEDS, Sweep
from thalweg.doctor.rates.trials import CLOSE, ORDERS, Trials


@final
@dataclass(frozen=True)
class Advice:
    """A learning rate for a rule on a problem, of the first group if there are several.

    Any from ``low`` to ``high`` is as good as far as short runs can tell, and ``lr`` is their
    geometric middle. ``stable`` is the interval of the largest stable rate at the start, None where
    it is not known. ``losses`` has the loss after a short run by rate, infinite where it diverged.
    """

    problem: str
    rule: str
    lr: float
    low: float
    high: float
    steepest: float
    stable: tuple[float, float] | None
    losses: Mapping[float, float]
    reasons: Sequence[str]

    def report(self) -> str:
        """Return the answer in words."""
        head = f"learning rate of {self.rule} on {self.problem}: {self.lr:.2g}"
        span = f"as good from {self.low:.2g} to {self.high:.2g}"
        return "\n".join([f"{head}, {span}", "", *(f"- {each}" for each in self.reasons)])

    def as_data(self) -> dict[str, Any]:
        """Return the answer as what JSON has."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def advised(problem: str, rule: str, swept: Sweep, edge: Edge, trials: Trials) -> Advice:
    """Return the advice that follows from the three measurements."""
    low, high = trials.span
    lr = float(f"{math.sqrt(low * high):.2g}")
    reasons = (_of_sweep(swept), _of_edge(edge, rule, lr), *_of_trials(trials))
    stable = (edge.low, edge.high) if edge.known else None
    losses = dict(sorted(trials.losses.items()))
    return Advice(problem, rule, lr, low, high, swept.steepest, stable, losses, reasons)


def _of_sweep(swept: Sweep) -> str:
    return (
        f"Range test: with a rate that grows from {swept.rates[0]:.2g}, the loss falls fastest at "
        f"{swept.steepest:.2g} and is lowest at {swept.lowest:.2g} (mean of {SEEDS} orders of the "
        "data)."
    )


def _of_edge(edge: Edge, rule: str, lr: float) -> str:
    if not edge.known:
        return f"Stability: the largest stable rate is not known: {edge.reason}."
    said = f"Stability: by the curvature at the start, steps of {rule} grow beyond {edge.high:.2g}"
    if lr <= edge.low:
        return f"{said}; {lr:.2g} is {edge.low / lr:.2g} times below that."
    return (
        f"{said}; the short runs at {lr:.2g} went well beyond that, for curvature falls early on."
    )


def _of_trials(trials: Trials) -> list[str]:
    least, (low, high) = trials.losses[trials.best], trials.good
    found = [
        f"Short runs of {trials.updates} updates at {len(trials.losses)} rates, each in {ORDERS} "
        f"orders of the data: the loss went from {trials.start:.3g} to {least:.3g} at best, at "
        f"{trials.best:.2g}. {_those(low, high)} {CLOSE:.0%} of that gain, and the answer "
        "reaches halfway to the next ones."
    ]
    above = [rate for rate in trials.losses if rate > high]
    if above:
        after = trials.losses[min(above)]
        ended = f"ended at {after:.3g}" if math.isfinite(after) else "diverged"
        found.append(f"The next larger rate, {min(above):.2g}, {ended}.")
    return found


def _those(low: float, high: float) -> str:
    return (
        f"From {low:.2g} to {high:.2g} they lack at most"
        if low < high
        else "All others lack more than"
    )
