"""Places are called what they are, segments convex where they are, balls as sharp as they are."""

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from thalweg.landscape import Hessian, critical_point, function, objective, segment, sharpness
from thalweg.problems.surfaces import catalogue, quadratic

CRITICAL = [
    pytest.param(surface, critical, id=f"{name} at {critical.point}")
    for name, surface in catalogue.items()
    for critical in surface.critical
]


def at(surface, point) -> Hessian:
    return Hessian(function(surface, torch.tensor(point, dtype=torch.float64)))


@pytest.mark.parametrize(("surface", "critical"), CRITICAL)
def test_every_critical_point_of_the_surfaces_is_told_apart(surface, critical):
    found = critical_point(at(surface, critical.point))
    spectrum = torch.linalg.eigvalsh(at(surface, critical.point).dense())
    assert found.kind == ("plateau" if critical.kind == "degenerate" else critical.kind)
    assert found.exact
    assert found.index == int((spectrum < -1e-9).sum())
    assert found.largest.value == pytest.approx(float(spectrum[-1]), abs=1e-9)
    assert found.smallest.value == pytest.approx(float(spectrum[0]), abs=1e-9)
    assert found.loss == pytest.approx(critical.value, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in catalogue if name != "plateau"])
def test_where_descents_begin_is_not_critical(name):
    found = critical_point(at(catalogue[name], catalogue[name].start))
    assert found.kind == "not critical"
    assert found.distance > 0.1


def test_a_plateau_is_no_minimum():
    found = critical_point(at(catalogue["plateau"], catalogue["plateau"].start))
    assert found.kind == "plateau"
    assert found.gradient_norm > 0


def test_a_network_of_zeros_stands_on_a_saddle_with_an_index():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)).double()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    data = (torch.randn(20, 4).double(), torch.randn(20, 2).double())
    hessian = Hessian(objective(model, mse_loss, data))
    found = critical_point(hessian)
    negative = int((torch.linalg.eigvalsh(hessian.dense()) < -1e-9).sum())
    assert found.kind == "saddle"
    assert (found.index, found.exact) == (negative, True)
    bound = critical_point(hessian, products=10)
    assert bound.kind == "saddle"
    assert not bound.exact
    assert 0 < bound.index <= negative


def test_a_minimum_with_a_flat_direction_is_degenerate():
    found = critical_point(at(quadratic((3.0, 0.0)), (0.0, 0.0)))
    assert (found.kind, found.degenerate) == ("minimum", True)
    assert not critical_point(at(quadratic((3.0, 1.0)), (0.0, 0.0))).degenerate


def test_a_bowl_is_convex_along_any_segment():
    curve = function(quadratic((1.0, 9.0)), torch.tensor([1.0, 1.0], dtype=torch.float64))
    found = segment(curve, curve.point, torch.tensor([-1.0, -1.0], dtype=torch.float64))
    assert found.convex
    assert found.barrier == 0
    torch.testing.assert_close(found.curvatures, torch.full((21,), 5.0, dtype=torch.float64))


def test_between_two_dents_lies_a_barrier():
    surface = catalogue["rastrigin"]
    first, second = (torch.tensor(c.point, dtype=torch.float64) for c in surface.critical[:2])
    found = segment(function(surface, first), first, second, points=101)
    assert not found.convex
    assert found.barrier == pytest.approx(19.8, rel=0.02)
    assert 0.2 < float(found.concave.min()) < float(found.concave.max()) < 0.8
    assert float(found.losses[0]) == pytest.approx(0, abs=1e-12)


def test_at_a_minimum_the_worst_case_in_a_ball_is_along_the_sharpest_direction():
    found = sharpness(at(quadratic((1.0, 3.0, 10.0)), (0.0, 0.0, 0.0)), 0.2)
    assert found.rise == pytest.approx(0.2, rel=1e-6)
    assert found.quadratic == pytest.approx(found.rise, rel=1e-6)
    assert float(found.move.norm()) == pytest.approx(0.2)
    assert abs(float(found.move[2])) == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("name", ["ravine", "rosenbrock", "beale", "saddle"])
def test_no_point_on_the_rim_is_much_worse_than_the_one_found(name):
    surface, radius = catalogue[name], 0.3
    hessian = at(surface, surface.start)
    found = sharpness(hessian, radius, steps=30)
    angles = torch.linspace(0, 2 * torch.pi, 2000, dtype=torch.float64)
    rim = hessian.point + radius * torch.stack([angles.cos(), angles.sin()], 1)
    worst = float(surface(rim).max()) - float(surface(hessian.point))
    assert worst * 0.99 <= found.rise <= worst * 1.0001
    assert found.one_step <= found.rise


def test_on_top_of_a_hill_nothing_nearby_is_worse():
    found = sharpness(at(quadratic((-1.0, -2.0)), (0.0, 0.0)), 0.5)
    assert found.rise == 0
    assert not found.move.any()
