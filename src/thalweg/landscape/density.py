"""How the eigenvalues are spread: their whole density from a few Lanczos runs."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, pi, sqrt
from typing import final

import torch
from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadValue
from thalweg.landscape.estimate import Estimate, check_confidence, half_width
from thalweg.landscape.lanczos import Lanczos
from thalweg.landscape.operator import GIBIBYTE, Operator
from thalweg.landscape.trace import signs


@final
@dataclass(frozen=True, eq=False)
class Density:
    """The spectral density as sums of weighted points, one sum for each random probe.

    ``nodes[k]`` and ``weights[k]`` (steps,) are the points of probe *k*, ascending, and their
    weights, which sum to one. Each sum has the first ``2 steps - 1`` moments of its probe exactly.
    ``closed`` says that the points are eigenvalues: the runs went on until nothing was left.
    """

    nodes: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    closed: bool
    confidence: float
    products: int

    def moment(self, power: int) -> Estimate:
        """Return the mean over all eigenvalues of the eigenvalue to this *power*."""
        check_count("power", power, 1, None if self.closed else 2 * min(map(len, self.nodes)) - 1)
        return self._mean([float(w @ x**power) for x, w in self._probes()])

    def share(self, low: float = -inf, high: float = inf) -> Estimate:
        """Return which share of the eigenvalues lies between *low* and *high*.

        Beside the spread over probes the interval allows for what so few points cannot tell: the
        weight of a point may belong anywhere up to its neighbours.
        """
        slack = 0 if self.closed else 1
        masses = [_masses(x, w, low, high, slack) for x, w in self._probes()]
        least, between, most = (self._mean(each) for each in zip(*masses, strict=True))
        bounds = max(0.0, least.low), min(1.0, most.high)
        return Estimate(between.value, *bounds, self.confidence, self.products, True)

    def quantile(self, share: float) -> tuple[float, float, float]:
        """Return the size below which this *share* of eigenvalues lies in size, low and high too.

        Above the largest node nothing is known, and the high end is then infinite.
        """
        check_number("share", share, 0, 1)
        sizes = torch.cat(self.nodes).abs().sort().values.tolist()

        def first(reached: Callable[[Estimate], float]) -> float:
            place = bisect_left(sizes, share, key=lambda x: reached(self.share(-x, x)))
            return sizes[place] if place < len(sizes) else inf

        value, high = first(lambda each: each.value), first(lambda each: each.low)
        low = first(lambda each: each.high)
        return (0.0 if low == sizes[0] else low), value, high

    def curve(self, points: Tensor, width: float) -> Tensor:
        """Return the density at *points* (k,), each node widened to a normal curve."""
        check_number("width", width, 0)
        if not width:
            raise BadValue("width=0; expected the standard deviation of each node, above zero.")
        sums = [(w * torch.exp(-(((points[:, None] - x) / width) ** 2) / 2)).sum(1)
                for x, w in self._probes()]  # fmt: skip
        return torch.stack(sums).mean(0) / (width * sqrt(2 * pi))

    def _probes(self) -> "zip[tuple[Tensor, Tensor]]":
        return zip(self.nodes, self.weights, strict=True)

    def _mean(self, samples: Sequence[float]) -> Estimate:
        value = sum(samples) / len(samples)
        width = half_width(samples, self.confidence)
        return Estimate(value, value - width, value + width, self.confidence, self.products, True)


def density(
    operator: Operator, *, probes: int = 10, steps: int = 30, confidence: float = 0.95,
    seed: int = 0, memory: float = 4 * GIBIBYTE,
) -> Density:  # fmt: skip
    """Return the spectral density of *operator* by stochastic Lanczos quadrature.

    Costs ``probes * steps`` products. More steps show finer structure, more probes narrow the
    intervals. Source: Ubaru, Chen and Saad, Fast estimation of tr(f(A)) via stochastic Lanczos
    quadrature, 2017; for networks Ghorbani, Krishnan and Xiao, 2019. Raises BadValue where the
    directions of one run exceed *memory* bytes.
    """
    check_count("probes", probes, 2)
    check_count("steps", steps, 1)
    check_confidence(confidence)
    generator = torch.Generator().manual_seed(seed)
    runs = [_run(operator, signs(operator, generator), steps, memory) for _ in range(probes)]
    nodes, weights, closed = zip(*runs, strict=True)
    return Density(nodes, weights, all(closed), confidence, sum(map(len, nodes)))


def _run(
    operator: Operator, start: Tensor, steps: int, memory: float
) -> tuple[Tensor, Tensor, bool]:
    space = Lanczos(operator, start, steps, memory)
    while not space.exhausted:
        space.grow()
    ritz = space.ritz()
    return ritz.values.cpu(), ritz.coefficients[0].cpu() ** 2, space.closed


def _masses(
    nodes: Tensor, weights: Tensor, low: float, high: float, slack: int
) -> tuple[float, float, float]:
    """Return the least, the likely and the most weight between *low* and *high*.

    The weight up to a node lies between the sums without it and with it, by the inequalities of
    Chebyshev, Markov and Stieltjes; between two nodes it is known to both of them, *slack* = 1.
    """
    sums = [0.0, *weights.cumsum(0).tolist()]
    begin, end = int((nodes < low).sum()), int((nodes <= high).sum())
    least = _at(sums, end - slack) - _at(sums, begin + slack)
    most = _at(sums, end + slack) - _at(sums, begin - slack)
    if low == -inf:
        least, most = _at(sums, end - slack), _at(sums, end + slack)
    if high == inf:
        least, most = 1 - _at(sums, begin + slack), 1 - _at(sums, begin - slack)
    return max(0.0, least), sums[end] - sums[begin], most


def _at(sums: list[float], place: int) -> float:
    return sums[min(max(place, 0), len(sums) - 1)]
