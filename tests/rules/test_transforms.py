"""Every transform, in a chain with plain descent, against its paper's equation in NumPy."""

from typing import Any

import numpy as np
import pytest
import torch

import oracles
import thalweg
from thalweg.algebra import clip, noise
from thalweg.errors import BadValue
from thalweg.rules import (
    Transform,
    adam,
    add_noise,
    ascend,
    caution,
    centre,
    chain,
    clip_by_value,
    corrected_decay,
    decay,
    decay_by_schedule,
    ema_average,
    independent_decay,
    l2_decay,
    momentum,
    polyak_average,
    sgd,
    transform,
    transforms,
    trust_ratio,
)

LR = 0.1
SHAPE = (4, 3)


def _data(seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal(SHAPE), random.standard_normal(SHAPE)


def _moved(piece: Transform, *, t: int = 1, **hyper: Any):
    """Return where one step of a chain with plain descent leads, and the state it leaves."""
    p, g = _data()
    rule = chain(sgd, piece)
    return rule.update(p, g, rule.init(p), t=t, lr=LR, **hyper)


P, G = _data()

EXPECTED: dict[Transform, tuple[dict[str, Any], Any]] = {
    ascend: ({}, P + LR * G),
    l2_decay: ({"weight_decay": 0.3}, P - LR * oracles.l2_decay(G, P, 0.3)),
    decay: ({"weight_decay": 0.3}, P - LR * G - oracles.decoupled_decay(P, LR, 0.3)),
    decay_by_schedule: (
        {"weight_decay": 0.3, "base_lr": 0.4},
        P - LR * G - oracles.scheduled_decay(P, LR, 0.4, 0.3),
    ),
    independent_decay: ({"weight_decay": 0.3}, P - LR * G - oracles.independent_decay(P, 0.3)),
    corrected_decay: (
        {"weight_decay": 0.3, "max_lr": 0.4},
        P - LR * G - oracles.corrected_decay(P, LR, 0.4, 0.3),
    ),
    centre: ({}, P - LR * oracles.centre(G)),
    clip_by_value: ({"clip_value": 0.5}, P - LR * oracles.clip_by_value(G, 0.5)),
    trust_ratio: ({}, P - oracles.trust_ratio(LR * G, P, LR)),
}


@pytest.mark.parametrize("piece", EXPECTED, ids=lambda each: each.key)
def test_one_step_is_the_papers(piece):
    hyper, expected = EXPECTED[piece]
    np.testing.assert_allclose(_moved(piece, **hyper)[0], expected, rtol=1e-12, atol=1e-15)


def test_caution_drops_what_points_up_the_gradient():
    """Momentum that still runs the old way, against a gradient that has turned in places."""
    p, g = _data()
    rule = chain(momentum, caution)
    buffer = np.full(SHAPE, 2.0)
    moved, state = rule.update(p, g, {"momentum_buffer": buffer}, t=5, lr=LR, momentum=0.9)
    step = LR * (0.9 * buffer + g)
    assert 0 < np.sum(step * g <= 0) < g.size
    np.testing.assert_allclose(moved, p - oracles.cautious(step, g), rtol=1e-12)
    np.testing.assert_allclose(state["momentum_buffer"], 0.9 * buffer + g)


@pytest.mark.parametrize("t", [1, 2, 50])
def test_noise_has_the_annealed_size_and_the_keyed_place(t):
    settings = {"noise_eta": 0.3, "noise_gamma": 0.55, "seed": 9.0}
    drawn = noise.draw((9, t, 0), G, np)
    expected = P - LR * (G + oracles.noise_scale(t, 0.3, 0.55) * drawn)
    np.testing.assert_allclose(_moved(add_noise, t=t, **settings)[0], expected, rtol=1e-12)


def _path(piece: Transform, steps: int, **hyper: float):
    """Return the parameters after each update, and the average after the last."""
    rule = chain(sgd, piece)
    p, g = _data()
    state, path = rule.init(p), []
    for t in range(1, steps + 1):
        p, state = rule.update(p, g * (-1) ** t, state, t=t, lr=LR, **hyper)
        path.append(p)
    return path, state["average"]


@pytest.mark.parametrize("start", [0, 3])
def test_polyaks_average_is_the_mean_of_the_tail(start):
    path, average = _path(polyak_average, 8, average_start=start)
    np.testing.assert_allclose(average, np.mean(path[start:], axis=0), rtol=1e-12)
    expected = P
    for t, p in enumerate(path, 1):
        expected = oracles.polyak_average(p, expected, t, start)
    np.testing.assert_allclose(average, expected, rtol=1e-12)


def test_before_its_start_polyaks_average_is_the_parameter_itself():
    path, average = _path(polyak_average, 3, average_start=5)
    assert np.array_equal(average, path[-1])


def test_the_moving_average_is_the_exponential_one():
    path, average = _path(ema_average, 5, ema_decay=0.7)
    expected = P
    for p in path:
        expected = oracles.ema_average(p, expected, 0.7)
    np.testing.assert_allclose(average, expected, rtol=1e-12)


def test_the_order_of_transforms_is_the_order_given():
    """Noise after clipping exceeds the bound; noise before it cannot."""
    p, g = _data()
    big = {"noise_eta": 100.0, "clip_value": 0.1, "lr": 1.0}
    after, before = chain(clip_by_value, add_noise, sgd), chain(add_noise, clip_by_value, sgd)
    moved = [rule.update(p, g, {}, t=1, **big)[0] - p for rule in (after, before)]
    assert np.abs(moved[0]).max() > 1
    assert np.abs(moved[1]).max() <= 0.1 + 1e-12


def test_caution_and_trust_ratio_join_any_rule():
    rule = chain(adam, caution, trust_ratio)
    p, g = _data()
    moved, _ = rule.update(p, g, rule.init(p), t=1, lr=LR)
    assert np.linalg.norm(moved - p) == pytest.approx(LR * np.linalg.norm(p))


def test_every_transform_is_tested_here():
    others = {"caution", "add_noise", "polyak_average", "ema_average", "clip_by_global_norm"}
    assert {each.key for each in EXPECTED} | others == set(transforms)


@transform("box")
def box(p_new, *, bound: float = 0.3):
    """Keep every parameter between minus and plus bound."""
    return clip(p_new, -bound, bound)


@transform("half")
def half(p_new):
    """Halve every parameter after the step."""
    return p_new / 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_new_parameter_is_exactly_what_its_transform_returns(dtype):
    p = torch.nn.Parameter(
        torch.randn(1000, dtype=dtype, generator=torch.Generator().manual_seed(0))
    )
    p.grad = torch.full_like(p, 1e8)
    thalweg.Optimizer([p], chain(sgd, box), lr=1.0).step()
    assert torch.equal(p.detach(), torch.full_like(p, -0.3))
    moved, _ = chain(sgd, box, half).update(np.array([1e8]), np.array([0.0]), {}, t=1)
    assert moved.tolist() == [0.15]


@pytest.mark.parametrize("wrong", [{"average_start": 2.5}, {"average_start": -1}])
def test_an_average_starts_at_a_whole_update(wrong):
    with pytest.raises(BadValue, match="whole"):
        chain(sgd, polyak_average).settings(**wrong)


def test_noise_of_two_keys_never_runs_side_by_side():
    """Not the same numbers at a distance either: keys set the stride as well as the start."""
    n = 100_000
    a, b = (noise.draw(place, np.zeros(n), np) for place in ((0, 78, 0), (0, 156, 1)))
    for s in (1, 56_612, 12_345):
        assert abs(np.corrcoef(a[: n - s], b[s:])[0, 1]) < 0.02
        assert abs(np.corrcoef(b[: n - s], a[s:])[0, 1]) < 0.02
