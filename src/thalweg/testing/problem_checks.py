"""What every problem and surface promises: what it states about itself is true."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian

from thalweg.problems import Problem, Split, check_apart, own_gradient, validate
from thalweg.problems.examples import count, first_batch
from thalweg.problems.surfaces import Surface
from thalweg.testing.checks import Check, bind, promise

_PROMISES: list[Callable[[Problem], None]] = []
_SURFACE_PROMISES: list[Callable[[Surface], None]] = []


def check_problem(problem: Problem) -> Iterator[Check]:
    """Yield the named checks that every problem, yours as well, must pass."""
    yield from bind(_PROMISES, problem)


def check_surface(surface: Surface) -> Iterator[Check]:
    """Yield the named checks that every surface, yours as well, must pass."""
    yield from bind(_SURFACE_PROMISES, surface)


@promise(_PROMISES)
def its_data_are_whole_finite_and_fit_the_model(problem: Problem) -> None:
    """Nothing that is checked before training is wrong with it."""
    validate(problem)


@promise(_PROMISES)
def its_parts_share_no_example(problem: Problem) -> None:
    """Training, validation and test data are apart from one another."""
    parts = [part for part in (problem.train, problem.validation, problem.test) if part is not None]
    for index, part in enumerate(parts):
        for other in parts[:index]:
            check_apart(other, part)


@promise(_PROMISES)
def its_models_are_equal_for_equal_seeds(problem: Problem) -> None:
    """The seed alone decides the weights and buffers."""
    first, again = (problem.make_model(1).state_dict() for _ in range(2))
    assert list(first) == list(again)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name


@promise(_PROMISES)
def its_models_are_their_own(problem: Problem) -> None:
    """Training one model leaves the next one as it would have been."""
    model = problem.make_model(0)
    before = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    for old, new in zip(before, problem.make_model(0).parameters(), strict=True):
        assert torch.equal(old, new)


@promise(_PROMISES)
def its_models_leave_torchs_random_state_alone(problem: Problem) -> None:
    """Making a model draws from a generator of its own."""
    before = torch.get_rng_state()
    problem.make_model(0)
    assert torch.equal(torch.get_rng_state(), before)


@promise(_PROMISES)
def its_gradient_reaches_every_parameter(problem: Problem) -> None:
    """One batch gives each parameter a finite gradient of its shape, not all of them zero."""
    model = problem.make_model(0)
    inputs, targets = first_batch(problem.train)
    with torch.random.fork_rng(devices=[]):
        _write_gradient(problem, model, inputs, targets)
    found = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    for name, grad in found.items():
        assert grad is not None, name
        assert _dense(grad).isfinite().all(), name
        assert grad.shape == model.get_parameter(name).shape, name
    assert any(_dense(grad).any() for grad in found.values() if grad is not None)


@promise(_PROMISES)
def its_number_of_parameters_is_as_stated(problem: Problem) -> None:
    """``known["parameters"]``, where stated, counts the numbers that are trained."""
    if "parameters" in problem.known:
        counted = sum(parameter.numel() for parameter in problem.make_model(0).parameters())
        assert counted == problem.known["parameters"], counted


@promise(_PROMISES)
def its_guess_has_the_loss_stated(problem: Problem) -> None:
    """Equal logits have the loss ``known["guess_loss"]``, whatever the targets."""
    if "guess_loss" in problem.known:
        inputs, targets = first_batch(problem.validation or problem.train)
        output = problem.make_model(0).eval()(inputs)
        guess = problem.loss(torch.zeros_like(output), targets).item()
        assert math.isclose(guess, problem.known["guess_loss"], rel_tol=1e-5), guess


@promise(_PROMISES)
def its_guess_is_right_as_often_as_stated(problem: Problem) -> None:
    """``known["guess_accuracy"]`` is one by the number of classes that the targets show."""
    if "guess_accuracy" in problem.known and isinstance(problem.train, Split):
        classes = len(torch.as_tensor(problem.train.targets).unique())
        assert math.isclose(problem.known["guess_accuracy"], 1 / classes), classes


@promise(_PROMISES)
def its_inputs_are_scaled_by_the_training_set_alone(problem: Problem) -> None:
    """Where the training inputs have mean 0 and variance 1, those of the other parts are near."""
    parts = [part for part in (problem.train, problem.validation, problem.test) if part is not None]
    rows = [part for part in parts if isinstance(part, Split) and len(part.inputs) > 1]
    moments = [_moments(part) for part in rows]
    if not moments or not _near(moments[0], (0.0, 1.0), 1e-4):
        return
    for other in moments[1:]:
        assert _near(other, (0.0, 1.0), 0.2), other
        assert other != moments[0]


@promise(_PROMISES)
def its_budget_is_possible(problem: Problem) -> None:
    """At least one epoch, and a batch no larger than the training set."""
    size = count(problem.train)
    assert problem.epochs >= 1
    assert problem.batch_size == "all" or size is None or 1 <= problem.batch_size <= size


def _write_gradient(problem: Problem, model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    own = own_gradient(problem.loss)
    if own is not None:
        own(model, inputs, targets)
    else:
        problem.loss(model(inputs), targets).backward()


def _dense(grad: Tensor) -> Tensor:
    return grad.to_dense() if grad.is_sparse else grad


def _moments(split: Split) -> tuple[float, float]:
    inputs = torch.as_tensor(split.inputs).double()
    return inputs.mean().item(), inputs.std().item()


def _near(found: tuple[float, float], expected: tuple[float, float], within: float) -> bool:
    return all(abs(a - b) <= within for a, b in zip(found, expected, strict=True))


@promise(_SURFACE_PROMISES)
def its_function_is_vectorized(surface: Surface) -> None:
    """Many points at once have the values they have alone, in any leading shape and precision."""
    points = _around(surface, 6).reshape(2, 3, -1)
    together = surface(points)
    alone = torch.stack([surface(point) for point in points.flatten(0, 1)])
    assert together.shape == (2, 3)
    torch.testing.assert_close(together.flatten(), alone, rtol=1e-12, atol=1e-12)
    assert surface(points.float()).dtype == torch.float32


@promise(_SURFACE_PROMISES)
def its_gradient_is_zero_where_stated(surface: Surface) -> None:
    """Every critical point is one, to the rounding of double precision."""
    for critical in surface.critical:
        slope = _gradient(surface, critical.point).norm().item()
        scale = max(1.0, _spectrum(surface, critical.point).abs().max().item())
        assert slope <= 1e-12 * scale, (critical, slope)


@promise(_SURFACE_PROMISES)
def its_critical_points_are_of_the_kind_stated(surface: Surface) -> None:
    """The signs of the Hessian's spectrum make a minimum, a maximum, a saddle, or leave it open."""
    for critical in surface.critical:
        assert _kind(_spectrum(surface, critical.point)) == critical.kind, critical


@promise(_SURFACE_PROMISES)
def its_critical_points_have_the_value_stated(surface: Surface) -> None:
    """The function takes the stated value there."""
    for critical in surface.critical:
        found = surface(_tensor(critical.point)).item()
        assert math.isclose(found, critical.value, rel_tol=1e-12, abs_tol=1e-12), (critical, found)


@promise(_SURFACE_PROMISES)
def its_optimum_is_a_lowest_point(surface: Surface) -> None:
    """No point nearby or far is lower, and the start is higher; without one, it falls for ever."""
    points = torch.cat([_around(surface, 2000), 100 * _around(surface, 2000)])
    lowest = surface(points).min().item()
    if surface.optimum is None or surface.value_at_optimum is None:
        assert lowest < -100
        return
    value = surface(_tensor(surface.optimum)).item()
    assert math.isclose(value, surface.value_at_optimum, rel_tol=1e-12, abs_tol=1e-12), value
    assert value <= lowest
    assert value < surface(_tensor(surface.start)).item()


@promise(_SURFACE_PROMISES)
def its_curvature_stays_within_what_is_stated(surface: Surface) -> None:
    """Nowhere is a curvature larger than ``L`` or smaller than ``mu``, and both are reached."""
    where = [*_around(surface, 50), *(_tensor(each.point) for each in surface.critical)]
    spectra = torch.stack([_spectrum(surface, tuple(point.tolist())) for point in where])
    slack = 1e-9 * max(1.0, spectra.abs().max().item())
    if "L" in surface.known:
        assert abs(spectra.abs().max().item() - surface.known["L"]) <= slack
    if "mu" in surface.known:
        assert abs(spectra.min().item() - surface.known["mu"]) <= slack
        ratio = surface.known["L"] / surface.known["mu"]
        assert math.isclose(surface.known["condition"], ratio)
    if surface.spectrum:
        expected = _tensor(surface.spectrum).expand_as(spectra)
        torch.testing.assert_close(spectra, expected, rtol=0, atol=slack)


def _around(surface: Surface, number: int) -> Tensor:
    """Return random points that lie about the start and the optimum, the same on every call."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(number, len(surface.start), dtype=torch.float64, generator=generator)
    return _tensor(surface.optimum or surface.start) + 2 * noise


def _tensor(point: tuple[float, ...]) -> Tensor:
    return torch.tensor(point, dtype=torch.float64)


def _gradient(surface: Surface, point: tuple[float, ...]) -> Tensor:
    place = _tensor(point).requires_grad_()
    return torch.autograd.grad(surface(place), place)[0]


def _spectrum(surface: Surface, point: tuple[float, ...]) -> Tensor:
    return torch.linalg.eigvalsh(hessian(surface, _tensor(point)))


def _kind(spectrum: Tensor) -> str:
    zero = 1e-9 * max(1.0, spectrum.abs().max().item())
    if (spectrum > zero).any() and (spectrum < -zero).any():
        return "saddle"
    if (spectrum.abs() <= zero).any():
        return "degenerate"
    return "minimum" if spectrum[0] > 0 else "maximum"
