"""An oracle is trusted because it agrees with torch, with hand arithmetic and with theory.

The bound against torch is 1e-12 of the path travelled so far, at every step. Both sides compute
in float64, so the bound leaves room for rounding and for no difference of convention.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from oracles import ORACLES, clip_by_global_norm, clip_by_value, ema_average, l2_decay

Array = NDArray[np.float64]
Hyper = dict[str, float]

STEPS = 50
SHAPE = (6, 5)


def random_start(seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(SHAPE)


def random_gradients(steps: int = STEPS, seed: int = 1) -> list[Array]:
    """Gradients of unequal scale per coordinate, a tenth of their entries exactly zero."""
    rng = np.random.default_rng(seed)
    scale = 10 ** rng.uniform(-1, 1, SHAPE)
    present = rng.uniform(size=(steps, *SHAPE)) > 0.1
    return list(scale * rng.standard_normal((steps, *SHAPE)) * present)


def oracle_path(
    key: str,
    p0: Array,
    gs: Sequence[Array | None],
    hyper: Hyper | None = None,
    rates: Sequence[float] | None = None,
) -> Array:
    """The parameter before the first step and after each; None is a missing gradient."""
    oracle = ORACLES[key](p0, **(hyper or {}))
    path = [oracle.p]
    for i, g in enumerate(gs):
        if rates is not None:
            oracle.lr = rates[i]
        if g is not None:
            oracle.step(g)
        path.append(oracle.p)
    return np.stack(path)


TORCH_PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("etaminus", "etaplus"),
    "step_sizes": ("step_size_min", "step_size_max"),
}


def torch_nesterov(
    params: list[torch.Tensor], dampening: float = 0.0, **hyper: Any
) -> torch.optim.Optimizer:
    """torch refuses dampening in Nesterov's constructor, yet its update implements it."""
    optimizer = torch.optim.SGD(params, nesterov=True, **({"momentum": 0.9} | hyper))
    optimizer.param_groups[0]["dampening"] = dampening
    return optimizer


def torch_sgdw(
    params: list[torch.Tensor], weight_decay: float = 1e-2, **hyper: Any
) -> torch.optim.Optimizer:
    """torch's SGD with the decay that its AdamW applies, which shrinks p before the step."""
    optimizer: torch.optim.Optimizer = torch.optim.SGD(params, **({"momentum": 0.9} | hyper))

    def shrink(*_: Any) -> None:
        for p in params:
            if p.grad is not None:
                p.data *= 1 - optimizer.param_groups[0]["lr"] * weight_decay

    optimizer.register_step_pre_hook(shrink)
    return optimizer


def torch_sparse_adam(params: list[torch.Tensor], **hyper: Any) -> torch.optim.Optimizer:
    """torch's SparseAdam, for which dense gradients are turned into sparse ones of every row."""
    optimizer: torch.optim.Optimizer = torch.optim.SparseAdam(params, **hyper)

    def thin(*_: Any) -> None:
        for p in params:
            if p.grad is not None and not p.grad.is_sparse:
                every = torch.arange(len(p))[None]
                p.grad = torch.sparse_coo_tensor(every, p.grad, check_invariants=True)

    optimizer.register_step_pre_hook(thin)
    return optimizer


TORCH: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "nesterov": torch_nesterov,
    "sgdw": torch_sgdw,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "rmsprop_momentum": partial(torch.optim.RMSprop, momentum=0.9),
    "rmsprop_centered": partial(torch.optim.RMSprop, centered=True),
    "rmsprop_centered_momentum": partial(torch.optim.RMSprop, momentum=0.9, centered=True),
    "adadelta": torch.optim.Adadelta,
    "rprop": torch.optim.Rprop,
    "adam": torch.optim.Adam,
    "adam_epsilon_hat": torch_sparse_adam,
    "adamw": torch.optim.AdamW,
    "amsgrad": partial(torch.optim.Adam, amsgrad=True),
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
}


def torch_path(
    key: str,
    p0: Array,
    gs: Sequence[Array | None],
    hyper: Hyper | None = None,
    rates: Sequence[float] | None = None,
) -> Array:
    """The path of torch's optimizer in float64; what `hyper` leaves out is torch's default."""
    arguments: dict[str, Any] = dict(hyper or {})
    for name, pair in TORCH_PAIRS.items():
        if pair[0] in arguments:
            arguments[name] = tuple(arguments.pop(half) for half in pair)
    p = torch.tensor(p0, dtype=torch.float64)
    optimizer = TORCH[key]([p], **arguments)
    path = [p.numpy().copy()]
    for i, g in enumerate(gs):
        if rates is not None:
            optimizer.param_groups[0]["lr"] = rates[i]
        p.grad = None if g is None else torch.tensor(g)
        optimizer.step()
        path.append(p.numpy().copy())
    return np.stack(path)


def difference(path: Array, other: Array) -> float:
    """The largest distance between two paths as a share of the length travelled, both max-norm."""
    over = tuple(range(1, path.ndim))
    travelled = np.abs(np.diff(path, axis=0)).max(axis=over).cumsum()
    apart = np.abs(path - other).max(axis=over)[1:]
    moved = travelled > 0
    assert not apart[~moved].any()
    return float((apart[moved] / travelled[moved]).max())


SETTINGS: dict[str, list[Hyper]] = {
    "sgd": [{"lr": 0.3}],
    "momentum": [{"lr": 0.1, "momentum": 0.5}, {"momentum": 0.99, "dampening": 0.3}],
    "nesterov": [{"lr": 0.1, "momentum": 0.5}, {"momentum": 0.99, "dampening": 0.3}],
    "sgdw": [{"lr": 0.1, "weight_decay": 0.5}, {"dampening": 0.9, "weight_decay": 0.0}],
    "adagrad": [
        {"lr": 0.5, "lr_decay": 0.1},
        {"initial_accumulator_value": 0.1, "eps": 1e-3},
    ],
    "rmsprop": [{"lr": 1e-3, "alpha": 0.9}, {"alpha": 0.5, "eps": 1e-2}],
    "rmsprop_momentum": [{"momentum": 0.5, "alpha": 0.9}, {"lr": 1e-3, "eps": 1e-2}],
    "rmsprop_centered": [{"lr": 1e-3, "alpha": 0.9}, {"alpha": 0.5, "eps": 1e-2}],
    "rmsprop_centered_momentum": [{"momentum": 0.5, "alpha": 0.9}, {"lr": 1e-3, "eps": 1e-2}],
    "adadelta": [{"lr": 0.5, "rho": 0.95}, {"rho": 0.99, "eps": 1e-3}],
    "rprop": [
        {"etaminus": 0.3, "etaplus": 1.5},
        {"lr": 1.0, "step_size_min": 0.05, "step_size_max": 0.2},
    ],
    "adam": [{"lr": 0.1, "beta1": 0.5, "beta2": 0.9}, {"beta1": 0.0, "beta2": 0.99, "eps": 1e-2}],
    "adam_epsilon_hat": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.0, "beta2": 0.99, "eps": 1e-2},
    ],
    "adamw": [
        {"lr": 0.1, "weight_decay": 0.5},
        {"beta1": 0.5, "beta2": 0.9, "eps": 1e-2, "weight_decay": 0.0},
    ],
    "amsgrad": [{"lr": 0.1, "beta1": 0.5, "beta2": 0.6}, {"beta1": 0.0, "beta2": 0.9, "eps": 1e-2}],
    "adamax": [{"lr": 0.1, "beta1": 0.5, "beta2": 0.6}, {"beta1": 0.0, "beta2": 0.9, "eps": 1e-1}],
    "nadam": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.99, "beta2": 0.99, "eps": 1e-2, "momentum_decay": 0.1},
        {"momentum_decay": 0.0},
    ],
    "radam": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.9, "beta2": 0.6, "eps": 1e-2},
        {"beta1": 0.9, "beta2": 0.99, "eps": 1e-2},
    ],
}

every_rule = pytest.mark.parametrize("key", ORACLES)


@pytest.mark.parametrize(
    ("key", "hyper"), [(key, hyper) for key in ORACLES for hyper in [{}, *SETTINGS[key]]]
)
def test_oracle_follows_torch_at_every_step(key: str, hyper: Hyper) -> None:
    """Equations and defaults are torch's; AdamW's earlier decay there differs only in rounding."""
    assert torch.get_default_dtype() == torch.float32
    p0, gs = random_start(), random_gradients()
    assert difference(oracle_path(key, p0, gs, hyper), torch_path(key, p0, gs, hyper)) <= 1e-12


@every_rule
def test_oracle_follows_torch_when_the_learning_rate_changes(key: str) -> None:
    """A new rate acts on the step, never on what a buffer holds; Rprop only reads the first."""
    p0, gs = random_start(), random_gradients()
    rates = [0.02] * 25 + [0.01] * 25
    ours, torchs = (path(key, p0, gs, None, rates) for path in (oracle_path, torch_path))
    assert difference(ours, torchs) <= 1e-12


@every_rule
def test_clock_starts_at_the_first_gradient(key: str) -> None:
    """A parameter whose gradient is missing neither moves nor ages, as in torch."""
    p0, gs = random_start(), [None] * 7 + random_gradients(10) + [None] + random_gradients(10)
    assert difference(oracle_path(key, p0, gs), torch_path(key, p0, gs)) <= 1e-12
    present = [g for g in gs if g is not None]
    assert np.array_equal(oracle_path(key, p0, gs)[-1], oracle_path(key, p0, present)[-1])


def test_nadam_keeps_its_product_of_mu_in_float32() -> None:
    """With a float64 default dtype torch's product is float64, and the paths part visibly."""
    p0, gs = random_start(), random_gradients()
    ours = oracle_path("nadam", p0, gs)
    torch.set_default_dtype(torch.float64)
    try:
        double = torch_path("nadam", p0, gs)
    finally:
        torch.set_default_dtype(torch.float32)
    assert 1e-10 < difference(ours, double) < 1e-6


def test_decay_after_the_step_would_be_another_rule() -> None:
    """Decoupled decay reads the old parameter: decaying the new one parts from the path."""
    p0, gs = random_start(), random_gradients()
    rate = 0.1
    momentum = ORACLES["momentum"](p0, lr=rate)
    path = [p0]
    for g in gs:
        momentum.step(g)
        momentum.p = momentum.p * (1 - rate * 0.5)
        path.append(momentum.p)
    ours = oracle_path("sgdw", p0, gs, {"lr": rate, "weight_decay": 0.5})
    assert difference(ours, np.stack(path)) > 1e-3


BY_HAND: list[tuple[str, Hyper, list[float], float]] = [
    ("sgd", {"lr": 0.1}, [2, -3], 1 - 0.1 * 2 + 0.1 * 3),
    (
        "momentum",
        {"lr": 0.1, "momentum": 0.5, "dampening": 0.25},
        [2, 4],
        1 - 0.1 * 2 - 0.1 * (0.5 * 2 + 0.75 * 4),
    ),
    (
        "nesterov",
        {"lr": 0.1, "momentum": 0.5},
        [2, 4],
        1 - 0.1 * (2 + 0.5 * 2) - 0.1 * (4 + 0.5 * 5),
    ),
    (
        "sgdw",
        {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.25},
        [2, 4],
        (1 - 0.1 * 2 - 0.1 * 0.25 * 1) - 0.1 * 5 - 0.1 * 0.25 * (1 - 0.1 * 2 - 0.1 * 0.25 * 1),
    ),
    (
        "adagrad",
        {"lr": 0.1, "lr_decay": 0.5, "initial_accumulator_value": 5, "eps": 1},
        [2, 4],
        1 - 0.1 * 2 / (3 + 1) - 0.1 / 1.5 * 4 / (5 + 1),
    ),
    (
        "rmsprop",
        {"lr": 0.1, "alpha": 0.75, "eps": 1},
        [2, 4],
        1 - 0.1 * 2 / (1 + 1) - 0.1 * 4 / (sqrt(0.75 + 4) + 1),
    ),
    (
        "rmsprop_momentum",
        {"lr": 0.1, "alpha": 0.75, "eps": 1, "momentum": 0.5},
        [2, 4],
        1 - 0.1 * 1 - 0.1 * (0.5 * 1 + 4 / (sqrt(0.75 + 4) + 1)),
    ),
    (
        "rmsprop_centered",
        {"lr": 0.1, "alpha": 0.75, "eps": 1},
        [2, 4],
        1 - 0.1 * 2 / (sqrt(1 - 0.5**2) + 1) - 0.1 * 4 / (sqrt(4.75 - 1.375**2) + 1),
    ),
    (
        "rmsprop_centered_momentum",
        {"lr": 0.1, "alpha": 0.75, "eps": 1, "momentum": 0.5},
        [2, 4],
        1 - 0.15 * 2 / (sqrt(1 - 0.5**2) + 1) - 0.1 * 4 / (sqrt(4.75 - 1.375**2) + 1),
    ),
    (
        "adadelta",
        {"lr": 0.5, "rho": 0.75, "eps": 1},
        [2, 2],
        1 - 0.5 * sqrt(1) / sqrt(2) * 2 - 0.5 * sqrt(0.5 + 1) / sqrt(1.75 + 1) * 2,
    ),
    ("rprop", {"lr": 0.1}, [2, 3, -1, -1, -1], 1 - 0.1 - 0.12 + 0 + 0.06 + 0.072),
    (
        "adam",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [2, -4],
        1 - 0.1 * 2 / (2 + 1) + 0.1 * (1.5 / 0.75) / (sqrt(4.75 / 0.4375) + 1),
    ),
    (
        "adam_epsilon_hat",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [2, -4],
        1 - 0.1 * 1 / (1 + 1) + 0.1 * sqrt(0.4375) / 0.75 * 1.5 / (sqrt(4.75) + 1),
    ),
    (
        "adamw",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1, "weight_decay": 0.5},
        [2],
        1 - 0.1 * 2 / (2 + 1) - 0.1 * 0.5 * 1,
    ),
    (
        "amsgrad",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [4, 0],
        1 - 0.1 * 4 / (4 + 1) - 0.1 * (1 / 0.75) / (sqrt(4 / 0.4375) + 1),
    ),
    (
        "adamax",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 0.5},
        [2, 1],
        1 - 0.1 / 0.5 * 1 / 2.5 - 0.1 / 0.75 * 1 / 1.875,
    ),
    (
        "nadam",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1, "momentum_decay": 0},
        [2],
        1 - 0.1 * (0.75 / (1 - 0.25) * 2 + 0.25 / (1 - 0.0625) * 1) / (2 + 1),
    ),
    (
        "radam",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [2, -4],
        1 - 0.1 * 2 + 0.1 * (1.5 / 0.75),
    ),
]


@pytest.mark.parametrize(("key", "hyper", "gs", "expected"), BY_HAND, ids=[c[0] for c in BY_HAND])
def test_first_steps_equal_the_hand_computed_numbers(
    key: str, hyper: Hyper, gs: list[float], expected: float
) -> None:
    oracle = ORACLES[key](1.0, **hyper)
    for g in gs:
        oracle.step(g)
    assert float(oracle.p) == pytest.approx(expected, rel=1e-14)


def constant_steps(key: str, g: float, steps: int, **hyper: float) -> Array:
    """What each step subtracts from a parameter at 0 under the constant gradient g."""
    path = oracle_path(key, np.zeros(()), [np.asarray(g)] * steps, hyper)
    return -np.diff(path)


@pytest.mark.parametrize("key", ["momentum", "nesterov"])
def test_momentum_reaches_its_terminal_velocity(key: str) -> None:
    """Under a constant gradient the step tends to lr g (1 - dampening) / (1 - momentum)."""
    last = constant_steps(key, 3.0, 1000, lr=0.01)[-1]
    assert last == pytest.approx(0.01 * 3 / (1 - 0.9), rel=1e-11)
    last = constant_steps("momentum", 3.0, 1000, lr=0.01, dampening=0.25)[-1]
    assert last == pytest.approx(0.01 * 3 * 0.75 / (1 - 0.9), rel=1e-11)


def test_nesterov_equals_its_literal_form_at_the_look_ahead_point() -> None:
    """The oracle's variable is phi = theta - gamma v, where the literal form takes its gradient."""
    rng = np.random.default_rng(2)
    root = rng.standard_normal((4, 4))
    hessian = root @ root.T / 4
    gamma, lr = 0.9, 0.05
    theta, v = rng.standard_normal(4), np.zeros(4)
    oracle = ORACLES["nesterov"](theta, lr=lr, momentum=gamma)
    reformulated, literal = [oracle.p], [theta - gamma * v]
    for _ in range(200):
        v = gamma * v + lr * hessian @ (theta - gamma * v)
        theta = theta - v
        literal.append(theta - gamma * v)
        oracle.step(hessian @ oracle.p)
        reformulated.append(oracle.p)
    assert difference(np.stack(reformulated), np.stack(literal)) <= 1e-13


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("key", ["adam", "amsgrad", "adamax"])
def test_adam_family_steps_by_lr_under_a_constant_gradient(key: str, scale: float) -> None:
    """The step is lr sign(g) whatever the gradient's size, from the first step on."""
    steps = constant_steps(key, -scale, 100, lr=0.01, eps=1e-12)
    assert steps == pytest.approx(-0.01, rel=2e-9)


def test_epsilon_shortens_the_first_adam_step_by_its_share() -> None:
    """The first step is lr g / (|g| + eps): eps stands outside the root, after the correction."""
    assert constant_steps("adam", 1e-8, 1)[0] == pytest.approx(1e-3 / 2, rel=1e-12)


def test_adagrad_steps_shrink_as_the_inverse_root_of_time() -> None:
    steps = constant_steps("adagrad", 5.0, 100, lr=0.1)
    assert steps == pytest.approx(0.1 / np.sqrt(np.arange(1, 101)), rel=1e-9)


def test_rmsprop_first_step_is_enlarged_by_the_missing_correction() -> None:
    """Without bias correction the first step is lr / sqrt(1 - alpha), ten times lr by default."""
    assert constant_steps("rmsprop", 2.0, 1, lr=0.01)[0] == pytest.approx(0.1, rel=1e-7)
    assert constant_steps("rmsprop", 2.0, 5000, lr=0.01)[-1] == pytest.approx(0.01, rel=1e-7)


def test_adadelta_first_step_is_set_by_epsilon_alone() -> None:
    """Without a learning rate the first step is sqrt(eps / (1 - rho)) at any gradient scale."""
    for g in (1.0, 1e3):
        assert constant_steps("adadelta", g, 1)[0] == pytest.approx(sqrt(1e-5), rel=1e-5)


@pytest.mark.parametrize("key", ["rmsprop_centered", "rmsprop_centered_momentum"])
def test_centered_variance_never_rounds_below_zero(key: str) -> None:
    """Constant gradients round the raw variance below zero, where torch's root becomes NaN."""
    oracle: Any = ORACLES[key](0.0)
    raw = []
    for _ in range(4000):
        oracle.step(0.1)
        raw.append(float(oracle.s - oracle.mean**2))
    assert min(raw) < 0
    assert np.isfinite(oracle.p)


def test_amsgrad_remembers_a_large_gradient_that_adam_forgets() -> None:
    gs = [np.asarray(100.0)] + [np.asarray(1.0)] * 200
    hyper = {"beta1": 0.5, "beta2": 0.9, "lr": 1.0}
    adam, amsgrad = (
        -np.diff(oracle_path(key, np.zeros(()), gs, hyper)) for key in ("adam", "amsgrad")
    )
    assert adam[-1] == pytest.approx(1, rel=1e-4)
    assert amsgrad[-1] == pytest.approx(1 / sqrt(0.1 * 100**2), rel=1e-4)


def test_nadam_without_momentum_decay_mixes_with_half_of_beta1() -> None:
    """mu_t stays at beta1 / 2, so this setting is not Nesterov momentum with constant beta1."""
    steps = constant_steps("nadam", 2.0, 200, momentum_decay=0.0, eps=0.0)
    assert steps[-1] == pytest.approx(2e-3 * (1 - 0.45 + 0.45), rel=1e-6)
    first = 2e-3 * (1 + 0.45 * 0.1 / (1 - 0.45**2))
    assert steps[0] == pytest.approx(first, rel=1e-6)


def test_radam_moves_by_momentum_until_the_variance_is_tractable() -> None:
    """With beta2 = 0.999 five steps are lr m_hat, and the sixth is the first rectified one."""
    steps = constant_steps("radam", 5.0, 6, lr=0.01)
    assert steps[:5] == pytest.approx(0.01 * 5, rel=1e-12)
    assert 0 < steps[5] < 0.01 * 5 / 10


def test_rprop_step_depends_on_the_sign_of_the_gradient_only() -> None:
    p0, gs = random_start(), random_gradients()
    scaled: list[Array] = [g * 7.0 for g in gs]
    assert np.array_equal(oracle_path("rprop", p0, gs), oracle_path("rprop", p0, scaled))


def test_rprop_step_grows_to_its_largest_and_shrinks_to_its_smallest() -> None:
    growing = constant_steps("rprop", 1.0, 60)
    assert growing == pytest.approx(np.minimum(0.01 * 1.2 ** np.arange(60), 50), rel=1e-12)
    oracle = ORACLES["rprop"](0.0)
    for g in [1.0, -1.0] * 60:
        oracle.step(g)
        oracle.step(g)
    before = oracle.p
    oracle.step(-1.0)
    assert float(oracle.p - before) == pytest.approx(1e-6 * 1.2, rel=1e-9)


@pytest.mark.parametrize("key", ["sgdw", "adamw"])
def test_decoupled_decay_alone_is_geometric(key: str) -> None:
    """With zero gradients every parameter shrinks by 1 - lr weight_decay per step."""
    p0 = random_start()
    path = oracle_path(key, p0, [np.zeros(SHAPE)] * 20, {"lr": 0.1, "weight_decay": 0.5})
    assert path[-1] == pytest.approx(p0 * 0.95**20, rel=1e-13)


@every_rule
def test_oracle_keeps_no_reference_to_its_arguments(key: str) -> None:
    """The start and a gradient are neither modified nor read again after the call."""
    p0, g = np.ones(3), np.full(3, 2.0)
    oracle, reference = ORACLES[key](p0), ORACLES[key]([1.0, 1.0, 1.0])
    for _ in range(3):
        g[:] = 2
        oracle.step(g)
        assert (g == 2).all()
        assert (p0 == 1).all()
        g[:] = np.nan
        reference.step([2.0, 2.0, 2.0])
    assert np.array_equal(oracle.p, reference.p)


@every_rule
def test_oracle_computes_in_float64(key: str) -> None:
    """A float32 start or gradient is promoted exactly, and the result has its shape."""
    p0, g = np.array([[[0.1, 0.2]], [[0.3, -0.4]]], dtype=np.float32)
    oracle, reference = ORACLES[key](p0), ORACLES[key](p0.astype(np.float64))
    oracle.step(g)
    reference.step(g.astype(np.float64))
    assert oracle.p.dtype == np.float64
    assert oracle.p.shape == p0.shape
    assert np.array_equal(oracle.p, reference.p)


@every_rule
def test_unknown_hyperparameter_is_refused(key: str) -> None:
    """A misspelt name cannot silently leave a default in place."""
    for name in ("learning_rate", "step", "p", "t"):
        with pytest.raises(TypeError, match=name):
            ORACLES[key](0.0, **{name: 1.0})


def test_l2_decay_is_torchs_coupled_weight_decay() -> None:
    p0, gs = random_start(), random_gradients()
    oracle = ORACLES["adam"](p0, lr=0.1)
    path = [oracle.p]
    for g in gs:
        oracle.step(l2_decay(g, oracle.p, 0.5))
        path.append(oracle.p)
    torchs = torch_path("adam", p0, gs, {"lr": 0.1, "weight_decay": 0.5})
    assert difference(np.stack(path), torchs) <= 1e-12


def clipped_by_torch(gs: Sequence[Array], clip: Callable[..., Any], bound: float) -> list[Array]:
    params = [torch.zeros(g.shape, dtype=torch.float64) for g in gs]
    for p, g in zip(params, gs, strict=True):
        p.grad = torch.tensor(g)
    clip(params, bound)
    return [p.grad.numpy() for p in params if p.grad is not None]


@pytest.mark.parametrize("bound", [1e-3, 0.5, 1e6])
def test_clipping_follows_torch(bound: float) -> None:
    """By value entry by entry; by norm over all arrays together with 1e-6 added to the norm."""
    gs = random_gradients(3)
    by_value = clipped_by_torch(gs, torch.nn.utils.clip_grad_value_, bound)
    by_norm = clipped_by_torch(gs, torch.nn.utils.clip_grad_norm_, bound)
    for g, value, norm, ours in zip(
        gs, by_value, by_norm, clip_by_global_norm(gs, bound), strict=True
    ):
        assert np.array_equal(clip_by_value(g, bound), value)
        assert ours == pytest.approx(norm, rel=1e-14)


def test_global_norm_clipping_keeps_short_gradients_and_directions() -> None:
    """A short list is returned unchanged; a long one keeps its direction and gets the norm."""
    three_four = [np.asarray([3.0]), np.asarray([4.0])]
    kept = clip_by_global_norm(three_four, 6.0)
    assert [float(g[0]) for g in kept] == [3.0, 4.0]
    clipped = clip_by_global_norm(three_four, 1.0)
    assert [float(g[0]) for g in clipped] == pytest.approx([3 / 5.000001, 4 / 5.000001], rel=1e-15)


def test_clipping_at_the_exact_norm_shrinks_by_torchs_epsilon() -> None:
    clipped = clip_by_global_norm([np.asarray([3.0, 4.0])], 5.0)[0]
    assert clipped == pytest.approx(np.asarray([3.0, 4.0]) * (5 / 5.000001), rel=1e-15)


def test_ema_average_is_torchs_and_forgets_at_its_decay() -> None:
    """The average follows torch's, and the start's share after n steps is decay to the n."""
    average = random_start()
    torchs = [torch.tensor(average)]
    update = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    for p in random_gradients(20):
        average = ema_average(p, average, 0.9)
        update(torchs, [torch.tensor(p)], 1)
    assert average == pytest.approx(torchs[0].numpy(), rel=1e-12, abs=1e-14)
    share = 1.0
    for _ in range(10):
        share = float(ema_average(np.asarray(0.0), np.asarray(share), 0.9))
    assert share == pytest.approx(0.9**10, rel=1e-14)
