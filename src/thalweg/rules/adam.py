"""Adam and its relatives: momentum over a running size of the gradients, both bias-corrected."""

from thalweg.algebra import ema, from_hyper, maximum, scalar, sign, single, sqrt, where
from thalweg.rules.chain import chain
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


def _rectified(t, beta2):
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    r = sqrt(maximum((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho), 0))
    return rho, r


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
    rho, r = _rectified(t, beta2)
    adaptive = sqrt(1 - beta2**t) / (sqrt(v) + eps)
    return where(rho > 5, lr * r * m_hat * adaptive, lr * m_hat), m, v


_KINGMA = "Kingma & Ba 2015, Algorithm 1"


def _keras_step(m, v, t, lr, beta1, beta2, eps):
    alpha_t = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
    return alpha_t * m / (sqrt(v) + eps)


@rule(
    "Adam, epsilon hat", paper="Kingma & Ba 2015, section 2, the efficient form", arxiv="1412.6980",
    differences=("This is Adam in TensorFlow and Keras: eps is added before bias correction.",),
)  # fmt: skip
def adam_keras(
    g, exp_avg=0, exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-7,
):  # fmt: skip
    """Adam as Keras has it: eps beside the uncorrected root, so that it weighs more at first."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    return _keras_step(m, v, t, lr, beta1, beta2, eps), m, v


@rule("Adam, eps inside the root", paper=_KINGMA, arxiv="1412.6980",
      differences=("optax has it as eps_root.",))  # fmt: skip
def adam_eps_inside(
    g, exp_avg=0, exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Adam with eps under the root, where it is compared with squared gradients."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return lr * m_hat / sqrt(v_hat + eps), m, v


@rule("Adam without bias correction", paper=_KINGMA, arxiv="1412.6980",
      differences=("The Adam that trained BERT is of this form.",))  # fmt: skip
def adam_uncorrected(
    g, exp_avg=0, exp_avg_sq=0, *,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Adam that leaves both averages biased towards zero: its first steps are long."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    return lr * m / (sqrt(v) + eps), m, v


_REDDI = "Reddi, Kale & Kumar 2018, On the convergence of Adam and beyond"


@rule("AMSGrad, the paper's", paper=_REDDI, arxiv="1904.09237",
      differences=("The paper has no eps; eps = 0 leaves it out.",))  # fmt: skip
def amsgrad_paper(
    g, exp_avg=0, exp_avg_sq=0, max_exp_avg_sq=0, *,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """AMSGrad without bias correction, as its paper has it."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    v_max = maximum(max_exp_avg_sq, v)
    return lr * m / (sqrt(v_max) + eps), m, v, v_max


@rule("AMSGrad, maximum of corrected moments", paper=_REDDI, arxiv="1904.09237",
      differences=("This is optax's.",))  # fmt: skip
def amsgrad_optax(
    g, exp_avg=0, exp_avg_sq=0, max_exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """AMSGrad that remembers the largest corrected second moment, mostly one of the first."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    m_hat = m / (1 - beta1**t)
    v_max = maximum(max_exp_avg_sq, v / (1 - beta2**t))
    return lr * m_hat / (sqrt(v_max) + eps), m, v, v_max


@rule("AMSGrad, epsilon hat", paper=_REDDI, arxiv="1904.09237",
      differences=("This is Keras's.",))  # fmt: skip
def amsgrad_keras(
    g, exp_avg=0, exp_avg_sq=0, max_exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-7,
):  # fmt: skip
    """AMSGrad as Keras has it: eps is added before bias correction."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    v_max = maximum(max_exp_avg_sq, v)
    return _keras_step(m, v_max, t, lr, beta1, beta2, eps), m, v, v_max


@rule(
    "AdaMax, the paper's", paper="Kingma & Ba 2015, Algorithm 2", arxiv="1412.6980",
    differences=("The paper divides by zero until the first gradient; here such steps are 0.",),
)  # fmt: skip
def adamax_paper(
    g, exp_avg=0, exp_inf=0, *, t,
    lr: AdaptiveRate = 2e-3, beta1: Beta = 0.9, beta2: Beta = 0.999,
):  # fmt: skip
    """AdaMax without eps, as its paper has it."""
    m = ema(g, exp_avg, beta1)
    u = maximum(beta2 * exp_inf, abs(g))
    return lr / (1 - beta1**t) * m / where(u > 0, u, 1), m, u


@rule("AdaMax, eps outside", paper="Kingma & Ba 2015, Algorithm 2", arxiv="1412.6980",
      differences=("This is Keras's.",))  # fmt: skip
def adamax_keras(
    g, exp_avg=0, exp_inf=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-7,
):  # fmt: skip
    """AdaMax as Keras has it: eps is added to the maximum instead of the gradient."""
    m = ema(g, exp_avg, beta1)
    u = maximum(beta2 * exp_inf, abs(g))
    return lr / (1 - beta1**t) * m / (u + eps), m, u


_DOZAT = "Dozat 2016, Incorporating Nesterov momentum into Adam"


@rule("NAdam, the paper's", paper=f"{_DOZAT}, Algorithm 2",
      differences=("The momentum schedule enters m as well, and the second moment has an extra "
                   "beta2; torch has neither.",))  # fmt: skip
def nadam_paper(
    g, mu_product=scalar(1.0), exp_avg=0, exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 2e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
    momentum_decay: NonNegative = 4e-3,
):  # fmt: skip
    """NAdam as its Algorithm 2 has it: one momentum schedule throughout."""
    mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    M = single(mu_product * single(mu))
    m = ema(g, exp_avg, mu)
    v = ema(g * g, exp_avg_sq, beta2)
    v_hat = beta2 * v / (1 - beta2**t)
    m_hat = (1 - mu) / (1 - M) * g + mu_next / (1 - M * mu_next) * m
    return lr * m_hat / (sqrt(v_hat) + eps), M, m, v


@rule("NAdam, constant momentum", paper=_DOZAT, differences=("This is optax's.",))
def nadam_optax(
    g, exp_avg=0, exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 2e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Adam whose first moment looks one step ahead, with a momentum that stays as it is."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return lr * m_hat / (sqrt(v_hat) + eps), m, v


nadam_keras = chain(nadam, key="nadam_keras", name="NAdam, Keras's defaults",
                    defaults={"lr": 1e-3, "momentum_decay": 1.0, "eps": 1e-7})  # fmt: skip


_LIU = "Liu et al. 2020, On the variance of the adaptive learning rate and beyond"


@rule(
    "RAdam, the paper's", paper=_LIU, arxiv="1908.03265",
    differences=("Rectification starts at rho > 4; torch and optax wait until rho > 5.",),
)  # fmt: skip
def radam_paper(
    g, exp_avg=0, exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """RAdam that adapts one step earlier than torch's."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    m_hat = m / (1 - beta1**t)
    rho, r = _rectified(t, beta2)
    adaptive = sqrt(1 - beta2**t) / (sqrt(v) + eps)
    return where(rho > 4, lr * r * m_hat * adaptive, lr * m_hat), m, v


@rule("RAdam, eps after correction", paper=_LIU, arxiv="1908.03265",
      differences=("This is optax's.",))  # fmt: skip
def radam_optax(
    g, exp_avg=0, exp_avg_sq=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """RAdam as optax has it: eps is added to the corrected root."""
    m = ema(g, exp_avg, beta1)
    v = ema(g * g, exp_avg_sq, beta2)
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    rho, r = _rectified(t, beta2)
    return where(rho > 5, lr * r * m_hat / (sqrt(v_hat) + eps), lr * m_hat), m, v


@rule("AdaBelief", paper="Zhuang et al. 2020, AdaBelief optimizer", arxiv="2010.07468",
      differences=("eps is added to the second moment at every step and beside its root, as in the "
                   "paper's Algorithm 2; ports differ in the first.",))  # fmt: skip
def adabelief(
    g, exp_avg=0, exp_avg_var=0, *, t,
    lr: AdaptiveRate = 1e-3, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Adam that trusts gradients near their mean: it divides by their spread, not their size."""
    m = ema(g, exp_avg, beta1)
    s = ema((g - m) * (g - m), exp_avg_var, beta2) + eps
    return _normalized(m, s, t, lr, beta1, beta2, eps), m, s


_ZAHEER = "Zaheer et al. 2018, Adaptive methods for nonconvex optimization"


def _yogi_moment(g, v, beta2):
    return v - (1 - beta2) * sign(v - g * g) * (g * g)


@rule("Yogi", paper=_ZAHEER,
      differences=("There is no bias correction, as in the paper; optax corrects both moments and "
                   "starts both at initial_accumulator_value.",))  # fmt: skip
def yogi(
    g, exp_avg=0, exp_avg_sq=from_hyper("initial_accumulator_value"), *,
    lr: AdaptiveRate = 1e-2, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-3,
    initial_accumulator_value: NonNegative = 1e-6,
):  # fmt: skip
    """Adam whose second moment moves by at most the newest square, so it forgets without a jump."""
    m = ema(g, exp_avg, beta1)
    v = _yogi_moment(g, exp_avg_sq, beta2)
    return lr * m / (sqrt(v) + eps), m, v


@rule("Yogi, bias-corrected", paper=_ZAHEER, differences=("This is optax's.",))
def yogi_optax(
    g, exp_avg=from_hyper("initial_accumulator_value"),
    exp_avg_sq=from_hyper("initial_accumulator_value"), *, t,
    lr: AdaptiveRate = 1e-2, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: Epsilon = 1e-3,
    initial_accumulator_value: NonNegative = 1e-6,
):  # fmt: skip
    """Yogi as optax has it: both moments corrected, though neither begins at zero."""
    m = ema(g, exp_avg, beta1)
    v = _yogi_moment(g, exp_avg_sq, beta2)
    return _normalized(m, v, t, lr, beta1, beta2, eps), m, v
