"""Adam and its relatives: momentum over a running size of the gradients, both bias-corrected."""

from thalweg.algebra import ema, maximum, scalar, single, sqrt, where
from thalweg.rules.ranges import AdaptiveRate, Beta, Epsilon, NonNegative
from thalweg.rules.rule import rule


@rule(
    "Adam",
    paper="Kingma & Ba 2015, Algorithm 1",
    arxiv="1412.6980",
    differences=(
        "eps is added after bias correction, as in the paper's Algorithm 1, torch and optax; "
        "TensorFlow and Keras add it before (their epsilon is the paper's epsilon hat).",
    ),
)
def adam(
    g, exp_avg=0, exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Step along the mean gradient divided by its root mean square, both bias-corrected."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    return _normalized(m, v, t, lr, beta1, beta2, eps), m, v


def _normalized(m, v, t, lr, beta1, beta2, eps):
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return lr * m_hat / (sqrt(v_hat) + eps)


@rule(
    "AMSGrad",
    paper="Reddi, Kale & Kumar 2018, On the convergence of Adam and beyond",
    arxiv="1904.09237",
    differences=(
        "The maximum is taken before bias correction and corrected by the current factor, as in "
        "torch; optax takes the maximum of corrected values, and the paper corrects nothing.",
    ),
)
def amsgrad(
    g, exp_avg=0, exp_avg_sq=0, max_exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Adam whose divisor never shrinks: it remembers the largest second moment seen."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    v_max = maximum(max_exp_avg_sq, v)
    return _normalized(m, v_max, t, lr, beta1, beta2, eps), m, v, v_max


@rule(
    "AdaMax",
    paper="Kingma & Ba 2015, Algorithm 2",
    arxiv="1412.6980",
    differences=(
        "eps is added to |g| inside the maximum, as in torch; the paper has none and divides by "
        "zero until the first gradient.",
    ),
)
def adamax(
    g, exp_avg=0, exp_inf=0, *, t,
    lr: AdaptiveRate = 2e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Adam with the largest recent gradient in place of the root mean square."""
    m = ema(g, exp_avg, beta1)
    u = maximum(beta2 * exp_inf, abs(g) + eps)
    return lr / (1 - beta1**t) * m / u, m, u


@rule(
    "NAdam",
    paper="Dozat 2016, Incorporating Nesterov momentum into Adam",
    differences=(
        "The momentum schedule mu enters the combination only while m keeps beta1, as in torch; "
        "Dozat's Algorithm 2 uses mu in m too, and optax keeps mu constant.",
        "The running product of mu is kept in float32, as torch keeps it.",
    ),
)
def nadam(
    g, mu_product=scalar(1.0), exp_avg=0, exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 2e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
    momentum_decay: NonNegative = 4e-3,
):  # fmt: skip
    """Adam whose first moment looks one step ahead, with a momentum that warms up."""
    mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    M = single(mu_product * single(mu))
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    v_hat = v / (1 - beta2**t)
    m_hat = (1 - mu) / (1 - M) * g + mu_next / (1 - M * mu_next) * m
    return lr * m_hat / (sqrt(v_hat) + eps), M, m, v


@rule(
    "RAdam",
    paper="Liu et al. 2020, On the variance of the adaptive learning rate and beyond",
    arxiv="1908.03265",
    differences=(
        "Rectification starts at rho > 5 and before it the step is momentum alone, as in torch; "
        "the paper starts at 4, and some libraries skip the step instead.",
    ),
)
def radam(
    g, exp_avg=0, exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Adam that waits for its second moment: momentum first, the adaptive step once it is sound."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    m_hat = m / (1 - beta1**t)
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    # before rho > 5 the root may not be real, and even where it is not used its derivative counts
    r = sqrt(maximum((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho), 0))
    adaptive = sqrt(1 - beta2**t) / (sqrt(v) + eps)
    return where(rho > 5, lr * r * m_hat * adaptive, lr * m_hat), m, v
