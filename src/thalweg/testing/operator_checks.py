"""What every curvature operator promises: a symmetric linear map that leaves all else alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.testing.checks import Check, bind, promise

Make = Callable[[], Any]
Gradient = Callable[[Tensor], Tensor]

_ROUNDINGS = 1e4
_CURVED = 1e-5


@dataclass(frozen=True)
class _Subject:
    make: Make
    gradient: Gradient | None
    point: Tensor | None
    model: nn.Module | None


_PROMISES: list[Callable[[_Subject], None]] = []
_OF_A_HESSIAN: list[Callable[[_Subject], None]] = []
_OF_A_MODEL: list[Callable[[_Subject], None]] = []


def check_operator(
    make: Make, *, gradient: Gradient | None = None, point: Tensor | None = None,
    model: nn.Module | None = None,
) -> Iterator[Check]:  # fmt: skip
    """Yield the named checks of the operators that *make* returns.

    ``check_operator(lambda: Hessian(loss), gradient=loss.gradient, point=loss.point)``

    An operator is anything with a ``shape`` (n, n), a ``dtype`` and ``operator @ vector`` for
    tensors (n,). With *gradient*, a function of a float64 *point* (n,) that returns (n,), the
    operator is held to be its derivative there; leave both out for one that is no Hessian. With
    *model*, making and using the operator is held not to change it.
    """
    subject = _Subject(make, gradient, point, model)
    yield from bind(_PROMISES, subject)
    if gradient is not None and point is not None:
        yield from bind(_OF_A_HESSIAN, subject)
    if model is not None:
        yield from bind(_OF_A_MODEL, subject)


def _vectors(operator: Any, count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(count, operator.shape[0], generator=generator, dtype=torch.float64)
    return [(each / each.norm()).to(operator.dtype) for each in drawn]


def _slack(operator: Any, *images: Tensor) -> float:
    """Return how far rounding may take sums of products as large as these."""
    largest = max(float(image.abs().max()) * len(image) ** 0.5 for image in images)
    return _ROUNDINGS * torch.finfo(operator.dtype).eps * max(largest, 1e-30)


@promise(_PROMISES)
def it_is_square_and_keeps_the_length_of_vectors(subject: _Subject) -> None:
    """Its shape is (n, n), and a product has the length and the dtype of a vector."""
    operator = subject.make()
    rows, columns = operator.shape
    (vector,) = _vectors(operator, 1)
    image = operator @ vector
    assert rows == columns
    assert image.shape == vector.shape
    assert image.dtype == operator.dtype


@promise(_PROMISES)
def it_is_symmetric(subject: _Subject) -> None:
    """u' A v equals v' A u."""
    operator = subject.make()
    u, v = _vectors(operator, 2)
    right, left = operator @ v, operator @ u
    difference = float(u.double() @ right.double() - v.double() @ left.double())
    assert abs(difference) <= _slack(operator, right, left), difference


@promise(_PROMISES)
def it_is_linear(subject: _Subject) -> None:
    """A (2 u - 3 v) equals 2 A u - 3 A v, and A 0 is 0."""
    operator = subject.make()
    u, v = _vectors(operator, 2)
    together, first, second = operator @ (2 * u - 3 * v), operator @ u, operator @ v
    difference = float((together - 2 * first + 3 * second).abs().max())
    assert difference <= _slack(operator, together, first, second), difference
    assert not (operator @ torch.zeros_like(u)).any()


@promise(_PROMISES)
def its_products_are_the_same_each_time(subject: _Subject) -> None:
    """Two products with one vector are equal, and so are those of an operator made anew."""
    operator, other = subject.make(), subject.make()
    (vector,) = _vectors(operator, 1)
    first, again, anew = operator @ vector, operator @ vector, other @ vector
    assert torch.equal(first, again)
    assert torch.equal(first, anew)


@promise(_PROMISES)
def it_leaves_the_vector_and_random_numbers_alone(subject: _Subject) -> None:
    """A product writes to nothing that it was given, and draws from no global generator."""
    state = torch.get_rng_state()
    operator = subject.make()
    (vector,) = _vectors(operator, 1)
    before = vector.clone()
    operator @ vector
    assert torch.equal(vector, before)
    assert torch.equal(torch.get_rng_state(), state)


@promise(_OF_A_HESSIAN)
def it_is_the_derivative_of_the_gradient(subject: _Subject) -> None:
    """In float64 its products agree with central differences of the gradient.

    The nearest of three step lengths counts: a difference may straddle a kink.
    """
    operator = subject.make()
    assert operator.dtype == torch.float64, f"differences need float64, not {operator.dtype}"
    for vector in _vectors(operator, 3):
        image = operator @ vector
        errors = [
            float((_difference(subject, vector, h) - image).norm()) for h in _lengths(subject)
        ]
        scale = max(float(image.norm()), 1e-6)
        assert min(errors) <= _CURVED * scale, f"differs by {min(errors):.3g} of {scale:.3g}"


def _lengths(subject: _Subject) -> list[float]:
    assert subject.point is not None
    size = max(1.0, float(subject.point.norm()))
    return [size * length for length in (1e-4, 1e-5, 1e-6)]


def _difference(subject: _Subject, vector: Tensor, length: float) -> Tensor:
    assert subject.gradient is not None
    assert subject.point is not None
    ahead, behind = (subject.gradient(subject.point + h * vector) for h in (length, -length))
    return (ahead - behind) / (2 * length)


@promise(_OF_A_MODEL)
def it_leaves_the_model_as_it_was(subject: _Subject) -> None:
    """Parameters, buffers, gradients and modes are afterwards the same, and the same objects."""
    model = subject.model
    assert model is not None
    before = _snapshot(model)
    operator = subject.make()
    (vector,) = _vectors(operator, 1)
    operator @ vector
    for (name, old, kept), (_, new, _) in zip(before, _snapshot(model), strict=True):
        assert new is old, name
        assert kept is None or torch.equal(new, kept), name


def _snapshot(model: nn.Module) -> list[tuple[str, Any, Tensor | None]]:
    """Return each part of a model by name, with a copy where it is a tensor."""
    parts: list[tuple[str, Any]] = [*model.named_parameters(), *model.named_buffers()]
    parts += [(f"{name}.grad", p.grad) for name, p in model.named_parameters()]
    parts += [(f"{name}.requires_grad", p.requires_grad) for name, p in model.named_parameters()]
    parts += [(f"{name}.training", module.training) for name, module in model.named_modules()]
    return [
        (name, part, part.detach().clone() if isinstance(part, Tensor) else None)
        for name, part in parts
    ]
