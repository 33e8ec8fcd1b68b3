"""How descent moves on a quadratic, in closed form: each eigen-direction goes its own way."""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, final

import torch
from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue, UnknownName

Method: TypeAlias = Literal["gradient descent", "heavy ball", "nesterov"]

_AT_REST = 1e-12
_TURN = 1e-7


@final
@dataclass(frozen=True, eq=False)
class Dynamics:
    """Gradient descent with or without momentum on a quadratic with these *curvatures* (n,).

    Along an eigen-direction, the parameter and the buffer are multiplied at each step by a matrix
    of two by two, ``steps`` (n, 2, 2). Its eigenvalues are ``roots`` (n, 2), complex, the larger in
    size first, and what is left of a start shrinks in the long run by ``rates`` (n,), the size of
    the larger, at each step. All coordinates are those along the eigenvectors, from the minimum.
    """

    curvatures: Tensor
    steps: Tensor
    roots: Tensor

    @property
    def rates(self) -> Tensor:
        """By what each coordinate shrinks a step, in the long run; it grows above 1."""
        return self.roots[:, 0].abs()

    @property
    def rate(self) -> float:
        """The slowest of the rates, which all of the distance follows in the end."""
        return float(self.rates.max())

    @property
    def converges(self) -> Tensor:
        """Whether each coordinate goes to zero (n,)."""
        return self.rates < 1 - _AT_REST

    @property
    def diverges(self) -> Tensor:
        """Whether each coordinate grows without end (n,); at a rate of 1 it does neither."""
        return self.rates > 1 + _AT_REST

    @property
    def oscillates(self) -> Tensor:
        """Whether each coordinate changes its sign again and again (n,)."""
        larger = self.roots[:, 0]
        return (larger.real < 0) | (larger.imag.abs() > _TURN * larger.abs())

    def at(self, step: int, start: Tensor) -> Tensor:
        """Return the coordinates (n,) after *step* steps from *start* (n,), without those between.

        Raises BadValue for a start of another length.
        """
        check_count("step", step, 0)
        return torch.linalg.matrix_power(self.steps, step)[:, 0, 0] * self._checked(start)

    def path(self, steps: int, start: Tensor) -> Tensor:
        """Return the coordinates (steps + 1, n) from *start* (n,) on."""
        check_count("steps", steps, 0)
        return torch.stack([self.at(step, start) for step in range(steps + 1)])

    def _checked(self, start: Any) -> Tensor:
        if not isinstance(start, Tensor):
            raise BadType(f"start is a {type(start).__name__}; expected a tensor of coordinates.")
        if start.shape != self.curvatures.shape:
            raise BadValue(
                f"start has shape {tuple(start.shape)}; expected one coordinate for each of the "
                f"{len(self.curvatures)} curvatures."
            )
        if not bool(start.isfinite().all()):
            raise BadValue("start has coordinates that are not finite.")
        return start.detach().double()


def dynamics(
    curvatures: Any, lr: float, *, momentum: float = 0.0, nesterov: bool = False
) -> Dynamics:
    """Return how descent at rate *lr* moves along directions of these *curvatures*, eigenvalues.

    The names are those of torch's SGD, and so is the rule: the buffer is empty at first, is
    multiplied by *momentum* and receives each gradient. Without momentum a coordinate is multiplied
    by 1 - lr * curvature: it decays up to a product of 1, oscillates up to 2, and diverges beyond.
    Negative curvatures always diverge. Source: Polyak, Some methods of speeding up the convergence
    of iteration methods, 1964; Goh, Why momentum really works, 2017. Raises BadType and BadValue
    for what is no number or out of range.
    """
    check_number("lr", lr, 0)
    check_number("momentum", momentum, 0, 1)
    if nesterov and not momentum:
        raise BadValue("nesterov=True without momentum is plain descent; give a momentum above 0.")
    values = _values(curvatures)
    steps = torch.empty(len(values), 2, 2, dtype=torch.float64)
    ahead, through = (1 + momentum, momentum**2) if nesterov else (1.0, momentum)
    steps[:, 0, 0], steps[:, 0, 1] = 1 - lr * ahead * values, -lr * through
    steps[:, 1, 0], steps[:, 1, 1] = values, momentum
    product = momentum * (1 - lr * values) if nesterov else torch.full_like(values, momentum)
    return Dynamics(values, steps, _roots(steps[:, 0, 0] + momentum, product))


def _values(curvatures: Any) -> Tensor:
    try:
        found = torch.as_tensor(curvatures, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadType(
            f"curvatures is a {type(curvatures).__name__}; expected numbers, or a tensor of them."
        ) from error
    found = found.unsqueeze(0) if found.ndim == 0 else found
    if found.ndim != 1 or not len(found) or not bool(found.isfinite().all()):
        raise BadValue("curvatures should be one or more finite numbers, in one dimension.")
    return found


def _roots(total: Tensor, product: Tensor) -> Tensor:
    """Return the two numbers (n, 2) with this sum and product, the larger in size first."""
    half = (total / 2).to(torch.complex128)
    apart = (half * half - product).sqrt()
    larger = torch.where(half.real < 0, half - apart, half + apart)
    smaller = torch.where(larger == 0, 0, product / larger)
    return torch.stack([larger, smaller], 1)


class BestSetting(NamedTuple):
    """A rate and a momentum, and by what they shrink the distance a step in the long run."""

    lr: float
    momentum: float
    rate: float


def best_setting(smallest: float, largest: float, method: Method = "heavy ball") -> BestSetting:
    """Return the setting with the best rate for all curvatures from *smallest* to *largest*.

    Source: Polyak 1964 for the heavy ball; Lessard, Recht and Packard, Analysis and design of
    optimization algorithms via integral quadratic constraints, 2016, for Nesterov's momentum on
    quadratics. Raises BadValue unless 0 < smallest <= largest, UnknownName for another method.
    """
    check_number("smallest", smallest, 0)
    check_number("largest", largest, smallest)
    if not smallest:
        raise BadValue(
            "smallest=0: along a flat direction nothing converges, so no rate is best. Give the "
            "smallest curvature that matters."
        )
    if method == "gradient descent":
        return BestSetting(
            2 / (smallest + largest), 0.0, (largest - smallest) / (largest + smallest)
        )
    if method == "heavy ball":
        low, high = math.sqrt(smallest), math.sqrt(largest)
        shrink = (high - low) / (high + low)
        return BestSetting((2 / (high + low)) ** 2, shrink**2, shrink)
    if method == "nesterov":
        root = math.sqrt(3 * largest / smallest + 1)
        return BestSetting(4 / (3 * largest + smallest), (root - 2) / (root + 2), 1 - 2 / root)
    raise UnknownName(
        f"method={method!r}; expected 'gradient descent', 'heavy ball' or 'nesterov'."
    )
