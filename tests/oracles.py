"""The equations of every update rule, transcribed from the papers in plain float64 NumPy.

An oracle shares no code with the package, which is tested against it. It holds one parameter
array, so its clock `t` counts the gradients that this parameter has received. Where papers and
practice differ, the convention is that of `torch.optim`, and the class says so.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Oracle:
    """One parameter array's optimizer; the floats of a class are its hyperparameters' defaults.

    A hyperparameter may be reassigned between steps, as a schedule does. A rule defines `start`,
    its state before the first gradient, and `update`, what a step subtracts from `p`; `update`
    sees the parameter as it was before the step.
    """

    lr: float

    def __init__(self, p: ArrayLike, **hyper: float) -> None:
        self.p: Array = np.array(p, dtype=np.float64)
        self.t = 0
        for name, value in hyper.items():
            if not isinstance(getattr(type(self), name, None), float):
                raise TypeError(f"{type(self).__name__} has no hyperparameter {name!r}")
            setattr(self, name, value)
        self.start()

    def start(self) -> None:
        pass

    def step(self, g: ArrayLike) -> None:
        self.t += 1
        self.p = np.asarray(self.p - self.update(np.asarray(g, dtype=np.float64)))

    def update(self, g: Array) -> Any:
        raise NotImplementedError


class Sgd(Oracle):
    """Robbins & Monro 1951: theta <- theta - lr g."""

    lr = 1e-3

    def update(self, g: Array) -> Any:
        return self.lr * g


class Momentum(Oracle):
    """Polyak 1964, in torch's form: lr outside the buffer, whose first value is g undampened."""

    lr = 1e-3
    momentum = 0.9
    dampening = 0.0

    def start(self) -> None:
        self.b = np.zeros_like(self.p)

    def accumulate(self, g: Array) -> None:
        if self.t == 1:
            self.b = g.copy()
        else:
            self.b = self.momentum * self.b + (1 - self.dampening) * g

    def update(self, g: Array) -> Any:
        self.accumulate(g)
        return self.lr * self.b


class Nesterov(Momentum):
    """Nesterov 1983 in the variable phi = theta - momentum v, where its gradient is taken."""

    def update(self, g: Array) -> Any:
        self.accumulate(g)
        return self.lr * (g + self.momentum * self.b)


class Sgdw(Momentum):
    """Loshchilov & Hutter 2017, Algorithm 1, with the decay scaled by lr as in torch's AdamW."""

    weight_decay = 1e-2

    def update(self, g: Array) -> Any:
        return super().update(g) + self.lr * self.weight_decay * self.p


class Adagrad(Oracle):
    """Duchi, Hazan & Singer 2011, with torch's eps outside the root and its 1/t learning rate."""

    lr = 1e-2
    lr_decay = 0.0
    initial_accumulator_value = 0.0
    eps = 1e-10

    def start(self) -> None:
        self.G = np.full_like(self.p, self.initial_accumulator_value)

    def update(self, g: Array) -> Any:
        self.G = self.G + g**2
        lr = self.lr / (1 + (self.t - 1) * self.lr_decay)
        return lr * g / (np.sqrt(self.G) + self.eps)


class Rmsprop(Oracle):
    """Tieleman & Hinton 2012, lecture 6e, with torch's eps outside the root."""

    lr = 1e-2
    alpha = 0.99
    eps = 1e-8

    def start(self) -> None:
        self.s = np.zeros_like(self.p)

    def scale(self, g: Array) -> Any:
        """The divisor of the gradient: its running root mean square."""
        self.s = self.alpha * self.s + (1 - self.alpha) * g**2
        return np.sqrt(self.s) + self.eps

    def update(self, g: Array) -> Any:
        return self.lr * g / self.scale(g)


class RmspropMomentum(Rmsprop):
    """Graves 2013 without centring, in torch's form: the buffer gathers scaled gradients."""

    momentum = 0.9

    def start(self) -> None:
        super().start()
        self.b = np.zeros_like(self.p)

    def update(self, g: Array) -> Any:
        self.b = self.momentum * self.b + g / self.scale(g)
        return self.lr * self.b


class RmspropCentered(Rmsprop):
    """Graves 2013 without momentum: the running variance, held at zero when it rounds below."""

    def start(self) -> None:
        super().start()
        self.mean = np.zeros_like(self.p)

    def scale(self, g: Array) -> Any:
        """The divisor of the gradient: its running standard deviation."""
        self.s = self.alpha * self.s + (1 - self.alpha) * g**2
        self.mean = self.alpha * self.mean + (1 - self.alpha) * g
        return np.sqrt(np.maximum(self.s - self.mean**2, 0)) + self.eps


class RmspropCenteredMomentum(RmspropMomentum, RmspropCentered):
    """Graves 2013, equations 38 to 41, in torch's form: lr and eps outside."""


class Adadelta(Oracle):
    """Zeiler 2012, Algorithm 1, with torch's lr in front of the paper's step."""

    lr = 1.0
    rho = 0.9
    eps = 1e-6

    def start(self) -> None:
        self.g2 = np.zeros_like(self.p)
        self.d2 = np.zeros_like(self.p)

    def update(self, g: Array) -> Any:
        self.g2 = self.rho * self.g2 + (1 - self.rho) * g**2
        d = np.sqrt(self.d2 + self.eps) / np.sqrt(self.g2 + self.eps) * g
        self.d2 = self.rho * self.d2 + (1 - self.rho) * d**2
        return self.lr * d


class Rprop(Oracle):
    """Igel & Huesken 2000, iRprop-: a changed sign shrinks the step; lr is the first step size."""

    lr = 1e-2
    etaminus = 0.5
    etaplus = 1.2
    step_size_min = 1e-6
    step_size_max = 50.0

    def start(self) -> None:
        self.previous = np.zeros_like(self.p)

    def update(self, g: Array) -> Any:
        if self.t == 1:
            self.size = np.full_like(self.p, self.lr)
        agreement = g * self.previous
        factor = np.where(agreement > 0, self.etaplus, np.where(agreement < 0, self.etaminus, 1))
        self.size = np.clip(self.size * factor, self.step_size_min, self.step_size_max)
        self.previous = np.where(agreement < 0, 0, g)
        return self.size * np.sign(self.previous)


class Adam(Oracle):
    """Kingma & Ba 2015, Algorithm 1."""

    lr = 1e-3
    beta1 = 0.9
    beta2 = 0.999
    eps = 1e-8

    def start(self) -> None:
        self.m = np.zeros_like(self.p)
        self.v = np.zeros_like(self.p)

    def moments(self, g: Array) -> None:
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2

    def update(self, g: Array) -> Any:
        self.moments(g)
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = self.v / (1 - self.beta2**self.t)
        return self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class AdamEpsilonHat(Adam):
    """Kingma & Ba 2015, end of section 2: the corrections scale the rate, not the root beside eps.

    torch's SparseAdam, for the rows that a gradient names.
    """

    def update(self, g: Array) -> Any:
        self.moments(g)
        rate = self.lr * np.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t)
        return rate * self.m / (np.sqrt(self.v) + self.eps)


class Adamw(Adam):
    """Loshchilov & Hutter 2017, Algorithm 2, with torch's decay scaled by lr."""

    weight_decay = 1e-2

    def update(self, g: Array) -> Any:
        return super().update(g) + self.lr * self.weight_decay * self.p


class Amsgrad(Adam):
    """Reddi, Kale & Kumar 2018, with torch's bias correction of the largest raw second moment."""

    def start(self) -> None:
        super().start()
        self.v_max = np.zeros_like(self.p)

    def update(self, g: Array) -> Any:
        self.moments(g)
        self.v_max = np.maximum(self.v_max, self.v)
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = self.v_max / (1 - self.beta2**self.t)
        return self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class Adamax(Oracle):
    """Kingma & Ba 2015, Algorithm 2, with torch's eps inside the maximum."""

    lr = 2e-3
    beta1 = 0.9
    beta2 = 0.999
    eps = 1e-8

    def start(self) -> None:
        self.m = np.zeros_like(self.p)
        self.u = np.zeros_like(self.p)

    def update(self, g: Array) -> Any:
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.u = np.maximum(self.beta2 * self.u, np.abs(g) + self.eps)
        return self.lr / (1 - self.beta1**self.t) * self.m / self.u


class Nadam(Adam):
    """Dozat 2016 in torch's form: m keeps beta1, mu_t only mixes, its product is in float32."""

    lr = 2e-3
    momentum_decay = 4e-3

    def start(self) -> None:
        super().start()
        self.mu_product = np.float32(1)

    def mu(self, t: int) -> float:
        return self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def update(self, g: Array) -> Any:
        self.moments(g)
        mu, mu_next = self.mu(self.t), self.mu(self.t + 1)
        self.mu_product = self.mu_product * np.float32(mu)
        product = float(self.mu_product)
        m_bar = (1 - mu) / (1 - product) * g + mu_next / (1 - product * mu_next) * self.m
        v_hat = self.v / (1 - self.beta2**self.t)
        return self.lr * m_bar / (np.sqrt(v_hat) + self.eps)


class Radam(Adam):
    """Liu et al. 2020, Algorithm 2, with torch's threshold rho_t > 5 and its eps."""

    def update(self, g: Array) -> Any:
        self.moments(g)
        m_hat = self.m / (1 - self.beta1**self.t)
        decayed = self.beta2**self.t
        rho_inf = 2 / (1 - self.beta2) - 1
        rho = rho_inf - 2 * self.t * decayed / (1 - decayed)
        if rho <= 5:
            return self.lr * m_hat
        r2 = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        return self.lr * m_hat * np.sqrt(r2) * np.sqrt(1 - decayed) / (np.sqrt(self.v) + self.eps)


ORACLES: dict[str, type[Oracle]] = {
    "sgd": Sgd,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "sgdw": Sgdw,
    "adagrad": Adagrad,
    "rmsprop": Rmsprop,
    "rmsprop_momentum": RmspropMomentum,
    "rmsprop_centered": RmspropCentered,
    "rmsprop_centered_momentum": RmspropCenteredMomentum,
    "adadelta": Adadelta,
    "rprop": Rprop,
    "adam": Adam,
    "adam_epsilon_hat": AdamEpsilonHat,
    "adamw": Adamw,
    "amsgrad": Amsgrad,
    "adamax": Adamax,
    "nadam": Nadam,
    "radam": Radam,
}


def l2_decay(g: Array, p: Array, weight_decay: float) -> Array:
    """The gradient of the loss plus half of weight_decay times the squared norm of p."""
    return g + weight_decay * p


def clip_by_value(g: Array, clip_value: float) -> Array:
    """Every entry moved to the nearest point of [-clip_value, clip_value]."""
    return np.minimum(np.maximum(g, -clip_value), clip_value)


def clip_by_global_norm(gs: Sequence[Array], max_norm: float) -> list[Array]:
    """Pascanu, Mikolov & Bengio 2013, over all arrays together, with torch's 1e-6 in the norm."""
    norm = np.sqrt(sum(np.sum(g**2) for g in gs))
    return [g * min(1, max_norm / (norm + 1e-6)) for g in gs]


def ema_average(p_new: Array, average: Array, ema_decay: float) -> Array:
    """The exponential moving average of the parameters after they became p_new."""
    return ema_decay * average + (1 - ema_decay) * p_new
