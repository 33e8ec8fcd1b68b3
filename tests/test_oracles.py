"""An oracle is trusted because it agrees with torch, with hand arithmetic and with theory.

The bound against torch is 1e-12 of the path travelled so far, at every step. Both sides compute
in float64, so the bound leaves room for rounding and for no difference of convention. Many rules
are torch's at other settings or with another state, and `TORCH` converts those before each step;
what torch cannot be converted to is computed from the whole history of gradients, in `UNROLLED`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from math import cos, e, exp, floor, log, pi, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from oracles import (
    ORACLES,
    cautious,
    centre,
    clip_by_global_norm,
    clip_by_value,
    corrected_decay,
    decoupled_decay,
    ema_average,
    independent_decay,
    l2_decay,
    noise_scale,
    polyak_average,
    scheduled_decay,
    trust_ratio,
)

Array = NDArray[np.float64]
Hyper = dict[str, float]
Change = Callable[[dict[str, Any], dict[str, Any], int], None]

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


def adjusted(optimizer: torch.optim.Optimizer, change: Change) -> torch.optim.Optimizer:
    """Let `change(group, state, t)` act before every step; settings are restored after it."""
    [group] = optimizer.param_groups
    [p] = group["params"]
    settings: dict[str, Any] = {}
    clock = count(1)

    def before(*_: Any) -> None:
        settings.update(group)
        if p.grad is not None:
            change(group, optimizer.state[p], next(clock))

    def after(*_: Any) -> None:
        group.update(settings)

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)
    return optimizer


def begin(optimizer: torch.optim.Optimizer, **moments: float) -> torch.optim.Optimizer:
    """Fill the state before the first step, which torch then leaves as it is."""
    [p] = optimizer.param_groups[0]["params"]
    optimizer.state[p]["step"] = torch.tensor(0.0)
    optimizer.state[p] |= {name: torch.full_like(p, value) for name, value in moments.items()}
    return optimizer


def rate_in_gradient(group: dict[str, Any], *_: Any) -> None:
    """A buffer of lr g is a buffer of gradients that are lr times as long."""
    group["params"][0].grad *= group["lr"]
    group["lr"] = 1.0


def torch_momentum_paper(params: list[torch.Tensor], **hyper: Any) -> torch.optim.Optimizer:
    return adjusted(torch.optim.SGD(params, **({"momentum": 0.9} | hyper)), rate_in_gradient)


def torch_nesterov_keras(params: list[torch.Tensor], **hyper: Any) -> torch.optim.Optimizer:
    return adjusted(torch_nesterov(params, **hyper), rate_in_gradient)


def torch_lars(
    params: list[torch.Tensor],
    trust_coefficient: float = 1e-3,
    weight_decay: float = 0.0,
    **hyper: Any,
) -> torch.optim.Optimizer:
    """torch's SGD on gradients that carry the decay and both learning rates."""

    def change(group: dict[str, Any], *_: Any) -> None:
        [p] = group["params"]
        length, slope = torch.linalg.vector_norm(p), torch.linalg.vector_norm(p.grad)
        local = trust_coefficient * length / (slope + weight_decay * length)
        p.grad = group["lr"] * local * (p.grad + weight_decay * p)
        group["lr"] = 1.0

    return adjusted(torch.optim.SGD(params, **({"lr": 0.1, "momentum": 0.9} | hyper)), change)


def torch_adagrad_optax(
    params: list[torch.Tensor],
    initial_accumulator_value: float = 0.1,
    eps: float = 1e-7,
    **hyper: Any,
) -> torch.optim.Optimizer:
    """A sum of squares never forgets, so an eps inside the root may as well stand at its start."""
    start = initial_accumulator_value + eps
    return torch.optim.Adagrad(params, initial_accumulator_value=start, eps=0, **hyper)


def eps_in_average(name: str) -> Change:
    """Refill before each step what the decaying average `name` is about to lose of its eps."""

    def change(group: dict[str, Any], state: dict[str, Any], t: int) -> None:
        decay = group["alpha"] if "alpha" in group else group["betas"][1]
        state[name] += group["eps"] * (1 - decay) / decay

    return change


def no_eps_outside(change: Change) -> Change:
    """Set torch's own eps to zero once `change` has used it."""

    def changed(group: dict[str, Any], state: dict[str, Any], t: int) -> None:
        change(group, state, t)
        group["eps"] = 0.0

    return changed


def torch_rmsprop_paper(
    params: list[torch.Tensor], lr: float = 1e-3, alpha: float = 0.9, eps: float = 1e-8
) -> torch.optim.Optimizer:
    optimizer = begin(torch.optim.RMSprop(params, lr, alpha, eps), square_avg=eps)
    return adjusted(optimizer, no_eps_outside(eps_in_average("square_avg")))


def torch_adam_eps_inside(params: list[torch.Tensor], **hyper: Any) -> torch.optim.Optimizer:
    optimizer = begin(torch.optim.Adam(params, **hyper), exp_avg=0, exp_avg_sq=0)
    return adjusted(optimizer, no_eps_outside(eps_in_average("exp_avg_sq")))


def torch_adamax_keras(
    params: list[torch.Tensor], eps: float = 1e-7, **hyper: Any
) -> torch.optim.Optimizer:
    """eps may stand inside the maximum if it stands on both of its sides."""
    optimizer = begin(torch.optim.Adamax(params, eps=eps, **hyper), exp_avg=0, exp_inf=eps)
    return adjusted(optimizer, eps_in_average("exp_inf"))


def eps_before_correction(group: dict[str, Any], state: dict[str, Any], t: int) -> None:
    group["eps"] /= sqrt(1 - group["betas"][1] ** t)


def eps_after_correction(group: dict[str, Any], state: dict[str, Any], t: int) -> None:
    group["eps"] *= sqrt(1 - group["betas"][1] ** t)


def no_correction(group: dict[str, Any], state: dict[str, Any], t: int) -> None:
    eps_before_correction(group, state, t)
    beta1, beta2 = group["betas"]
    group["lr"] *= (1 - beta1**t) / sqrt(1 - beta2**t)


def maximum_of_corrected(group: dict[str, Any], state: dict[str, Any], t: int) -> None:
    """Cancel the part of the correction that the largest moment already had."""
    beta2 = group["betas"][1]
    if t > 1:
        state["max_exp_avg_sq"] *= (1 - beta2**t) / (1 - beta2 ** (t - 1))


def adam_after(change: Change, **defaults: Any) -> Callable[..., torch.optim.Optimizer]:
    """torch's Adam with `change` before every step."""
    return lambda params, **hyper: adjusted(torch.optim.Adam(params, **(defaults | hyper)), change)


def torch_radam_optax(params: list[torch.Tensor], **hyper: Any) -> torch.optim.Optimizer:
    return adjusted(torch.optim.RAdam(params, **hyper), eps_after_correction)


def torch_nadam_optax(params: list[torch.Tensor], **hyper: Any) -> torch.optim.Optimizer:
    """A momentum schedule so fast that it is over at once, its product kept in float64."""
    optimizer = torch.optim.NAdam(params, momentum_decay=1e6, **hyper)
    begin(optimizer, exp_avg=0, exp_avg_sq=0)
    optimizer.state[params[0]]["mu_product"] = torch.ones((), dtype=torch.float64)
    return optimizer


def torch_nadam_paper(params: list[torch.Tensor], **hyper: Any) -> torch.optim.Optimizer:
    """torch mixes m with beta1, so m is changed first; a beta2 in v_hat changes lr and eps."""

    def change(group: dict[str, Any], state: dict[str, Any], t: int) -> None:
        beta1, beta2 = group["betas"]
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))
        state["exp_avg"] = (mu * state["exp_avg"] + (beta1 - mu) * group["params"][0].grad) / beta1
        group["lr"] /= sqrt(beta2)
        group["eps"] /= sqrt(beta2)

    optimizer = begin(torch.optim.NAdam(params, **hyper), exp_avg=0, exp_avg_sq=0)
    optimizer.state[params[0]]["mu_product"] = torch.ones(())
    return adjusted(optimizer, change)


def torch_lamb(
    params: list[torch.Tensor], lr: float = 1e-3, weight_decay: float = 1e-2, **hyper: Any
) -> torch.optim.Optimizer:
    """torch's Adam finds the direction on a parameter of its own, SGD then takes the step."""
    aside = torch.zeros_like(params[0])
    adam = torch.optim.Adam([aside], **({"eps": 1e-6} | hyper), lr=1.0)

    def change(group: dict[str, Any], *_: Any) -> None:
        [p] = group["params"]
        aside.grad = p.grad
        aside.zero_()
        adam.step()
        u = weight_decay * p - aside
        p.grad = u * torch.linalg.vector_norm(p) / torch.linalg.vector_norm(u)

    return adjusted(torch.optim.SGD(params, lr), change)


def torch_adamw_paper(
    params: list[torch.Tensor], weight_decay: float = 1e-5, base_lr: float = 1e-3, **hyper: Any
) -> torch.optim.Optimizer:
    """torch's AdamW, whose decay at the base rate is the one asked for."""
    return torch.optim.AdamW(params, weight_decay=weight_decay / base_lr, **hyper)


def torch_sgdw_paper(
    params: list[torch.Tensor], weight_decay: float = 1e-5, base_lr: float = 1e-3, **hyper: Any
) -> torch.optim.Optimizer:
    """torch's SGD with the rate in its buffer, and with parameters that shrink before the step."""

    def shrink_then_move(group: dict[str, Any], state: dict[str, Any], t: int) -> None:
        for p in params:
            p.data *= 1 - group["lr"] / base_lr * weight_decay
        rate_in_gradient(group, state, t)

    return adjusted(torch.optim.SGD(params, **({"momentum": 0.9} | hyper)), shrink_then_move)


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
    "adamw": torch.optim.AdamW,
    "amsgrad": partial(torch.optim.Adam, amsgrad=True),
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "momentum_paper": torch_momentum_paper,
    "nesterov_keras": torch_nesterov_keras,
    "lars": torch_lars,
    "adagrad_optax": torch_adagrad_optax,
    "rmsprop_paper": torch_rmsprop_paper,
    "adadelta_paper": partial(torch.optim.Adadelta, rho=0.95),
    "adadelta_keras": partial(torch.optim.Adadelta, lr=1e-3, rho=0.95, eps=1e-7),
    "adam_keras": adam_after(eps_before_correction, eps=1e-7),
    "adam_eps_inside": torch_adam_eps_inside,
    "adam_uncorrected": adam_after(no_correction),
    "amsgrad_paper": adam_after(no_correction, amsgrad=True),
    "amsgrad_optax": adam_after(maximum_of_corrected, amsgrad=True),
    "amsgrad_keras": adam_after(eps_before_correction, amsgrad=True, eps=1e-7),
    "adamax_paper": partial(torch.optim.Adamax, eps=1e-300),
    "adamax_keras": partial(torch_adamax_keras, lr=1e-3),
    "nadam_paper": torch_nadam_paper,
    "nadam_optax": torch_nadam_optax,
    "nadam_keras": partial(torch.optim.NAdam, lr=1e-3, momentum_decay=1.0, eps=1e-7),
    "radam_optax": torch_radam_optax,
    "lamb": torch_lamb,
    "adaptive_revision": partial(torch.optim.Adagrad, initial_accumulator_value=1, eps=0),
    "adagrad_keras": partial(torch_adagrad_optax, lr=1e-3),
    "rmsprop_keras": partial(torch_rmsprop_paper, eps=1e-7),
    "sgdw_paper": torch_sgdw_paper,
    "adamw_paper": torch_adamw_paper,
    "adamw_optax": partial(torch.optim.AdamW, weight_decay=1e-4),
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


def recent(xs: Sequence[Array], decay: float) -> Any:
    """The exponential moving average after the last of xs, from zero, as the sum it stands for."""
    return sum((1 - decay) * decay**age * x for age, x in enumerate(reversed(xs)))


def always(k: int) -> float:
    return 1.0


def linear(k: int, decay_steps: float = 1e4) -> float:
    return float(np.interp(k, [0, decay_steps], [1, 0]))


def cosine(k: int, decay_steps: float = 1e4, periods: float = 0.5) -> float:
    return cos(pi * periods * min(k / decay_steps, 1)) ** 2


def restart(k: int, decay_steps: float = 1e4, periods: float = 1.0) -> float:
    cycles = periods * k / decay_steps
    return cos(pi / 2 * (cycles - floor(cycles))) ** 2


def powersign(decay: Callable[..., float]) -> Callable[..., Any]:
    def last(
        gs: Sequence[Array], lr: float = 0.1, beta: float = 0.9, alpha: float = e, **shape: float
    ) -> Any:
        f = decay(len(gs) - 1, **shape)
        return lr * np.exp(f * log(alpha) * np.sign(gs[-1] * recent(gs, beta))) * gs[-1]

    return last


def addsign(decay: Callable[..., float]) -> Callable[..., Any]:
    def last(
        gs: Sequence[Array], lr: float = 0.1, beta: float = 0.9, alpha: float = 1.0, **shape: float
    ) -> Any:
        f = decay(len(gs) - 1, **shape)
        return lr * (alpha * gs[-1] + f * np.abs(gs[-1]) * np.sign(recent(gs, beta)))

    return last


def lion(gs: Sequence[Array], lr: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99) -> Any:
    return lr * np.sign(beta1 * recent(gs[:-1], beta2) + (1 - beta1) * gs[-1])


def yogi(correct: bool) -> Callable[..., Any]:
    def last(
        gs: Sequence[Array],
        lr: float = 1e-2,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-3,
        initial_accumulator_value: float = 1e-6,
    ) -> Any:
        v = np.full(SHAPE, initial_accumulator_value)
        for g in gs:
            v = v + (1 - beta2) * np.select([v < g**2, v > g**2], [g**2, -(g**2)])
        m, t = recent(gs, beta1), len(gs)
        if not correct:
            return lr * m / (np.sqrt(v) + eps)
        m = m + beta1**t * initial_accumulator_value
        return lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)

    return last


def adabelief(
    gs: Sequence[Array],
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Any:
    """Adding eps at each step is averaging squares that are larger by eps / (1 - beta2)."""
    t = len(gs)
    means = [recent(gs[:i], beta1) for i in range(1, t + 1)]
    squares = [(g - m) ** 2 + eps / (1 - beta2) for g, m in zip(gs, means, strict=True)]
    s_hat = recent(squares, beta2) / (1 - beta2**t)
    return lr * means[-1] / (1 - beta1**t) / (np.sqrt(s_hat) + eps)


def radam_paper(
    gs: Sequence[Array],
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Any:
    t = len(gs)
    m_hat = recent(gs, beta1) / (1 - beta1**t)
    longest = (1 + beta2) / (1 - beta2)
    length = longest - 2 * t / (beta2**-t - 1)
    if length <= 4:
        return lr * m_hat
    ratio = [(x - 4) * (x - 2) / x for x in (length, longest)]
    root = np.sqrt(recent([g**2 for g in gs], beta2)) + eps
    return lr * m_hat * sqrt(ratio[0] / ratio[1] * (1 - beta2**t)) / root


UNROLLED: dict[str, Callable[..., Any]] = {
    "powersign": powersign(always),
    "powersign_linear": powersign(linear),
    "powersign_cosine": powersign(cosine),
    "powersign_restart": powersign(restart),
    "addsign": addsign(always),
    "addsign_linear": addsign(linear),
    "addsign_cosine": addsign(cosine),
    "addsign_restart": addsign(restart),
    "lion": lion,
    "radam_paper": radam_paper,
    "yogi": yogi(correct=False),
    "yogi_optax": yogi(correct=True),
    "adabelief": adabelief,
}


def unrolled_path(
    key: str,
    p0: Array,
    gs: Sequence[Array | None],
    hyper: Hyper | None = None,
    rates: Sequence[float] | None = None,
) -> Array:
    """The path whose every step is computed anew from all gradients so far."""
    settings = dict(hyper or {})
    path, history = [p0], []
    for i, g in enumerate(gs):
        if rates is not None:
            settings["lr"] = rates[i]
        if g is None:
            path.append(path[-1])
        else:
            history.append(g)
            path.append(path[-1] - UNROLLED[key](history, **settings))
    return np.stack(path)


def reference_path(key: str, *arguments: Any) -> Array:
    return (torch_path if key in TORCH else unrolled_path)(key, *arguments)


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
    "momentum_paper": [{"lr": 0.1, "momentum": 0.5}],
    "sgdw_paper": [{"lr": 0.1, "base_lr": 0.2}],
    "adamw_paper": [{"lr": 0.1, "base_lr": 0.2}],
    "adamw_optax": [{"lr": 0.1, "weight_decay": 0.5}],
    "adagrad_keras": [{"lr": 0.5}],
    "rmsprop_keras": [{"lr": 0.1}],
    "nesterov_keras": [{"lr": 0.1, "momentum": 0.5}],
    "powersign": [{"lr": 0.01, "beta": 0.5, "alpha": 2.0}],
    "powersign_linear": [{"decay_steps": 30.0}, {"alpha": 2.0, "decay_steps": 70.0}],
    "powersign_cosine": [{"decay_steps": 30.0}, {"alpha": 2.0, "decay_steps": 40.0, "periods": 2}],
    "powersign_restart": [{"decay_steps": 30.0}, {"alpha": 2.0, "decay_steps": 40.0, "periods": 3}],
    "addsign": [{"lr": 0.01, "beta": 0.5, "alpha": 2.0}],
    "addsign_linear": [{"decay_steps": 30.0}, {"alpha": 2.0, "decay_steps": 70.0}],
    "addsign_cosine": [{"decay_steps": 30.0}, {"alpha": 2.0, "decay_steps": 40.0, "periods": 2}],
    "addsign_restart": [{"decay_steps": 30.0}, {"alpha": 2.0, "decay_steps": 40.0, "periods": 3}],
    "lion": [{"lr": 0.1, "beta1": 0.5}, {"lr": 0.1, "beta1": 0.99, "beta2": 0.9}],
    "lars": [
        {"lr": 0.3, "momentum": 0.5, "trust_coefficient": 0.1},
        {"weight_decay": 0.5, "trust_coefficient": 0.02},
    ],
    "adaptive_revision": [{"lr": 0.5}],
    "adagrad_optax": [{"lr": 0.5}, {"initial_accumulator_value": 0.0, "eps": 1e-2}],
    "rmsprop_paper": [{"lr": 0.1, "alpha": 0.99}, {"alpha": 0.5, "eps": 1e-2}],
    "adadelta_paper": [{"lr": 0.5, "rho": 0.9}, {"rho": 0.99, "eps": 1e-3}],
    "adadelta_keras": [{"lr": 0.5, "rho": 0.9}, {"lr": 1.0, "rho": 0.99, "eps": 1e-3}],
    "adam_keras": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.0, "beta2": 0.99, "eps": 1e-2},
    ],
    "adam_eps_inside": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.0, "beta2": 0.99, "eps": 1e-2},
    ],
    "adam_uncorrected": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.0, "beta2": 0.99, "eps": 1e-2},
    ],
    "amsgrad_paper": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.6},
        {"beta1": 0.0, "beta2": 0.9, "eps": 1e-2},
    ],
    "amsgrad_optax": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.6},
        {"beta1": 0.0, "beta2": 0.9, "eps": 1e-2},
    ],
    "amsgrad_keras": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.6},
        {"beta1": 0.0, "beta2": 0.9, "eps": 1e-2},
    ],
    "adamax_paper": [{"lr": 0.1, "beta1": 0.5, "beta2": 0.6}, {"beta1": 0.0, "beta2": 0.9}],
    "adamax_keras": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.6},
        {"beta1": 0.0, "beta2": 0.9, "eps": 1e-1},
    ],
    "nadam_paper": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.99, "beta2": 0.99, "eps": 1e-2, "momentum_decay": 0.1},
        {"momentum_decay": 0.0},
    ],
    "nadam_optax": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.99, "beta2": 0.99, "eps": 1e-2},
    ],
    "nadam_keras": [{"lr": 0.1, "beta1": 0.5, "beta2": 0.9}, {"eps": 1e-2, "momentum_decay": 0.1}],
    "radam_paper": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.9, "beta2": 0.6, "eps": 1e-2},
        {"beta1": 0.9, "beta2": 0.99, "eps": 1e-2},
    ],
    "radam_optax": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.9, "beta2": 0.6, "eps": 1e-2},
        {"beta1": 0.9, "beta2": 0.99, "eps": 1e-2},
    ],
    "yogi": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.0, "beta2": 0.99, "eps": 1e-2, "initial_accumulator_value": 1.0},
    ],
    "yogi_optax": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.0, "beta2": 0.99, "eps": 1e-2, "initial_accumulator_value": 1.0},
    ],
    "adabelief": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.0, "beta2": 0.99, "eps": 1e-2},
    ],
    "lamb": [
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
        {"beta1": 0.0, "beta2": 0.99, "eps": 1e-2, "weight_decay": 0.5},
    ],
}

every_rule = pytest.mark.parametrize("key", ORACLES)


@pytest.mark.parametrize(
    ("key", "hyper"), [(key, hyper) for key in ORACLES for hyper in [{}, *SETTINGS[key]]]
)
def test_oracle_follows_its_reference_at_every_step(key: str, hyper: Hyper) -> None:
    """Equations and defaults agree; AdamW's earlier decay in torch differs only in rounding."""
    assert torch.get_default_dtype() == torch.float32
    p0, gs = random_start(), random_gradients()
    assert difference(oracle_path(key, p0, gs, hyper), reference_path(key, p0, gs, hyper)) <= 1e-12


@every_rule
def test_oracle_follows_its_reference_when_the_learning_rate_changes(key: str) -> None:
    """A new rate acts on the step, never on what torch's buffers hold; Rprop reads the first."""
    p0, gs = random_start(), random_gradients()
    rates = [0.02] * 25 + [0.01] * 25
    ours, other = (path(key, p0, gs, None, rates) for path in (oracle_path, reference_path))
    assert difference(ours, other) <= 1e-12


@every_rule
def test_clock_starts_at_the_first_gradient(key: str) -> None:
    """A parameter whose gradient is missing neither moves nor ages, as in torch."""
    p0, gs = random_start(), [None] * 7 + random_gradients(10) + [None] + random_gradients(10)
    assert difference(oracle_path(key, p0, gs), reference_path(key, p0, gs)) <= 1e-12
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


RHO_8 = 7 - 16 * 0.75**8 / (1 - 0.75**8)  # RAdam's, at beta2 = 0.75, the first above 5

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
    (
        "momentum_paper",
        {"lr": 0.1, "momentum": 0.5},
        [2, 4],
        1 - 0.1 * 2 - (0.5 * 0.2 + 0.1 * 4),
    ),
    (
        "nesterov_keras",
        {"lr": 0.1, "momentum": 0.5},
        [2, 4],
        1 - (0.5 * 0.2 + 0.1 * 2) - (0.5 * 0.5 + 0.1 * 4),
    ),
    (
        "powersign",
        {"lr": 0.1, "beta": 0.5, "alpha": 2},
        [2, -2, -4, 1],
        1 - 0.1 * 2 * 2 + 0.1 * 2 * 2 + 0.1 * 2 * 4 - 0.1 / 2 * 1,
    ),
    (
        "powersign",
        {"lr": 0.1, "beta": 0.5, "alpha": 2},
        [4, -2, 0],
        1 - 0.1 * 2 * 4 + 0.1 * 1 * 2 - 0,
    ),
    (
        "powersign_linear",
        {"lr": 0.1, "alpha": 16, "decay_steps": 4},
        [1] * 6,
        1 - 0.1 * (16 + 8 + 4 + 2 + 1 + 1),
    ),
    (
        "powersign_cosine",
        {"lr": 0.1, "alpha": 16, "decay_steps": 3},
        [1] * 5,
        1 - 0.1 * (16 + 8 + 2 + 1 + 1),
    ),
    (
        "powersign_restart",
        {"lr": 0.1, "alpha": 16, "decay_steps": 6, "periods": 2},
        [1] * 5,
        1 - 0.1 * (16 + 8 + 2 + 16 + 8),
    ),
    (
        "addsign",
        {"lr": 0.1, "beta": 0.5, "alpha": 3},
        [2, -2, -4, 1],
        1 - 0.1 * 4 * 2 + 0.1 * 4 * 2 + 0.1 * 4 * 4 - 0.1 * 2 * 1,
    ),
    (
        "addsign",
        {"lr": 0.1, "beta": 0.5},
        [4, -2, -4, 1],
        1 - 0.1 * 2 * 4 + 0.1 * 1 * 2 + 0.1 * 2 * 4 - 0,
    ),
    (
        "addsign_linear",
        {"lr": 0.1, "alpha": 2, "decay_steps": 4},
        [1] * 6,
        1 - 0.1 * (3 + 2.75 + 2.5 + 2.25 + 2 + 2),
    ),
    (
        "addsign_cosine",
        {"lr": 0.1, "alpha": 2, "decay_steps": 3, "periods": 1},
        [1] * 6,
        1 - 0.1 * (3 + 2.25 + 2.25 + 3 + 3 + 3),
    ),
    (
        "addsign_restart",
        {"lr": 0.1, "alpha": 2, "decay_steps": 3},
        [1] * 5,
        1 - 0.1 * (3 + 2.75 + 2.25 + 3 + 2.75),
    ),
    (
        "lion",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75},
        [2, -1, -0.1, -1],
        1 - 0.1 + 0.1 - 0.1 + 0.1,
    ),
    (
        "lars",
        {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.5, "trust_coefficient": 0.25},
        [2, 0],
        1 - 0.1 * 0.1 * 2.5 - (0.5 * 0.025 + 0.1 * 0.5 * 0.975),
    ),
    (
        "adagrad_optax",
        {"lr": 0.1, "initial_accumulator_value": 4, "eps": 1},
        [2, 4],
        1 - 0.1 * 2 / 3 - 0.1 * 4 / 5,
    ),
    (
        "adaptive_revision",
        {"lr": 0.1},
        [sqrt(3), sqrt(5)],
        1 - 0.1 * sqrt(3) / 2 - 0.1 * sqrt(5) / 3,
    ),
    (
        "rmsprop_paper",
        {"lr": 0.1, "alpha": 0.75, "eps": 3},
        [2, 4],
        1 - 0.1 * 2 / 2 - 0.1 * 4 / sqrt(0.75 + 4 + 3),
    ),
    (
        "adadelta_paper",
        {"rho": 0.75, "eps": 1},
        [2, 2],
        1 - sqrt(1) / sqrt(2) * 2 - sqrt(0.5 + 1) / sqrt(1.75 + 1) * 2,
    ),
    (
        "adadelta_keras",
        {"lr": 0.5, "rho": 0.75, "eps": 1},
        [2, 2],
        1 - 0.5 * sqrt(1) / sqrt(2) * 2 - 0.5 * sqrt(0.5 + 1) / sqrt(1.75 + 1) * 2,
    ),
    (
        "adam_keras",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [2, -4],
        1 - 0.1 * 0.5 / 0.5 * 1 / (1 + 1) + 0.1 * sqrt(0.4375) / 0.75 * 1.5 / (sqrt(4.75) + 1),
    ),
    (
        "adam_eps_inside",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 5},
        [2, -4],
        1 - 0.1 * 2 / 3 + 0.1 * (1.5 / 0.75) / sqrt(4.75 / 0.4375 + 5),
    ),
    (
        "adam_uncorrected",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [2, -4],
        1 - 0.1 * 1 / (1 + 1) + 0.1 * 1.5 / (sqrt(4.75) + 1),
    ),
    (
        "amsgrad_paper",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [4, 0],
        1 - 0.1 * 2 / (2 + 1) - 0.1 * 1 / (2 + 1),
    ),
    (
        "amsgrad_optax",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [4, 0],
        1 - 0.1 * 4 / (4 + 1) - 0.1 * (1 / 0.75) / (4 + 1),
    ),
    (
        "amsgrad_keras",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [4, 0],
        1 - 0.1 * 0.5 / 0.5 * 2 / (2 + 1) - 0.1 * sqrt(0.4375) / 0.75 * 1 / (2 + 1),
    ),
    (
        "adamax_paper",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75},
        [0, 2, 1],
        1 - 0 - 0.1 / 0.75 * 1 / 2 - 0.1 / 0.875 * 1 / 1.5,
    ),
    (
        "adamax_keras",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 0.5},
        [2, 1],
        1 - 0.1 / 0.5 * 1 / 2.5 - 0.1 / 0.75 * 1 / 2,
    ),
    (
        "nadam_paper",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1, "momentum_decay": 0},
        [2, 4],
        1
        - 0.1 * (0.25 * 1.5 / (1 - 0.25**2) + 0.75 * 2 / (1 - 0.25)) / (sqrt(3) + 1)
        - 0.1
        * (0.25 * 3.375 / (1 - 0.25**3) + 0.75 * 4 / (1 - 0.25**2))
        / (sqrt(0.75 * 4.75 / 0.4375) + 1),
    ),
    (
        "nadam_optax",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [2, 4],
        1
        - 0.1 * (0.5 * 1 / 0.75 + 0.5 * 2 / 0.5) / (2 + 1)
        - 0.1 * (0.5 * 2.5 / 0.875 + 0.5 * 4 / 0.75) / (sqrt(4.75 / 0.4375) + 1),
    ),
    (
        "nadam_keras",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1, "momentum_decay": 0},
        [2],
        1 - 0.1 * (0.75 / (1 - 0.25) * 2 + 0.25 / (1 - 0.0625) * 1) / (2 + 1),
    ),
    (
        "radam_paper",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.5, "eps": 1},
        [2, -4],
        1 - 0.1 * 2 + 0.1 * (1.5 / 0.75),
    ),
    (
        "radam_optax",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [2] * 8,
        1 - 7 * 0.1 * 2 - 0.1 * sqrt(7 * (RHO_8 - 4) * (RHO_8 - 2) / (15 * RHO_8)) * 2 / (2 + 1),
    ),
    (
        "yogi",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1, "initial_accumulator_value": 9},
        [2, -4],
        1 - 0.1 * 1 / (sqrt(8) + 1) + 0.1 * 1.5 / (sqrt(12) + 1),
    ),
    (
        "yogi",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1, "initial_accumulator_value": 4},
        [2],
        1 - 0.1 * 1 / (2 + 1),
    ),
    (
        "yogi_optax",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1, "initial_accumulator_value": 9},
        [2, -4],
        1 - 0.1 * 11 / (sqrt(8 / 0.25) + 1) - 0.1 * 1 / (sqrt(12 / 0.4375) + 1),
    ),
    (
        "adabelief",
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 1},
        [2, -4],
        1 - 0.1 * 2 / (sqrt(5) + 1) + 0.1 * 2 / (sqrt(8) + 1),
    ),
    ("lamb", {"lr": 0.1}, [2, 3, 0], 0.9**3),
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


def test_lars_scales_the_step_by_the_norms_of_the_whole_array() -> None:
    """|p| is 5 and |g| is 13, so the local rate is 0.1 * 5 / (13 + 0.4 * 5)."""
    oracle = ORACLES["lars"]([3.0, 4.0], lr=0.3, weight_decay=0.4, trust_coefficient=0.1)
    oracle.step([-5.0, 12.0])
    assert oracle.p == pytest.approx([3 + 0.01 * (5 - 1.2), 4 - 0.01 * (12 + 1.6)], rel=1e-14)


def test_lamb_scales_the_step_by_the_norms_of_the_whole_array() -> None:
    """With eps 1 Adam's direction is (2/3, 0); half of p is added to it before the norm."""
    oracle = ORACLES["lamb"]([3.0, 4.0], lr=0.1, eps=1.0, weight_decay=0.5)
    oracle.step([2.0, 0.0])
    u = np.array([2 / 3 + 1.5, 2.0])
    expected = [3, 4] - 0.1 * u * 5 / sqrt((13 / 6) ** 2 + 4)
    assert oracle.p == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("key", ["momentum", "nesterov", "momentum_paper", "nesterov_keras"])
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


def test_rate_in_the_buffer_matters_only_when_it_changes() -> None:
    """Sutskever's momentum is torch's at a constant rate, and keeps old rates for old gradients."""
    p0, gs = random_start(), random_gradients()
    ours, torchs = oracle_path("momentum_paper", p0, gs), torch_path("momentum", p0, gs)
    assert difference(ours, torchs) <= 1e-12
    frozen = oracle_path("momentum_paper", p0, gs, None, [0.1] * 10 + [0.0] * 40)
    assert frozen[11] - frozen[10] == pytest.approx(0.9 * (frozen[10] - frozen[9]), rel=1e-9)
    assert np.array_equal(*oracle_path("momentum", p0, gs, None, [0.1] * 10 + [0.0] * 40)[10:12])


def test_keras_nesterov_is_the_literal_form_even_when_the_rate_changes() -> None:
    """With the rate in the buffer, phi = theta - gamma v is exact under any schedule."""
    rng = np.random.default_rng(2)
    gamma, curvature = 0.9, np.array([0.1, 1.0, 4.0])
    theta, v = rng.standard_normal(3), np.zeros(3)
    oracle = ORACLES["nesterov_keras"](theta, momentum=gamma)
    reformulated, literal = [oracle.p], [theta]
    for lr in rng.uniform(0.01, 0.1, 100):
        v = gamma * v + lr * curvature * (theta - gamma * v)
        theta = theta - v
        literal.append(theta - gamma * v)
        oracle.lr = lr
        oracle.step(curvature * oracle.p)
        reformulated.append(oracle.p)
    assert difference(np.stack(reformulated), np.stack(literal)) <= 1e-13


SIGN_RULES = [
    f"{form}{decay}"
    for form in ("powersign", "addsign")
    for decay in ("", "_linear", "_cosine", "_restart")
]


@pytest.mark.parametrize("key", SIGN_RULES[:4])
def test_powersign_of_base_one_is_gradient_descent(key: str) -> None:
    p0, gs = random_start(), random_gradients()
    ours = oracle_path(key, p0, gs, {"lr": 0.1, "alpha": 1.0})
    assert np.array_equal(ours, oracle_path("sgd", p0, gs, {"lr": 0.1}))


@pytest.mark.parametrize("key", ["powersign_linear", "powersign_cosine"])
def test_powersign_ends_as_gradient_descent(key: str) -> None:
    """Once agreement counts nothing the step is lr g; for AddSign it is lr alpha g."""
    p0, gs = random_start(), random_gradients()
    path = oracle_path(key, p0, gs, {"decay_steps": 20.0})
    assert -np.diff(path, axis=0)[20:] == pytest.approx(0.1 * np.stack(gs)[20:], abs=1e-13)
    path = oracle_path(key.replace("power", "add"), p0, gs, {"decay_steps": 20.0, "alpha": 3.0})
    assert -np.diff(path, axis=0)[20:] == pytest.approx(0.3 * np.stack(gs)[20:], abs=1e-13)


@pytest.mark.parametrize(("key", "factor"), [("powersign", 3), ("addsign", 3 + 1)])
def test_every_gradient_agrees_with_an_average_of_itself(key: str, factor: float) -> None:
    """With beta 0 there is no past to disagree with, and the rule is gradient descent."""
    p0, gs = random_start(), random_gradients()
    ours = oracle_path(key, p0, gs, {"lr": 0.1, "beta": 0.0, "alpha": 3.0})
    assert difference(ours, oracle_path("sgd", p0, gs, {"lr": 0.1 * factor})) <= 1e-13


def counted(key: str, steps: int, **hyper: float) -> Array:
    """How much agreement counts at each step, read off the steps of a gradient that stays 1."""
    oracle, factors = ORACLES[key](0.0, lr=1.0, alpha=e, **hyper), np.zeros(steps)
    for k in range(steps):
        oracle.p = np.zeros(())
        oracle.step(1.0)
        factors[k] = -oracle.p
    return np.log(factors) if key.startswith("power") else factors - e


@pytest.mark.parametrize("key", SIGN_RULES)
def test_agreement_counts_fully_at_first_and_nearly_so_for_long(key: str) -> None:
    """By default the first step is undecayed, and ten later ones are within a thousandth."""
    f = counted(key, 10)
    assert f[0] == pytest.approx(1, abs=1e-15)
    assert f == pytest.approx(1, abs=1.001e-3)


@pytest.mark.parametrize("form", ["powersign", "addsign"])
def test_agreement_decays_as_named(form: str) -> None:
    """A line to zero; a cosine that ends at zero and stays; half a cosine per restart."""
    assert counted(f"{form}_linear", 13, decay_steps=10.0) == pytest.approx(
        [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0, 0], abs=1e-14
    )
    f = counted(f"{form}_cosine", 13, decay_steps=10.0)
    assert f[[0, 5, 10, 11, 12]] == pytest.approx([1, 0.5, 0, 0, 0], abs=1e-14)
    assert f[:11] + f[10::-1] == pytest.approx(1, abs=1e-14)
    assert (np.diff(f[:11]) < 0).all()
    g = counted(f"{form}_restart", 22, decay_steps=10.0)
    assert g == pytest.approx(np.concatenate([f[:10], f[:10], f[:2]]), abs=1e-14)


@pytest.mark.parametrize("form", ["powersign", "addsign"])
def test_periods_divide_the_decay(form: str) -> None:
    """Two whole periods of a cosine end where they began; five restarts are four steps apart."""
    f = counted(f"{form}_cosine", 30, decay_steps=20.0, periods=2.0)
    assert f[[0, 5, 10, 15, 20, 29]] == pytest.approx([1, 0, 1, 0, 1, 1], abs=1e-14)
    g = counted(f"{form}_restart", 40, decay_steps=20.0, periods=5.0)
    assert g.reshape(-1, 4) == pytest.approx(np.tile(g[:4], (10, 1)), abs=1e-14)
    assert g[2] == pytest.approx(0.5, abs=1e-14)


def test_lion_moves_every_entry_by_the_rate() -> None:
    """The step knows no gradient's size; with beta1 0 it knows only the last one's sign."""
    p0, gs = random_start(), random_gradients()
    path = oracle_path("lion", p0, gs, {"lr": 0.5})
    assert np.abs(np.diff(path, axis=0))[5:] == pytest.approx(0.5, rel=1e-13)
    scaled: list[Array] = [g * 8.0 for g in gs]
    assert np.array_equal(path, oracle_path("lion", p0, scaled, {"lr": 0.5}))
    signs: list[Array] = [np.sign(g) for g in gs]
    path = oracle_path("lion", p0, gs, {"lr": 0.5, "beta1": 0.0})
    assert np.array_equal(path, oracle_path("sgd", p0, signs, {"lr": 0.5}))


@pytest.mark.parametrize("key", ["lars", "lamb"])
def test_layerwise_step_is_a_share_of_the_norm_whatever_the_gradient(key: str) -> None:
    """The first step has length lr |p|, for LARS times its coefficient, at any gradient scale."""
    p0, g = random_start(), random_start(1)
    hyper = {"lr": 0.1, "trust_coefficient": 0.5} if key == "lars" else {"lr": 0.05, "eps": 0.0}
    for scale in (1e-3, 1.0, 1e3):
        before, after = oracle_path(key, p0, [g * scale], hyper)
        assert np.linalg.norm(after - before) == pytest.approx(0.05 * np.linalg.norm(p0), rel=1e-9)


def test_layerwise_rate_is_one_where_a_norm_is_zero() -> None:
    """A parameter at zero moves as without a ratio, and a gradient of zero moves nothing."""
    zeros, [g] = np.zeros(SHAPE), random_gradients(1)
    assert oracle_path("lars", zeros, [g])[1] == pytest.approx(-0.1 * g, rel=1e-14)
    assert oracle_path("lamb", zeros, [g])[1] == pytest.approx(-1e-3 * np.sign(g), rel=1e-2)
    p0 = random_start()
    for key in ("lars", "lamb"):
        hyper = {"weight_decay": 0.0}
        assert np.array_equal(oracle_path(key, p0, [zeros], hyper), [p0, p0])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    "key",
    [
        "adam",
        "adam_keras",
        "adam_eps_inside",
        "amsgrad",
        "amsgrad_optax",
        "amsgrad_keras",
        "adamax",
        "adamax_paper",
        "adamax_keras",
    ],
)
def test_adam_family_steps_by_lr_under_a_constant_gradient(key: str, scale: float) -> None:
    """The step is lr sign(g) whatever the gradient's size, from the first step on."""
    hyper = {"eps": 1e-16} if hasattr(ORACLES[key], "eps") else {}
    steps = constant_steps(key, -scale, 100, lr=0.01, **hyper)
    assert steps == pytest.approx(-0.01, rel=2e-10)


def test_epsilon_shortens_the_first_adam_step_by_its_share() -> None:
    """The first step is lr g / (|g| + eps): eps stands outside the root, after the correction."""
    assert constant_steps("adam", 1e-8, 1)[0] == pytest.approx(1e-3 / 2, rel=1e-12)


def test_place_of_epsilon_decides_which_gradients_it_halves() -> None:
    """Before correction eps counts sqrt(1 / (1 - beta2)) times; inside the root it is a square."""
    assert constant_steps("adam_keras", 1e-8 / sqrt(1e-3), 1, eps=1e-8)[0] == pytest.approx(5e-4)
    assert constant_steps("adam_eps_inside", 1e-4, 1)[0] == pytest.approx(1e-3 / sqrt(2), rel=1e-9)
    assert constant_steps("rmsprop_paper", 1e-4, 1, alpha=0.0)[0] == pytest.approx(1e-3 / sqrt(2))
    steps = constant_steps("adagrad_optax", 1e-3, 1, initial_accumulator_value=0.0, eps=1e-6)
    assert steps[0] == pytest.approx(1e-2 / sqrt(2), rel=1e-9)


@pytest.mark.parametrize("key", ["adam_uncorrected", "amsgrad_paper"])
def test_uncorrected_moments_enlarge_the_first_steps(key: str) -> None:
    """m starts at a tenth of g and sqrt(v) at a thirtieth; corrected they start alike."""
    steps = constant_steps(key, 5.0, 20000, lr=0.01)
    assert steps[0] == pytest.approx(0.01 * 0.1 / sqrt(1e-3), rel=1e-6)
    assert steps[-1] == pytest.approx(0.01, rel=1e-6)


def test_adamax_of_the_paper_rests_where_no_gradient_came() -> None:
    """0 / 0 is no step, and the clock runs on."""
    oracle = ORACLES["adamax_paper"](np.zeros(2))
    for _ in range(3):
        oracle.step([0.0, 1.0])
    assert oracle.p == pytest.approx([0, -3 * 2e-3], rel=1e-13)


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
        assert constant_steps("adadelta_paper", g, 1)[0] == pytest.approx(sqrt(2e-5), rel=1e-5)
        first = constant_steps("adadelta_keras", g, 1)[0]
        assert first == pytest.approx(1e-3 * sqrt(2e-6), rel=1e-5)


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


def amsgrad_counterexample(key: str, steps: int = 30000) -> float:
    """Where a rule goes on [-1, 1] if the slope is 3 at every third step and -1 at the others."""
    oracle = ORACLES[key](0.0, beta1=0.0, beta2=0.1, eps=0.0)
    for t in range(1, steps + 1):
        oracle.lr = 0.1 / sqrt(t)
        oracle.step(3.0 if t % 3 == 1 else -1.0)
        oracle.p = np.clip(oracle.p, -1, 1)
    return float(oracle.p)


def test_adam_goes_to_the_worst_point_where_amsgrad_goes_to_the_best() -> None:
    """Reddi, Kale & Kumar 2018, Theorem 1, with C = 3: the mean slope is 1/3, the minimum -1."""
    assert amsgrad_counterexample("adam_uncorrected") == pytest.approx(1, abs=1e-3)
    assert amsgrad_counterexample("amsgrad_paper") == pytest.approx(-1, abs=1e-3)


def test_amsgrad_of_corrected_moments_never_forgets_the_first_gradient() -> None:
    """One gradient of 100 corrects to v_hat = 100**2, where torch's maximum decays to 10."""
    gs = [np.asarray(100.0)] + [np.asarray(1.0)] * 200
    hyper = {"beta1": 0.5, "beta2": 0.9, "lr": 1.0}
    optax = -np.diff(oracle_path("amsgrad_optax", np.zeros(()), gs, hyper))
    assert optax[-1] == pytest.approx(1 / 100, rel=1e-9)


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


def test_radam_of_the_paper_rectifies_one_step_earlier() -> None:
    """With beta2 = 0.999 only the fifth step has 4 < rho <= 5; all others are torch's."""
    p0, gs = random_start(), random_gradients()
    ours = np.diff(oracle_path("radam_paper", p0, gs), axis=0)
    torchs = np.diff(torch_path("radam", p0, gs), axis=0)
    apart = np.abs(ours - torchs).max(axis=(1, 2))
    assert np.flatnonzero(apart > 1e-14).tolist() == [4]
    assert np.abs(ours[4]).max() < np.abs(torchs[4]).max() / 10


def test_yogi_moves_its_second_moment_by_the_gradient_alone() -> None:
    """Up or down by (1 - beta2) g**2, where Adam would move by its distance from g**2."""
    oracle: Any = ORACLES["yogi"](random_start(), initial_accumulator_value=1.0)
    signs = set()
    for g in random_gradients():
        before = oracle.v
        oracle.step(g)
        assert np.abs(oracle.v - before) == pytest.approx(1e-3 * g**2, abs=1e-14)
        signs |= set(np.sign(oracle.v - before)[g != 0])
    assert signs == {-1, 1}


def test_yogi_is_torchs_adagrad_while_its_second_moment_is_small() -> None:
    """Below g**2 the moment is a sum of squares, and sqrt(1 - beta2) divides lr and eps."""
    p0 = random_start()
    gs: list[Array] = [np.sign(g) + 0.01 * g for g in random_gradients()]
    yogi = {"beta1": 0.0, "lr": 0.01, "eps": 1e-3, "initial_accumulator_value": 1e-4}
    adagrad = {name: yogi[name] / sqrt(1e-3) for name in ("lr", "eps")}
    adagrad["initial_accumulator_value"] = 0.1
    ours, torchs = oracle_path("yogi", p0, gs, yogi), torch_path("adagrad", p0, gs, adagrad)
    assert difference(ours, torchs) <= 1e-12


def test_yogi_from_zero_begins_like_torchs_adam() -> None:
    """The first gradient is above a moment of zero, so both moments are Adam's, corrected alike."""
    p0, gs = random_start(), random_gradients(1)
    yogi = oracle_path("yogi_optax", p0, gs, {"initial_accumulator_value": 0.0})
    assert difference(yogi, torch_path("adam", p0, gs, {"lr": 1e-2, "eps": 1e-3})) <= 1e-12


def test_adabelief_without_momentum_is_gradient_descent() -> None:
    """m foretells g exactly, so the divisor holds eps alone: sqrt(eps / (1 - beta2)) + eps."""
    p0, gs = random_start(), random_gradients()
    ours = oracle_path("adabelief", p0, gs, {"lr": 0.1, "beta1": 0.0, "eps": 1e-4})
    rate = 0.1 / (sqrt(1e-4 / 1e-3) + 1e-4)
    assert difference(ours, oracle_path("sgd", p0, gs, {"lr": rate})) <= 1e-12


def test_adabelief_strides_where_gradients_keep_their_word() -> None:
    """A constant gradient is foretold ever better, and the step outgrows Adam's lr."""
    steps = constant_steps("adabelief", 1.0, 500, lr=0.01)
    assert steps[0] == pytest.approx(0.01 / 0.9, rel=1e-4)
    assert (np.diff(steps) > 0).all()
    assert steps[-1] > 0.05


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


def decayed_adam(decay: Callable[[Array, float], Array], rates: Sequence[float]) -> Array:
    """Adam with a decay that reads the parameter before the step and the step's rate."""
    adam = ORACLES["adam"](random_start())
    path = [adam.p]
    for g, rate in zip(random_gradients(), rates, strict=True):
        adam.lr, decayed = rate, decay(adam.p, rate)
        adam.step(g)
        adam.p = adam.p - decayed
        path.append(adam.p)
    return np.stack(path)


RATES = [0.04, 0.02, 0.03, 0.01, 0.05] * (STEPS // 5)


@pytest.mark.parametrize(
    ("decay", "torchs"),
    [
        (lambda p, lr: decoupled_decay(p, lr, 0.1), lambda lr: 0.1),
        (lambda p, lr: scheduled_decay(p, lr, 0.05, 0.1), lambda lr: 0.1 / 0.05),
        (lambda p, lr: independent_decay(p, 0.1), lambda lr: 0.1 / lr),
        (lambda p, lr: corrected_decay(p, lr, 0.05, 0.1), lambda lr: 0.1 * lr / 0.05),
    ],
    ids=["decoupled", "scheduled", "independent", "corrected"],
)
def test_decay_is_torchs_adamw_at_its_own_weight_decay(
    decay: Callable[[Array, float], Array], torchs: Callable[[float], float]
) -> None:
    """torch decays by lr times weight_decay; the kinds differ in what they make of the rate."""
    p = torch.tensor(random_start())
    optimizer = torch.optim.AdamW([p])
    path = [p.numpy().copy()]
    for g, rate in zip(random_gradients(), RATES, strict=True):
        optimizer.param_groups[0] |= {"lr": rate, "weight_decay": torchs(rate)}
        p.grad = torch.tensor(g)
        optimizer.step()
        path.append(p.numpy().copy())
    assert difference(decayed_adam(decay, RATES), np.stack(path)) <= 1e-12


def test_decays_agree_at_the_rate_they_are_measured_by() -> None:
    """At the base rate a scheduled decay is independent, at the largest a corrected decoupled."""
    p = random_start()
    assert np.array_equal(scheduled_decay(p, 0.3, 0.3, 0.1), independent_decay(p, 0.1))
    largest = decoupled_decay(p, 0.3, 0.1)
    assert corrected_decay(p, 0.3, 0.3, 0.1) == pytest.approx(largest, rel=1e-14)
    assert corrected_decay(p, 0.15, 0.3, 0.1) == pytest.approx(largest / 4, rel=1e-14)


def test_noise_begins_at_eta_and_its_variance_falls_as_a_power_of_time() -> None:
    """eta is the variance of the first gradient's noise, not its standard deviation."""
    assert noise_scale(1, 0.09, 0.55) == pytest.approx(0.3, rel=1e-15)
    assert noise_scale(16, 0.09, 0.5) == pytest.approx(0.3 / 2, rel=1e-15)
    variance = 0.3 * exp(-0.55 * log(1000))
    assert noise_scale(1000, 0.3, 0.55) ** 2 == pytest.approx(variance, rel=1e-13)


def test_centre_takes_the_mean_of_every_output_from_its_weights() -> None:
    """A matrix loses the means of its rows, filters their own; a bias or a scalar loses nothing."""
    assert centre(np.array([[1.0, 3.0], [5.0, 9.0]])).tolist() == [[-1, 1], [-2, 2]]
    filters = np.random.default_rng(3).standard_normal((4, 3, 5, 5))
    torchs = torch.tensor(filters)
    torchs = torchs - torchs.mean(dim=(1, 2, 3), keepdim=True)
    assert centre(filters) == pytest.approx(torchs.numpy(), rel=1e-13, abs=1e-15)
    for unchanged in (np.asarray(2.0), np.array([1.0, 2.0]), np.zeros((0,))):
        assert np.array_equal(centre(unchanged), unchanged)


def test_cautious_step_keeps_what_descends_and_makes_up_for_the_rest() -> None:
    """Two of three entries agree, so they grow by 3/2; a zero on either side does not agree."""
    step = np.array([1.0, -1.0, 2.0])
    assert cautious(step, np.ones(3)) == pytest.approx([1.5, 0, 3], rel=1e-15)
    assert cautious(step, np.array([0.0, -1.0, 0.0])) == pytest.approx([0, -3, 0], rel=1e-15)
    assert np.array_equal(cautious(step, step * 7), step)
    assert np.array_equal(cautious(step, -step), np.zeros(3))
    assert cautious(np.zeros(0), np.zeros(0)).shape == (0,)


def test_cautious_step_grows_a_thousandfold_at_most() -> None:
    step, g = np.ones(5000), -np.ones(5000)
    g[0] = 1
    assert cautious(step, g)[0] == pytest.approx(1000, rel=1e-15)
    g[:10] = 1
    assert cautious(step, g)[0] == pytest.approx(500, rel=1e-13)


@pytest.mark.parametrize("start", [0, 7])
def test_polyak_average_is_the_mean_of_the_iterates_after_its_start(start: int) -> None:
    """Until the start it is the iterate; from then on the mean, as torch's SWA keeps it."""
    average, iterates = random_start(), random_gradients(20)
    torchs = [torch.tensor(average)]
    update = torch.optim.swa_utils.get_swa_multi_avg_fn()
    for t, p in enumerate(iterates, start=1):
        average = polyak_average(p, average, t, start)
        if t <= start:
            assert np.array_equal(average, p)
            continue
        update(torchs, [torch.tensor(p)], t - start - 1)
        assert average == pytest.approx(torchs[0].numpy(), rel=1e-13, abs=1e-14)
    assert average == pytest.approx(np.mean(iterates[start:], axis=0), rel=1e-12, abs=1e-13)


def test_trust_ratio_gives_the_step_the_rates_share_of_the_norm() -> None:
    """Its direction stays; without a length of the parameter or the step nothing is scaled."""
    step, p = np.array([0.0, 0.5]), np.array([3.0, 4.0])
    assert trust_ratio(step, p, 0.1) == pytest.approx([0, 0.5], rel=1e-15)
    assert trust_ratio(step, p, 0.2) == pytest.approx([0, 1], rel=1e-15)
    assert np.array_equal(trust_ratio(step, np.zeros(2), 0.1), step)
    assert np.array_equal(trust_ratio(np.zeros(2), p, 0.1), np.zeros(2))


def test_trust_ratio_and_decay_make_lamb_of_torchs_adam() -> None:
    """LAMB is Adam's step with decoupled decay, at the length that the trust ratio gives it."""
    p0, gs = random_start(), random_gradients()
    torchs = torch_path("adam", np.zeros(SHAPE), gs, {"lr": 0.1, "eps": 1e-6})
    path = [p0]
    for step in -np.diff(torchs, axis=0):
        p = path[-1]
        path.append(p - trust_ratio(step + decoupled_decay(p, 0.1, 0.5), p, 0.1))
    ours = oracle_path("lamb", p0, gs, {"lr": 0.1, "weight_decay": 0.5})
    assert difference(ours, np.stack(path)) <= 1e-12


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
