"""What papers and libraries mean by the names of rules, transcribed in a few lines of NumPy each.

Every function takes an array *p* and its gradients, and yields the points that *p* is moved to.
Defaults are those of the source; nothing of thalweg is used. `docs/parity.py` measures with them.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
Points = Iterator[Array]
Equations = Callable[..., Points]
Rate = float | Callable[[int], float]


def at(rate: Rate, t: int) -> float:
    """Return a learning rate at update *t*."""
    return rate(t) if callable(rate) else rate


def by_torch(
    p: Array, gs: Array, make: Callable[..., torch.optim.Optimizer], **settings: Any
) -> Points:
    """Move by an optimizer of torch."""
    leaf = torch.tensor(p)
    optimizer = make([leaf], **settings)
    for g in gs:
        leaf.grad = torch.tensor(g)
        optimizer.step()
        yield leaf.numpy().copy()


# Momentum.


def momentum_inside(p: Array, gs: Array, lr: Rate, momentum: float = 0.9) -> Points:
    """Sutskever et al. 2013, equations 1 and 2; Keras 3, SGD: lr enters the buffer."""
    v = 0.0
    for t, g in enumerate(gs, 1):
        v = momentum * v - at(lr, t) * g
        p = p + v
        yield p


def nesterov_inside(p: Array, gs: Array, lr: Rate, momentum: float = 0.9) -> Points:
    """Keras 3, SGD(nesterov=True)."""
    v = 0.0
    for t, g in enumerate(gs, 1):
        v = momentum * v - at(lr, t) * g
        p = p + momentum * v - at(lr, t) * g
        yield p


# Adagrad, Adadelta, RMSprop.


def adagrad_in_root(
    p: Array, gs: Array, lr: float = 1e-3, start: float = 0.1, eps: float = 1e-7
) -> Points:
    """Optax, scale_by_rss; Keras 3, Adagrad, which alone has a default lr."""
    G = start
    for g in gs:
        G = G + g**2
        p = p - lr * g / np.sqrt(G + eps)
        yield p


def adaptive_revision(p: Array, gs: Array, lr: float) -> Points:
    """McMahan & Streeter 2014, where no gradient comes late."""
    z = 1.0
    for g in gs:
        z = z + g**2
        p = p - lr / np.sqrt(z) * g
        yield p


def adadelta(p: Array, gs: Array, lr: float = 1.0, rho: float = 0.95, eps: float = 1e-6) -> Points:
    """Zeiler 2012, Algorithm 1; with other defaults Keras 3, Adadelta."""
    squares = deltas = 0.0
    for g in gs:
        squares = rho * squares + (1 - rho) * g**2
        delta = -np.sqrt(deltas + eps) / np.sqrt(squares + eps) * g
        deltas = rho * deltas + (1 - rho) * delta**2
        p = p + lr * delta
        yield p


def rmsprop_in_root(
    p: Array, gs: Array, lr: float, alpha: float = 0.9, eps: float = 1e-8, start: float = 0.0
) -> Points:
    """Hinton's lecture 6e; optax, scale_by_rms; Keras 3, RMSprop; with start=1 TensorFlow 1."""
    s = start
    for g in gs:
        s = alpha * s + (1 - alpha) * g**2
        p = p - lr * g / np.sqrt(s + eps)
        yield p


# Adam and its relatives.


def moments(gs: Array, beta1: float, beta2: float) -> Iterator[tuple]:
    """Yield the clock, the gradient and the two running means of the Adam family."""
    m = v = 0.0
    for t, g in enumerate(gs, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        yield t, g, m, v


def adam(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-8, eps_root=0.0) -> Points:
    """Kingma & Ba 2015, Algorithm 1; optax, scale_by_adam, has eps_root as well."""
    for t, _, m, v in moments(gs, beta1, beta2):
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        p = p - lr * m_hat / (np.sqrt(v_hat + eps_root) + eps)
        yield p


def adam_eps_hat(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-7) -> Points:
    """Keras 3, Adam; Kingma & Ba 2015, end of section 2: eps meets the uncorrected root."""
    for t, _, m, v in moments(gs, beta1, beta2):
        p = p - lr * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + eps)
        yield p


def adam_uncorrected(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-6) -> Points:
    """BERT's optimization.py (google-research/bert), without its decay."""
    for _, _, m, v in moments(gs, beta1, beta2):
        p = p - lr * m / (np.sqrt(v) + eps)
        yield p


def amsgrad_uncorrected(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=0.0) -> Points:
    """Reddi, Kale & Kumar 2018, Algorithm 2: nothing is corrected; it has no eps."""
    largest = 0.0
    for _, _, m, v in moments(gs, beta1, beta2):
        largest = np.maximum(largest, v)
        p = p - lr * m / (np.sqrt(largest) + eps)
        yield p


def amsgrad_of_corrected(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-8) -> Points:
    """Optax, scale_by_amsgrad: the maximum of corrected second moments."""
    largest = 0.0
    for t, _, m, v in moments(gs, beta1, beta2):
        largest = np.maximum(largest, v / (1 - beta2**t))
        p = p - lr * m / (1 - beta1**t) / (np.sqrt(largest) + eps)
        yield p


def amsgrad_eps_hat(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-7) -> Points:
    """Keras 3, Adam(amsgrad=True)."""
    largest = 0.0
    for t, _, m, v in moments(gs, beta1, beta2):
        largest = np.maximum(largest, v)
        p = p - lr * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(largest) + eps)
        yield p


def adamax_without_eps(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999) -> Points:
    """Kingma & Ba 2015, Algorithm 2, standing still where it would divide by zero."""
    u = np.zeros_like(p)
    for t, g, m, _ in moments(gs, beta1, beta2):
        u = np.maximum(beta2 * u, abs(g))
        p = p - lr / (1 - beta1**t) * np.divide(m, u, out=np.zeros_like(p), where=u > 0)
        yield p


def adamax_eps_outside(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-7) -> Points:
    """Keras 3, Adamax."""
    u = 0.0
    for t, g, m, _ in moments(gs, beta1, beta2):
        u = np.maximum(beta2 * u, abs(g))
        p = p - lr * m / ((1 - beta1**t) * (u + eps))
        yield p


def schedule(t: int, decay: float, beta1: float = 0.9) -> float:
    """Return the momentum that NAdam's schedule has at update *t*."""
    return beta1 * (1 - 0.5 * 0.96 ** (t * decay))


def nadam_throughout(
    p: Array, gs: Array, lr, beta2=0.999, eps=1e-8, decay=0.004, number=np.float64
) -> Points:
    """Dozat 2016, Algorithm 2: the schedule enters m too, and v_hat has an extra beta2.

    *number* is the kind of number that keeps the running product of the momentum.
    """
    m = v = 0.0
    product = number(1)
    for t, g in enumerate(gs, 1):
        mu, ahead = schedule(t, decay), schedule(t + 1, decay)
        product = product * number(mu)
        m = mu * m + (1 - mu) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = ahead * m / (1 - float(product) * ahead) + (1 - mu) * g / (1 - float(product))
        p = p - lr * m_hat / (np.sqrt(beta2 * v / (1 - beta2**t)) + eps)
        yield p


def nadam_every_step(p: Array, gs: Array, lr, beta2=0.999, eps=1e-7, number=np.float64) -> Points:
    """Keras 3, Nadam: the schedule falls by .96 at every update; its product has p's dtype."""
    product = number(1)
    for t, g, m, v in moments(gs, 0.9, beta2):
        mu, ahead = schedule(t, 1), schedule(t + 1, 1)
        product = product * number(mu)
        m_hat = ahead * m / (1 - float(product) * ahead) + (1 - mu) * g / (1 - float(product))
        p = p - lr * m_hat / (np.sqrt(v / (1 - beta2**t)) + eps)
        yield p


def nadam_constant(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-8) -> Points:
    """Optax, scale_by_adam(nesterov=True): a constant momentum."""
    for t, g, m, v in moments(gs, beta1, beta2):
        m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
        p = p - lr * m_hat / (np.sqrt(v / (1 - beta2**t)) + eps)
        yield p


def rectification(t: int, beta2: float) -> tuple[float, float]:
    """Return RAdam's rho, the length of its average, and its factor r (0 where undefined)."""
    limit = 2 / (1 - beta2) - 1
    rho = limit - 2 * t * beta2**t / (1 - beta2**t)
    square = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
    return rho, math.sqrt(square) if rho > 4 else 0.0


def radam(p: Array, gs: Array, lr, beta2=0.999, eps=1e-8, threshold=4.0, early=1.0) -> Points:
    """Liu et al. 2020, Algorithm 2, with eps; kozistr's RAdam has threshold=5, early=0.

    *early* is the learning rate, as a share of *lr*, until rho exceeds *threshold*.
    """
    for t, _, m, v in moments(gs, 0.9, beta2):
        m_hat, (rho, r) = m / (1 - 0.9**t), rectification(t, beta2)
        rectified = r * math.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)
        p = p - lr * m_hat * (rectified if rho > threshold else early)
        yield p


def radam_eps_after(p: Array, gs: Array, lr, beta2=0.999, eps=1e-8) -> Points:
    """Optax, scale_by_radam: threshold 5, and eps beside the corrected root."""
    for t, _, m, v in moments(gs, 0.9, beta2):
        m_hat, (rho, r) = m / (1 - 0.9**t), rectification(t, beta2)
        p = p - lr * m_hat * (r / (np.sqrt(v / (1 - beta2**t)) + eps) if rho >= 5 else 1.0)
        yield p


def adabelief(
    p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0
) -> Points:
    """Zhuang et al. 2020, Algorithm 2; *weight_decay* is decoupled and multiplied by lr."""
    s = 0.0
    for t, g, m, _ in moments(gs, beta1, beta2):
        s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps
        m_hat, s_hat = m / (1 - beta1**t), s / (1 - beta2**t)
        p = p - lr * (m_hat / (np.sqrt(s_hat) + eps) + weight_decay * p)
        yield p


def yogi(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-3, start=1e-6) -> Points:
    """Zaheer et al. 2018, Algorithm 2."""
    m, v = 0.0, start
    for g in gs:
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * np.sign(v - g**2) * g**2
        p = p - lr * m / (np.sqrt(v) + eps)
        yield p


def yogi_corrected(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-3, start=1e-6) -> Points:
    """Optax, scale_by_yogi: both moments begin at *start*, and both are corrected."""
    m = v = start
    for t, g in enumerate(gs, 1):
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * np.sign(v - g**2) * g**2
        p = p - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
        yield p


# Signs. Bello et al. 2017 count updates from zero, and so do its shares of the sign.


def whole(t: int, decay_steps: float) -> float:
    """Bello et al. 2017, no decay."""
    return 1.0


def linear(t: int, decay_steps: float) -> float:
    """Bello et al. 2017, linear decay, held at its end."""
    return max(1 - t / decay_steps, 0.0)


def cosine(t: int, decay_steps: float, periods: float = 0.5) -> float:
    """Bello et al. 2017, cyclical decay, held at its end; half a period as in TensorFlow."""
    return 0.5 * (1 + math.cos(2 * math.pi * periods * min(t, decay_steps) / decay_steps))


def restart(t: int, decay_steps: float, periods: float = 1.0) -> float:
    """Bello et al. 2017, restart decay."""
    return 0.5 * (1 + math.cos(math.pi * (t * periods % decay_steps) / decay_steps))


def agreements(gs: Array, beta: float = 0.9) -> Iterator[tuple]:
    """Yield the number of updates before, the gradient, and whether it agrees with momentum."""
    m = 0.0
    for t, g in enumerate(gs):
        m = beta * m + (1 - beta) * g
        yield t, g, np.sign(g) * np.sign(m)


def powersign(p: Array, gs: Array, lr, share=whole, decay_steps=0.0) -> Points:
    """Bello et al. 2017, PowerSign with base e."""
    for t, g, agreement in agreements(gs):
        p = p - lr * np.exp(share(t, decay_steps) * agreement) * g
        yield p


def addsign(p: Array, gs: Array, lr, share=whole, decay_steps=0.0) -> Points:
    """Bello et al. 2017, AddSign with alpha = 1."""
    for t, g, agreement in agreements(gs):
        p = p - lr * (1 + share(t, decay_steps) * agreement) * g
        yield p


def lion(p: Array, gs: Array, lr, beta1=0.9, beta2=0.99, weight_decay=0.0) -> Points:
    """Chen et al. 2023, Algorithm 2."""
    m = 0.0
    for g in gs:
        update = np.sign(beta1 * m + (1 - beta1) * g)
        p = p - lr * (update + weight_decay * p)
        m = beta2 * m + (1 - beta2) * g
        yield p


def rprop_with_backtracking(
    p: Array, gs: Array, lr, shrink=0.5, grow=1.2, least=1e-6, most=50.0
) -> Points:
    """Riedmiller & Braun 1993: where the gradient changes its sign, the last step is undone."""
    size, step, previous = np.full_like(p, lr), np.zeros_like(p), np.zeros_like(p)
    for g in gs:
        turned = g * previous < 0
        factor = np.where(turned, shrink, np.where(g * previous > 0, grow, 1.0))
        size = np.clip(size * factor, least, most)
        step = np.where(turned, -step, -np.sign(g) * size)
        previous = np.where(turned, 0.0, g)
        p = p + step
        yield p


# Decoupled decay. The paper's rate is alpha times a schedule eta; here lr = alpha * eta.


def sgdw(p: Array, gs: Array, lr: Rate, base_lr, weight_decay=0.01, momentum=0.9) -> Points:
    """Loshchilov & Hutter 2019, Algorithm 1: eta, not lr, multiplies the decay."""
    m = 0.0
    for t, g in enumerate(gs, 1):
        eta = at(lr, t) / base_lr
        m = momentum * m + eta * base_lr * g
        p = p - m - eta * weight_decay * p
        yield p


def adamw(p: Array, gs: Array, lr: Rate, base_lr, weight_decay=0.01) -> Points:
    """Loshchilov & Hutter 2019, Algorithm 2: eta, not lr, multiplies the decay."""
    for t, _, m, v in moments(gs, 0.9, 0.999):
        eta = at(lr, t) / base_lr
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        p = p - eta * (base_lr * m_hat / (np.sqrt(v_hat) + 1e-8) + weight_decay * p)
        yield p


def adamwr(
    p: Array, gs: Array, alpha=0.01, normalized=0.1, batch=8, examples=60, epochs=1
) -> Points:
    """Loshchilov & Hutter 2019, AdamWR: restarts, each with its own normalized decay."""
    done, m, v = 0, 0.0, 0.0
    for t, g in enumerate(gs, 1):
        length = epochs * math.ceil(examples / batch)
        eta = 0.5 + 0.5 * math.cos(math.pi * done / length)
        decay = normalized * math.sqrt(batch / (examples * epochs))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        p = p - eta * (alpha * m_hat / (np.sqrt(v_hat) + 1e-8) + decay * p)
        done, epochs = (0, 2 * epochs) if done + 1 == length else (done + 1, epochs)
        yield p


# One length of step for each tensor.


def lars(p: Array, gs: Array, lr, momentum=0.9, weight_decay=0.0, trust=0.001) -> Points:
    """You, Gitman & Ginsburg 2017, Algorithm 1."""
    v = 0.0
    for g in gs:
        w = np.linalg.norm(p)
        local = trust * w / (np.linalg.norm(g) + weight_decay * w)
        v = momentum * v + lr * local * (g + weight_decay * p)
        p = p - v
        yield p


def lamb(p: Array, gs: Array, lr, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=0.01) -> Points:
    """You et al. 2020, Algorithm 2, with phi(z) = z."""
    for t, _, m, v in moments(gs, beta1, beta2):
        update = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps) + weight_decay * p
        p = p - lr * np.linalg.norm(p) / np.linalg.norm(update) * update
        yield p
