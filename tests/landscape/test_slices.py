"""Slices show the loss where they say they do, and how much of a training's way they show."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from thalweg.errors import BadType, BadValue
from thalweg.landscape import (
    Objective,
    filter_normalized,
    function,
    loss_slice,
    objective,
    random_directions,
    trajectory,
)
from thalweg.problems.surfaces import quadratic

NOTHING: Any = None


class Shaped(nn.Module):
    """Every form of parameter that a filter may have or that should stand still."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(1, 3, 2)
        self.batches = nn.BatchNorm2d(3)
        self.maps = nn.LayerNorm([3, 3, 3])
        self.last = nn.Linear(27, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.maps(self.batches(self.filters(inputs)).tanh())
        return self.last(maps.flatten(1))


def shaped() -> tuple[Shaped, Objective]:
    torch.manual_seed(0)
    model = Shaped()
    return model, objective(model, mse_loss, (torch.randn(5, 1, 4, 4), torch.randn(5, 2)))


def walk(steps: int, size: int) -> Tensor:
    """A way that is long in the first coordinate, shorter in the second, short in the third."""
    time = torch.linspace(0, math.pi, steps, dtype=torch.float64)
    way = torch.zeros(steps, size, dtype=torch.float64)
    way[:, 0], way[:, 1], way[:, 2] = 10 * time.cos(), 2 * time.sin(), 0.1 * (7 * time).sin()
    return way


def test_each_filter_of_a_direction_is_as_long_as_that_of_the_weights():
    _, curve = shaped()
    drawn, held = (curve.layout.split(v) for v in (random_directions(curve, 1)[0], curve.point))
    for name in ("filters.weight", "last.weight"):
        lengths = drawn[name].flatten(1).norm(dim=1)
        torch.testing.assert_close(lengths, held[name].flatten(1).norm(dim=1))


def test_biases_and_normalizations_stand_still():
    _, curve = shaped()
    drawn = curve.layout.split(random_directions(curve, 2)[1])
    moving = {name for name, each in drawn.items() if each.any()}
    assert moving == {"filters.weight", "last.weight"}


def test_rescaling_a_filter_rescales_the_direction_with_it():
    model, curve = shaped()
    before = curve.layout.split(random_directions(curve, 1)[0])["last.weight"]
    with torch.no_grad():
        model.last.weight[1] *= 7
    again = objective(model, mse_loss, (torch.randn(5, 1, 4, 4), torch.randn(5, 2)))
    after = again.layout.split(random_directions(again, 1)[0])["last.weight"]
    torch.testing.assert_close(after[0], before[0])
    torch.testing.assert_close(after[1], 7 * before[1])


def test_a_filter_of_zeros_stands_still():
    model, _ = shaped()
    nn.init.zeros_(model.filters.weight)
    curve = objective(model, mse_loss, (torch.randn(5, 1, 4, 4), torch.randn(5, 2)))
    drawn = random_directions(curve, 1)[0]
    assert drawn.isfinite().all()
    assert not curve.layout.split(drawn)["filters.weight"].any()


def test_a_gradient_is_normalized_like_a_random_direction_whatever_its_length():
    _, curve = shaped()
    gradient = curve.gradient()
    found = filter_normalized(curve, gradient)
    drawn, held = curve.layout.split(found), curve.layout.split(curve.point)
    lengths = drawn["last.weight"].norm(dim=1)
    torch.testing.assert_close(lengths, held["last.weight"].norm(dim=1))
    assert {name for name, each in drawn.items() if each.any()} == {"filters.weight", "last.weight"}
    torch.testing.assert_close(filter_normalized(curve, 1e3 * gradient), found)
    assert found @ gradient > 0


def test_a_filter_without_a_gradient_stands_still_and_none_at_all_is_refused():
    _, curve = shaped()
    parts = {name: torch.ones_like(each) for name, each in curve.layout.split(curve.point).items()}
    parts["last.weight"][0] = 0.0
    drawn = curve.layout.split(filter_normalized(curve, curve.layout.join(parts)))
    assert not drawn["last.weight"][0].any()
    assert drawn["last.weight"][1].all()
    with pytest.raises(BadValue, match="direction is zero"):
        filter_normalized(curve, torch.zeros(curve.size))
    with pytest.raises(BadValue, match="direction"):
        filter_normalized(curve, torch.ones(curve.size + 1))


def test_directions_come_from_the_seed_and_leave_torchs_numbers_alone():
    _, curve = shaped()
    state = torch.get_rng_state()
    first, again, other = (random_directions(curve, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_a_slice_holds_the_loss_at_its_places():
    surface = quadratic((1.0, 4.0, 9.0))
    curve = function(surface, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    axes = torch.eye(3, dtype=torch.float64)[[2, 0]]
    found = loss_slice(curve, axes, reach=[(-1.0, 2.0), (0.0, 0.5)], points=4)
    a, b = torch.meshgrid(*found.places, indexing="ij")
    expected = ((1 + b) ** 2 + 4 * 2.0**2 + 9 * (3 + a) ** 2) / 2
    torch.testing.assert_close(found.losses, expected)
    assert found.places[0].tolist() == [-1, 0, 1, 2]
    line = loss_slice(curve, axes[0], points=3)
    torch.testing.assert_close(line.losses, (1 + 16 + 9 * (3 + line.places[0]) ** 2) / 2)


def test_a_slice_leaves_the_model_as_it_was():
    model, curve = shaped()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    loss_slice(curve, random_directions(curve), points=3)
    assert model.training
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_where_the_loss_overflows_the_slice_says_so():
    curve = function(lambda w: w.exp().sum(), torch.zeros(2))
    found = loss_slice(curve, torch.ones(2), reach=(0.0, 1000.0), points=3)
    assert found.losses.tolist() == [2, math.inf, math.inf]


def test_the_principal_plane_is_the_one_in_which_the_way_lies():
    way = walk(50, 20)
    found = trajectory(way)
    variances, axes = torch.linalg.eigh(torch.cov(way.T))
    torch.testing.assert_close(found.explained, variances[[-1, -2]] / variances.sum())
    for direction, axis in zip(found.directions, axes.T[[-1, -2]], strict=True):
        assert abs(float(direction @ axis)) == pytest.approx(1)
    assert bool((found.projections[0] >= 0).all())
    rebuilt = found.origin + found.projections @ found.directions
    torch.testing.assert_close((way - rebuilt).norm(dim=1), found.distances)
    assert found.within == pytest.approx(1 - float(found.distances.square().sum()) / float(
        (way - way[-1]).square().sum()
    ))  # fmt: skip
    assert found.within > 0.999


def test_random_directions_show_next_to_nothing_of_a_way():
    way = walk(50, 2000)
    curve = function(lambda w: w.square().sum(), torch.ones(2000, dtype=torch.float64))
    found = trajectory(way, random_directions(curve))
    assert found.within < 0.01
    assert float(found.explained.sum()) < 0.01


def test_projections_on_slanted_directions_are_the_nearest_points():
    way = walk(30, 5)
    slanted = torch.tensor([[1.0, 0, 0, 0, 0], [2.0, 3.0, 0, 0, 0]], dtype=torch.float64)
    found = trajectory(way, slanted)
    rebuilt = found.projections @ slanted + way[-1]
    torch.testing.assert_close(rebuilt[:, :2], way[:, :2])
    torch.testing.assert_close(found.distances, (way - rebuilt).norm(dim=1))


def test_the_reach_of_a_way_holds_all_of_it():
    found = trajectory(walk(30, 5))
    for (low, high), along in zip(found.reach(0.1), found.projections.T, strict=True):
        assert low < along.min()
        assert along.max() < high
    curve = function(quadratic((1.0,) * 5), torch.ones(5, dtype=torch.float64))
    cut = loss_slice(curve, found.directions, origin=found.origin, reach=found.reach(), points=3)
    assert cut.losses.shape == (3, 3)


def test_two_points_make_a_line_and_no_plane():
    way = walk(50, 5)[[0, -1]]
    found = trajectory(way, count=1)
    assert found.within == pytest.approx(1)
    with pytest.raises(BadValue, match=r"lies on a line.*count=1"):
        trajectory(way)


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        ([], BadValue, "the trajectory is empty"),
        ([torch.ones(3)], BadValue, "has 1 points and does not move"),
        ([torch.ones(3), torch.ones(3)], BadValue, "does not move"),
        ([torch.ones(3), torch.ones(4)], BadValue, r"point 1 of the trajectory has shape \(4,\)"),
        ([torch.ones(3), torch.ones(3) / 0], BadValue, "point 1 .* not finite"),
        ([torch.ones(3, 2)], BadType, "flat vectors"),
        ([[1.0, 2.0]], BadType, "flat vectors"),
    ],
)
def test_what_is_no_trajectory_is_refused(points, error, message):
    with pytest.raises(error, match=message):
        trajectory(points)


def test_a_trajectory_too_large_for_memory_is_refused_with_the_estimate():
    with pytest.raises(BadValue, match=r"50 points of 20 numbers, needs .* GiB.*memory="):
        trajectory(walk(50, 20), memory=1000)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda c: loss_slice(c, torch.ones(4)), BadValue, r"direction 0 has shape \(4,\)"),
        (lambda c: loss_slice(c, torch.ones(3, 3)), BadType, r"\(1, size\) or \(2, size\)"),
        (lambda c: loss_slice(c, NOTHING), BadType, r"\(1, size\) or \(2, size\)"),
        (lambda c: loss_slice(c, torch.zeros(3)), BadValue, "a direction is zero"),
        (lambda c: loss_slice(c, torch.ones(2, 3)), BadValue, "the same up to a factor"),
        (lambda c: loss_slice(c, torch.ones(3) / 0), BadValue, "direction 0 .* not finite"),
        (lambda c: loss_slice(c, torch.ones(3), origin=torch.ones(3) / 0), BadValue, "origin"),
        (lambda c: loss_slice(c, torch.ones(3), reach=(1.0, 0.0)), BadValue, "reach goes from"),
        (lambda c: loss_slice(c, torch.ones(3), reach=()), BadValue, r"reach=\(\); expected a"),
        (lambda c: loss_slice(c, torch.ones(3), reach=[(0, 1), (0, 1)]), BadValue, "of 1 direc"),
        (lambda c: loss_slice(c, torch.ones(3), points=1), BadValue, "points=1"),
        (lambda c: random_directions(c, 3), BadValue, "count=3"),
        (lambda c: random_directions(c, point=torch.zeros(3)), BadValue, "direction is zero"),
        (lambda c: trajectory([c.point, 0 * c.point], torch.ones(4)), BadValue, "direction 0"),
    ],
)
def test_slices_that_mean_nothing_are_refused(ask, error, message):
    curve = function(lambda w: w.square().sum(), torch.ones(3))
    with pytest.raises(error, match=message):
        ask(curve)


def test_a_loss_that_is_no_single_number_is_refused():
    curve = function(lambda w: w.square(), torch.ones(3))
    with pytest.raises(BadValue, match=r"the loss is a tensor of shape \(3,\)"):
        loss_slice(curve, torch.ones(3))


@pytest.mark.parametrize("points", [3, 5, 21, 31, 101])
def test_the_middle_of_a_slice_is_exactly_where_the_model_stands(points: int) -> None:
    start = torch.tensor([0.1, -0.7], dtype=torch.float64)
    loss = function(lambda x: (x**4).sum() + x.sum(), start)
    found = loss_slice(loss, torch.ones(2, dtype=torch.float64), points=points)
    assert found.places[0][points // 2] == 0.0
    assert found.places[0][[0, -1]].tolist() == [-1.0, 1.0]
    assert float(found.losses[points // 2]) == float(loss())
