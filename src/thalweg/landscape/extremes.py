"""The ends of a spectrum, with their signs: the sharpest and the most negative curvatures."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.landscape.lanczos import Lanczos, Ritz
from thalweg.landscape.operator import GIBIBYTE, Operator


@final
@dataclass(frozen=True, eq=False)
class Eigenpair:
    """An eigenvalue, its unit vector (size,), and the norm of ``operator @ vector - value vector``.

    Some eigenvalue of the operator lies within ``residual`` of ``value``.
    """

    value: float
    residual: float
    vector: Tensor

    @property
    def interval(self) -> tuple[float, float]:
        """The eigenvalue less and more its residual."""
        return self.value - self.residual, self.value + self.residual


@final
@dataclass(frozen=True, eq=False)
class Extremes:
    """The ends of a spectrum, outermost first, and how many products they took.

    ``converged`` says whether each residual is within the tolerance asked for. ``seen`` are all the
    values of the small matrix, ascending: whatever a number is, at least as many eigenvalues of the
    operator lie below it as values that were seen do, by Cauchy's interlacing theorem.
    """

    largest: tuple[Eigenpair, ...]
    smallest: tuple[Eigenpair, ...]
    products: int
    converged: bool
    seen: tuple[float, ...]


def extremes(
    operator: Operator, *, largest: int = 1, smallest: int = 1, products: int = 30,
    tolerance: float = 1e-3, seed: int = 0, memory: float = 4 * GIBIBYTE,
) -> Extremes:  # fmt: skip
    """Return the *largest* eigenvalues of *operator* and the *smallest*, signs included.

    Lanczos runs until the residuals are within *tolerance* of the width of the spectrum, or
    *products* are used up; among those is one for each pair, which measures its residual. The
    direction to start with is drawn from *seed*. Eigenvalues that occur several times are returned
    once. Raises BadValue for fewer products than it needs, and where the directions exceed *memory*
    bytes.
    """
    for name, count in (("largest", largest), ("smallest", smallest)):
        check_count(name, count, 0)
    wanted = largest + smallest
    check_count("products", products, wanted + 1)
    check_number("tolerance", tolerance, 0)
    space = Lanczos(operator, random_start(operator, seed), products - wanted, memory)
    ritz = _grown(space, largest, smallest, tolerance)
    ends = _ends(len(ritz.values), largest, smallest)
    pairs = [_measured(space, ritz, place) for place in ends]
    width = float(ritz.values[-1] - ritz.values[0])
    scale = width or float(ritz.values.abs().max())
    top = min(largest, len(ritz.values))
    return Extremes(
        tuple(pairs[:top]),
        tuple(pairs[top:]),
        space.steps + len(pairs),
        all(pair.residual <= tolerance * scale for pair in pairs),
        tuple(ritz.values.tolist()),
    )


def random_start(operator: Operator, seed: int) -> Tensor:
    """Return normal numbers (size,) drawn on the CPU, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(operator.size, generator=generator, dtype=torch.float64)
    return drawn if operator.device.type == "mps" else drawn.to(operator.device)


def _grown(space: Lanczos, largest: int, smallest: int, tolerance: float) -> Ritz:
    """Grow the space until the ends asked for are settled, or it can grow no more."""
    while True:
        space.grow()
        ritz = space.ritz()
        ends = _ends(space.steps, largest, smallest)
        width = float(ritz.values[-1] - ritz.values[0])
        settled = bool((ritz.residuals[ends] <= tolerance * width).all())
        if space.exhausted or (settled and space.steps > largest + smallest):
            return ritz


def _ends(count: int, largest: int, smallest: int) -> list[int]:
    """Return the places of the largest values, from the end, then of the smallest."""
    top = [count - 1 - k for k in range(min(largest, count))]
    return top + list(range(min(smallest, count)))


def _measured(space: Lanczos, ritz: Ritz, place: int) -> Eigenpair:
    vector = space.vector(ritz.coefficients[:, place])
    value = float(ritz.values[place])
    image = (space.operator @ vector).to(vector)
    return Eigenpair(value, float((image - value * vector).norm()), vector)
