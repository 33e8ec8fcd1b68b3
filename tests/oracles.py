"""The equations of every update rule, transcribed from the papers in plain float64 NumPy.

An oracle shares no code with the package, which is tested against it. It holds one parameter
array, so its clock `t` counts the gradients that this parameter has received. Where papers and
practice differ, the plain name has the convention of `torch.optim`, if torch has the rule, and a
name that ends in a paper or a library has theirs; the class says so.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def norm(x: Array) -> float:
    """The Euclidean norm of the whole array."""
    return float(np.sqrt(np.sum(x**2)))


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


class MomentumPaper(Oracle):
    """Sutskever et al. 2013, as in Keras: the learning rate enters the buffer."""

    lr = 1e-3
    momentum = 0.9

    def start(self) -> None:
        self.v = np.zeros_like(self.p)

    def update(self, g: Array) -> Any:
        self.v = self.momentum * self.v + self.lr * g
        return self.v


class SgdwPaper(MomentumPaper):
    """Loshchilov & Hutter 2017, Algorithm 1: decay scaled by the schedule's multiplier alone."""

    weight_decay = 1e-5
    base_lr = 1e-3

    def update(self, g: Array) -> Any:
        return super().update(g) + self.lr / self.base_lr * self.weight_decay * self.p


class NesterovKeras(MomentumPaper):
    """Nesterov 1983 in the variable phi, with the learning rate in the buffer, as in Keras."""

    def update(self, g: Array) -> Any:
        return self.momentum * super().update(g) + self.lr * g


class Sgdw(Momentum):
    """Loshchilov & Hutter 2017, Algorithm 1, with the decay scaled by lr as in torch's AdamW."""

    weight_decay = 1e-2

    def update(self, g: Array) -> Any:
        return super().update(g) + self.lr * self.weight_decay * self.p


class SignAgreement(Oracle):
    """What PowerSign and AddSign share: does the gradient point the way it lately did?"""

    lr = 0.1
    beta = 0.9

    def start(self) -> None:
        self.m = np.zeros_like(self.p)

    def decay(self) -> float:
        """How much agreement still counts, from 1 at the first update on."""
        return 1.0

    def agreement(self, g: Array) -> Any:
        self.m = self.beta * self.m + (1 - self.beta) * g
        return self.decay() * np.sign(g) * np.sign(self.m)


class LinearDecay(SignAgreement):
    """Bello et al. 2017: agreement counts less by equal amounts, and nothing after decay_steps."""

    decay_steps = 10000.0

    def decay(self) -> float:
        return max(1 - (self.t - 1) / self.decay_steps, 0)


class CosineDecay(SignAgreement):
    """Bello et al. 2017: half a cosine by default, which stays where it ends."""

    decay_steps = 10000.0
    periods = 0.5

    def decay(self) -> float:
        share = min(self.t - 1, self.decay_steps) / self.decay_steps
        return 0.5 * (1 + math.cos(2 * math.pi * self.periods * share))


class RestartDecay(SignAgreement):
    """Bello et al. 2017: half a cosine again and again, `periods` times in decay_steps."""

    decay_steps = 10000.0
    periods = 1.0

    def decay(self) -> float:
        share = (self.periods * (self.t - 1)) % self.decay_steps / self.decay_steps
        return 0.5 * (1 + math.cos(math.pi * share))


class Powersign(SignAgreement):
    """Bello et al. 2017: the gradient times alpha where signs agree, divided by it where not."""

    alpha = math.e

    def update(self, g: Array) -> Any:
        return self.lr * self.alpha ** self.agreement(g) * g


class PowersignLinear(LinearDecay, Powersign):
    """Bello et al. 2017, PowerSign-ld."""


class PowersignCosine(CosineDecay, Powersign):
    """Bello et al. 2017, PowerSign-cd."""


class PowersignRestart(RestartDecay, Powersign):
    """Bello et al. 2017, PowerSign-rd."""


class Addsign(SignAgreement):
    """Bello et al. 2017: the gradient times alpha + 1 where signs agree, alpha - 1 where not."""

    alpha = 1.0

    def update(self, g: Array) -> Any:
        return self.lr * (self.alpha + self.agreement(g)) * g


class AddsignLinear(LinearDecay, Addsign):
    """Bello et al. 2017, AddSign-ld."""


class AddsignCosine(CosineDecay, Addsign):
    """Bello et al. 2017, AddSign-cd."""


class AddsignRestart(RestartDecay, Addsign):
    """Bello et al. 2017, AddSign-rd."""


class Lion(Oracle):
    """Chen et al. 2023, Algorithm 2: the step mixes with beta1, what is kept with beta2."""

    lr = 1e-4
    beta1 = 0.9
    beta2 = 0.99

    def start(self) -> None:
        self.m = np.zeros_like(self.p)

    def update(self, g: Array) -> Any:
        c = self.beta1 * self.m + (1 - self.beta1) * g
        self.m = self.beta2 * self.m + (1 - self.beta2) * g
        return self.lr * np.sign(c)


class Lars(Oracle):
    """You, Gitman & Ginsburg 2017, Algorithm 1; without a ratio where a norm is zero."""

    lr = 0.1
    momentum = 0.9
    weight_decay = 0.0
    trust_coefficient = 1e-3

    def start(self) -> None:
        self.v = np.zeros_like(self.p)

    def local_rate(self, g: Array) -> float:
        length, slope = norm(self.p), norm(g)
        if length == 0 or slope == 0:
            return 1.0
        return self.trust_coefficient * length / (slope + self.weight_decay * length)

    def update(self, g: Array) -> Any:
        decayed = g + self.weight_decay * self.p
        self.v = self.momentum * self.v + self.lr * self.local_rate(g) * decayed
        return self.v


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


class AdagradOptax(Oracle):
    """Duchi, Hazan & Singer 2011, as in optax and Keras: eps inside the root, G from 0.1 on."""

    lr = 1e-2
    initial_accumulator_value = 0.1
    eps = 1e-7

    def start(self) -> None:
        self.G = np.full_like(self.p, self.initial_accumulator_value)

    def update(self, g: Array) -> Any:
        self.G = self.G + g**2
        return self.lr * g / np.sqrt(self.G + self.eps)


class AdagradKeras(AdagradOptax):
    """The same with Keras's learning rate."""

    lr = 1e-3


class AdaptiveRevision(Oracle):
    """McMahan & Streeter 2014: read before a step, `seen` is what was added till then.

    Between steps `seen` may be set back to an earlier `total`: the gradient then comes late.
    """

    lr = 1e-2

    def start(self) -> None:
        self.z, self.z_prime = np.ones_like(self.p), np.ones_like(self.p)
        self.total = self.seen = np.zeros_like(self.p)

    def update(self, g: Array) -> Any:
        missed = self.total - self.seen
        before = self.lr / np.sqrt(self.z_prime)
        self.z = self.z + g**2 + 2 * g * missed
        self.z_prime = np.maximum(self.z, self.z_prime)
        now = self.lr / np.sqrt(self.z_prime)
        self.total = self.seen = self.total + g
        return now * g - (before - now) * missed


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


class RmspropPaper(Rmsprop):
    """Tieleman & Hinton 2012 with the lecture's numbers, as in optax and Keras: eps in the root."""

    lr = 1e-3
    alpha = 0.9

    def scale(self, g: Array) -> Any:
        """The divisor of the gradient: its running root mean square."""
        self.s = self.alpha * self.s + (1 - self.alpha) * g**2
        return np.sqrt(self.s + self.eps)


class RmspropKeras(RmspropPaper):
    """The same with Keras's eps."""

    eps = 1e-7


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


class AdadeltaPaper(Adadelta):
    """Zeiler 2012 with the rho of its experiments."""

    rho = 0.95


class AdadeltaKeras(AdadeltaPaper):
    """Zeiler 2012 with the defaults of Keras, whose learning rate is a thousandth."""

    lr = 1e-3
    eps = 1e-7


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


class AdamKeras(Adam):
    """Kingma & Ba 2015, end of section 2, as in Keras: eps is added before v is corrected."""

    eps = 1e-7

    def update(self, g: Array) -> Any:
        self.moments(g)
        lr = self.lr * np.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t)
        return lr * self.m / (np.sqrt(self.v) + self.eps)


class AdamEpsInside(Adam):
    """Adam with eps added to the corrected second moment, inside the root."""

    def update(self, g: Array) -> Any:
        self.moments(g)
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = self.v / (1 - self.beta2**self.t)
        return self.lr * m_hat / np.sqrt(v_hat + self.eps)


class AdamUncorrected(Adam):
    """Adam without the correction of its moments for their start at zero."""

    def update(self, g: Array) -> Any:
        self.moments(g)
        return self.lr * self.m / (np.sqrt(self.v) + self.eps)


class Adamw(Adam):
    """Loshchilov & Hutter 2017, Algorithm 2, with torch's decay scaled by lr."""

    weight_decay = 1e-2

    def update(self, g: Array) -> Any:
        return super().update(g) + self.lr * self.weight_decay * self.p


class AdamwOptax(Adamw):
    """The same with optax's default decay."""

    weight_decay = 1e-4


class AdamwPaper(Adam):
    """Loshchilov & Hutter 2017, Algorithm 2: decay scaled by the schedule's multiplier alone."""

    weight_decay = 1e-5
    base_lr = 1e-3

    def update(self, g: Array) -> Any:
        return super().update(g) + self.lr / self.base_lr * self.weight_decay * self.p


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


class AmsgradPaper(Amsgrad):
    """Reddi, Kale & Kumar 2018, Algorithm 2, which corrects no moment."""

    def update(self, g: Array) -> Any:
        self.moments(g)
        self.v_max = np.maximum(self.v_max, self.v)
        return self.lr * self.m / (np.sqrt(self.v_max) + self.eps)


class AmsgradOptax(Amsgrad):
    """Reddi, Kale & Kumar 2018, as in optax: the largest of the corrected second moments."""

    def update(self, g: Array) -> Any:
        self.moments(g)
        m_hat = self.m / (1 - self.beta1**self.t)
        self.v_max = np.maximum(self.v_max, self.v / (1 - self.beta2**self.t))
        return self.lr * m_hat / (np.sqrt(self.v_max) + self.eps)


class AmsgradKeras(Amsgrad):
    """Reddi, Kale & Kumar 2018, as in Keras: the largest v, and eps before its correction."""

    eps = 1e-7

    def update(self, g: Array) -> Any:
        self.moments(g)
        self.v_max = np.maximum(self.v_max, self.v)
        lr = self.lr * np.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t)
        return lr * self.m / (np.sqrt(self.v_max) + self.eps)


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


class AdamaxPaper(Oracle):
    """Kingma & Ba 2015, Algorithm 2, without eps: no step where every gradient was zero."""

    lr = 2e-3
    beta1 = 0.9
    beta2 = 0.999

    def start(self) -> None:
        self.m = np.zeros_like(self.p)
        self.u = np.zeros_like(self.p)

    def accumulate(self, g: Array) -> None:
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.u = np.maximum(self.beta2 * self.u, np.abs(g))

    def update(self, g: Array) -> Any:
        self.accumulate(g)
        share = np.divide(self.m, self.u, out=np.zeros_like(self.p), where=self.u != 0)
        return self.lr / (1 - self.beta1**self.t) * share


class AdamaxKeras(AdamaxPaper):
    """Kingma & Ba 2015, Algorithm 2, as in Keras: eps is added to the maximum."""

    lr = 1e-3
    eps = 1e-7

    def update(self, g: Array) -> Any:
        self.accumulate(g)
        return self.lr / (1 - self.beta1**self.t) * self.m / (self.u + self.eps)


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


class NadamPaper(Nadam):
    """Dozat 2016, Algorithm 2: m mixes with mu_t, and v_hat has one beta2 more."""

    def update(self, g: Array) -> Any:
        mu, mu_next = self.mu(self.t), self.mu(self.t + 1)
        self.m = mu * self.m + (1 - mu) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        self.mu_product = self.mu_product * np.float32(mu)
        product = float(self.mu_product)
        m_hat = mu_next * self.m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        v_hat = self.beta2 * self.v / (1 - self.beta2**self.t)
        return self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class NadamOptax(Adam):
    """Dozat 2016, as in optax: the momentum is beta1 at every step."""

    lr = 2e-3

    def update(self, g: Array) -> Any:
        self.moments(g)
        ahead = self.beta1 * self.m / (1 - self.beta1 ** (self.t + 1))
        m_hat = ahead + (1 - self.beta1) * g / (1 - self.beta1**self.t)
        v_hat = self.v / (1 - self.beta2**self.t)
        return self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class NadamKeras(Nadam):
    """Dozat 2016, as in Keras: torch's form with a momentum schedule 250 times as fast."""

    lr = 1e-3
    momentum_decay = 1.0
    eps = 1e-7


class Radam(Adam):
    """Liu et al. 2020, Algorithm 2, with torch's threshold rho_t > 5 and its eps."""

    threshold = 5

    def divisor(self) -> Any:
        """The divisor of the momentum, once its variance is tractable."""
        return (np.sqrt(self.v) + self.eps) / np.sqrt(1 - self.beta2**self.t)

    def update(self, g: Array) -> Any:
        self.moments(g)
        m_hat = self.m / (1 - self.beta1**self.t)
        decayed = self.beta2**self.t
        rho_inf = 2 / (1 - self.beta2) - 1
        rho = rho_inf - 2 * self.t * decayed / (1 - decayed)
        if rho <= self.threshold:
            return self.lr * m_hat
        r2 = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        return self.lr * m_hat * np.sqrt(r2) / self.divisor()


class RadamPaper(Radam):
    """Liu et al. 2020, Algorithm 2, with its own threshold rho_t > 4."""

    threshold = 4


class RadamOptax(Radam):
    """Liu et al. 2020, as in optax: torch's threshold, and eps after the correction of v."""

    def divisor(self) -> Any:
        """The divisor of the momentum, once its variance is tractable."""
        return np.sqrt(self.v / (1 - self.beta2**self.t)) + self.eps


class Yogi(Oracle):
    """Zaheer et al. 2018, Algorithm 2: v moves towards g**2 by an amount that g alone decides."""

    lr = 1e-2
    beta1 = 0.9
    beta2 = 0.999
    eps = 1e-3
    initial_accumulator_value = 1e-6

    def start(self) -> None:
        self.m = np.zeros_like(self.p)
        self.v = np.full_like(self.p, self.initial_accumulator_value)

    def moments(self, g: Array) -> None:
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.v - (1 - self.beta2) * np.sign(self.v - g**2) * g**2

    def update(self, g: Array) -> Any:
        self.moments(g)
        return self.lr * self.m / (np.sqrt(self.v) + self.eps)


class YogiOptax(Yogi):
    """Zaheer et al. 2018, as in optax: both moments start alike and are corrected as in Adam."""

    def start(self) -> None:
        super().start()
        self.m = np.full_like(self.p, self.initial_accumulator_value)

    def update(self, g: Array) -> Any:
        self.moments(g)
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = self.v / (1 - self.beta2**self.t)
        return self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class Adabelief(Oracle):
    """Zhuang et al. 2020, Algorithm 2: the divisor measures how far g is from what m foretold."""

    lr = 1e-3
    beta1 = 0.9
    beta2 = 0.999
    eps = 1e-8

    def start(self) -> None:
        self.m = np.zeros_like(self.p)
        self.s = np.zeros_like(self.p)

    def update(self, g: Array) -> Any:
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.s = self.beta2 * self.s + (1 - self.beta2) * (g - self.m) ** 2 + self.eps
        m_hat = self.m / (1 - self.beta1**self.t)
        s_hat = self.s / (1 - self.beta2**self.t)
        return self.lr * m_hat / (np.sqrt(s_hat) + self.eps)


class Lamb(Adam):
    """You et al. 2020, Algorithm 2, with phi the identity; without a ratio where a norm is zero."""

    eps = 1e-6
    weight_decay = 1e-2

    def update(self, g: Array) -> Any:
        self.moments(g)
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = self.v / (1 - self.beta2**self.t)
        u = m_hat / (np.sqrt(v_hat) + self.eps) + self.weight_decay * self.p
        length, stride = norm(self.p), norm(u)
        ratio = length / stride if length > 0 and stride > 0 else 1
        return self.lr * u * ratio


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
    "adamw": Adamw,
    "amsgrad": Amsgrad,
    "adamax": Adamax,
    "nadam": Nadam,
    "radam": Radam,
    "momentum_paper": MomentumPaper,
    "nesterov_keras": NesterovKeras,
    "powersign": Powersign,
    "powersign_linear": PowersignLinear,
    "powersign_cosine": PowersignCosine,
    "powersign_restart": PowersignRestart,
    "addsign": Addsign,
    "addsign_linear": AddsignLinear,
    "addsign_cosine": AddsignCosine,
    "addsign_restart": AddsignRestart,
    "lion": Lion,
    "lars": Lars,
    "adagrad_optax": AdagradOptax,
    "rmsprop_paper": RmspropPaper,
    "adadelta_paper": AdadeltaPaper,
    "adadelta_keras": AdadeltaKeras,
    "adam_keras": AdamKeras,
    "adam_eps_inside": AdamEpsInside,
    "adam_uncorrected": AdamUncorrected,
    "amsgrad_paper": AmsgradPaper,
    "amsgrad_optax": AmsgradOptax,
    "amsgrad_keras": AmsgradKeras,
    "adamax_paper": AdamaxPaper,
    "adamax_keras": AdamaxKeras,
    "nadam_paper": NadamPaper,
    "nadam_optax": NadamOptax,
    "nadam_keras": NadamKeras,
    "radam_paper": RadamPaper,
    "radam_optax": RadamOptax,
    "yogi": Yogi,
    "yogi_optax": YogiOptax,
    "adabelief": Adabelief,
    "lamb": Lamb,
    "adaptive_revision": AdaptiveRevision,
    "adagrad_keras": AdagradKeras,
    "rmsprop_keras": RmspropKeras,
    "sgdw_paper": SgdwPaper,
    "adamw_paper": AdamwPaper,
    "adamw_optax": AdamwOptax,
}


def l2_decay(g: Array, p: Array, weight_decay: float) -> Array:
    """The gradient of the loss plus half of weight_decay times the squared norm of p."""
    return g + weight_decay * p


def decoupled_decay(p: Array, lr: float, weight_decay: float) -> Array:
    """torch's AdamW: what is added to the step shrinks with the learning rate."""
    return lr * weight_decay * p


def scheduled_decay(p: Array, lr: float, base_lr: float, weight_decay: float) -> Array:
    """Loshchilov & Hutter 2017: scaled by the schedule's multiplier, not by the first rate."""
    return lr / base_lr * weight_decay * p


def independent_decay(p: Array, weight_decay: float) -> Array:
    """The same share of p at every learning rate."""
    return weight_decay * p


def corrected_decay(p: Array, lr: float, max_lr: float, weight_decay: float) -> Array:
    """Defazio 2025: scaled by the square of the rate over the largest rate."""
    return lr**2 / max_lr * weight_decay * p


def noise_scale(t: int, noise_eta: float, noise_gamma: float) -> float:
    """Neelakantan et al. 2015: the standard deviation of the noise on the t-th gradient."""
    return math.sqrt(noise_eta / t**noise_gamma)


def centre(g: Array) -> Array:
    """Yong et al. 2020: every slice along the first axis gets mean zero; a vector is unchanged."""
    if g.ndim < 2:
        return g
    return g - g.mean(axis=tuple(range(1, g.ndim)), keepdims=True)


def cautious(step: Array, g: Array) -> Array:
    """Liang et al. 2024: no step against the gradient; the rest is enlarged to make up for it."""
    mask = step * g > 0
    return step * mask / max(np.count_nonzero(mask) / max(mask.size, 1), 1e-3)


def trust_ratio(step: Array, p: Array, lr: float) -> Array:
    """You et al. 2020: the step gets the length lr times that of p, unless either has none."""
    length, stride = norm(p), norm(step)
    return step * lr * length / stride if length > 0 and stride > 0 else step


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


def polyak_average(p_new: Array, average: Array, t: int, average_start: int = 0) -> Array:
    """Polyak & Juditsky 1992: the mean of the parameters after every step but the first few."""
    if t <= average_start:
        return p_new
    return average + (p_new - average) / (t - average_start)
