"""Measures thalweg's optimizers against torch's and others' conventions: `python -m docs.parity`.

It writes docs/parity.md. What another library does is transcribed here as a few lines of NumPy
that yield the steps of one array; nothing of that library is needed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from thalweg import optim
from thalweg.rules import Rule, catalogue, find, variants

Array = NDArray[np.float64]
Steps = Iterator[Any]

STEPS = 50
RATE = 0.01
DECAY = 0.1


# The gradients.


def gradients(seed: int = 0) -> Array:
    """Return (steps, tensors, elements) of unequal scale around 1, a tenth of them exactly zero.

    Drawn from the generator whose stream NumPy has frozen.
    """
    random = np.random.RandomState(seed)
    shape = (STEPS, 3, 20)
    scale = 10 ** random.uniform(-1, 1, shape[1:])
    present = random.uniform(size=shape) > 0.1
    return np.asarray(random.standard_normal(shape) * scale * present)


def arrives(step: int, tensor: int) -> bool:
    """Tell whether a tensor gets a gradient: the second comes late, the third has gaps."""
    return not (tensor == 1 and step < 7) and not (tensor == 2 and step % 4 == 3)


def apart(path: Array, other: Array) -> float:
    """Return the largest distance between two paths, as a share of the length of the first.

    Distance and length are those of the element that moved most.
    """
    over = tuple(range(1, path.ndim))
    travelled = np.abs(np.diff(path, axis=0)).max(axis=over).sum()
    return float(np.abs(path - other).max() / travelled)


# Against torch: every class and variant, each with gradients that come late or not at all.


class Pair(NamedTuple):
    """A class of thalweg.optim with its switches, and the class of torch it should equal.

    *sparse* says that gradients name only the elements that are not zero.
    """

    name: str
    settings: dict[str, Any]
    theirs: Callable[..., torch.optim.Optimizer]
    words: str
    sparse: bool = False

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.settings.items())})"

    def common(self) -> dict[str, Any]:
        """Return the settings of both sides: the switches, one learning rate, and decay.

        torch has no decay for sparse gradients.
        """
        decay = {} if self.name == "Rprop" or self.sparse else {"weight_decay": DECAY}
        return {"lr": RATE, **decay, **self.settings}


def same(name: str, **settings: Any) -> Pair:
    """Return the pair of classes that share a name."""
    return Pair(name, settings, getattr(torch.optim, name), f"`{name}`")


def same_sparse(name: str) -> Pair:
    """Return the pair of classes that share a name, on sparse gradients."""
    return Pair(name, {}, getattr(torch.optim, name), f"`{name}`, sparse gradients", True)


def decayed_sgd(params: list, *, weight_decay: float, **settings: Any) -> torch.optim.Optimizer:
    """Return torch's SGD that first shrinks each parameter, as torch's AdamW does."""
    optimizer: torch.optim.Optimizer = torch.optim.SGD(params, **settings)

    def shrink(*_: Any) -> None:
        for p in params:
            if p.grad is not None:
                p.mul_(1 - settings["lr"] * weight_decay)

    optimizer.register_step_pre_hook(shrink)
    return optimizer


PAIRS = (
    same("SGD"),
    same("SGD", momentum=0.9),
    same("SGD", momentum=0.9, dampening=0.3),
    same("SGD", momentum=0.9, nesterov=True),
    Pair(
        "SGDW", {"momentum": 0.9}, decayed_sgd, "none; `SGD` after `p.mul_(1 - lr * weight_decay)`"
    ),
    same("Adagrad"),
    same("Adagrad", lr_decay=0.1, initial_accumulator_value=0.1),
    same("Adadelta"),
    same("RMSprop"),
    same("RMSprop", momentum=0.9),
    same("RMSprop", centered=True),
    same("RMSprop", momentum=0.9, centered=True),
    same("Adam"),
    same("Adam", amsgrad=True),
    same("Adam", decoupled_weight_decay=True),
    same("AdamW"),
    same("AdamW", amsgrad=True),
    same("Adamax"),
    same("NAdam"),
    same("NAdam", decoupled_weight_decay=True),
    same("RAdam"),
    same("RAdam", decoupled_weight_decay=True),
    same("Rprop"),
    same_sparse("SparseAdam"),
    same_sparse("SGD"),
    same_sparse("Adagrad"),
)
ABSENT = ("ASGD", "Adafactor", "LBFGS", "Muon")


def optimizer_path(optimizer: torch.optim.Optimizer, params: list, sparse: bool) -> Array:
    """Return where an optimizer takes three tensors, before the first step and after each."""
    given = gradients()
    path = [np.stack([p.numpy().copy() for p in params])]
    for step in range(STEPS):
        for tensor, p in enumerate(params):
            g = torch.tensor(given[step, tensor])
            p.grad = (g.to_sparse() if sparse else g) if arrives(step, tensor) else None
        optimizer.step()
        path.append(np.stack([p.numpy().copy() for p in params]))
    return np.stack(path)


def deviation(pair: Pair) -> float:
    """Return how far thalweg is from torch's loop and foreach implementations, whichever is more.

    Everything is float64, so what remains is rounding.
    """

    def path(make: Callable[..., torch.optim.Optimizer], **switches: Any) -> Array:
        starts = np.random.RandomState(1).standard_normal((3, 20))
        params = [torch.tensor(start) for start in starts]
        return optimizer_path(make(params, **pair.common(), **switches), params, pair.sparse)

    switches: list[dict[str, Any]] = [{"foreach": False}, {"foreach": True}]
    if pair.sparse:
        switches = [{}]
    ours = path(getattr(optim, pair.name))
    return max(apart(ours, path(pair.theirs, **each)) for each in switches)


# Against other conventions. Each function yields the steps that another library or paper takes.


def momentum_inside(gs: Array, lr: Callable[[int], float], momentum: float = 0.9) -> Steps:
    """Sutskever, Keras: the learning rate enters the buffer."""
    v = 0.0
    for t, g in enumerate(gs, 1):
        v = momentum * v + lr(t) * g
        yield v


def adagrad_in_root(gs: Array, lr: float = RATE, start: float = 0.1, eps: float = 1e-7) -> Steps:
    """Keras 3, optax."""
    G = start
    for g in gs:
        G = G + g**2
        yield lr * g / np.sqrt(G + eps)


def rmsprop_in_root(
    gs: Array, lr: float = RATE, alpha: float = 0.99, eps: float = 1e-8, start: float = 0.0
) -> Steps:
    """Keras 3, optax; with start=1 TensorFlow 1."""
    s = start
    for g in gs:
        s = alpha * s + (1 - alpha) * g**2
        yield lr * g / np.sqrt(s + eps)


def moments(gs: Array, beta1: float, beta2: float) -> Iterator[tuple]:
    """Yield the clock, the gradient and the two running means of the Adam family."""
    m = v = 0.0
    for t, g in enumerate(gs, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        yield t, g, m, v


def adam_eps_hat(gs: Array, lr=RATE, beta1=0.9, beta2=0.999, eps=1e-8) -> Steps:
    """TensorFlow, Keras 3: eps is added before the second moment is corrected."""
    for t, _, m, v in moments(gs, beta1, beta2):
        yield lr * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + eps)


def amsgrad_of_corrected(gs: Array, lr=RATE, beta1=0.9, beta2=0.999, eps=1e-8) -> Steps:
    """Optax: the maximum of corrected second moments."""
    largest = 0.0
    for t, _, m, v in moments(gs, beta1, beta2):
        largest = np.maximum(largest, v / (1 - beta2**t))
        yield lr * m / (1 - beta1**t) / (np.sqrt(largest) + eps)


def amsgrad_uncorrected(gs: Array, lr=RATE, beta1=0.9, beta2=0.999, eps=1e-8) -> Steps:
    """Reddi, Kale & Kumar: nothing is corrected."""
    largest = 0.0
    for _, _, m, v in moments(gs, beta1, beta2):
        largest = np.maximum(largest, v)
        yield lr * m / (np.sqrt(largest) + eps)


def nadam_constant(gs: Array, lr=RATE, beta1=0.9, beta2=0.999, eps=1e-8) -> Steps:
    """Optax: a constant momentum."""
    for t, g, m, v in moments(gs, beta1, beta2):
        m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
        yield lr * m_hat / (np.sqrt(v / (1 - beta2**t)) + eps)


def nadam_every_step(gs: Array, lr=RATE, beta1=0.9, beta2=0.999, eps=1e-8) -> Steps:
    """Keras 3: the momentum schedule advances by .96 a step, torch's by .96 in 250 steps."""
    product = 1.0
    for t, g, m, v in moments(gs, beta1, beta2):
        mu, ahead = (beta1 * (1 - 0.5 * 0.96**k) for k in (t, t + 1))
        product *= mu
        m_hat = ahead * m / (1 - product * ahead) + (1 - mu) * g / (1 - product)
        yield lr * m_hat / (np.sqrt(v / (1 - beta2**t)) + eps)


def radam_from(gs: Array, threshold=4, lr=RATE, beta1=0.9, beta2=0.999, eps=1e-8) -> Steps:
    """Liu et al.: rectification starts at rho > 4."""
    limit = 2 / (1 - beta2) - 1
    for t, _, m, v in moments(gs, beta1, beta2):
        m_hat, rho = m / (1 - beta1**t), tractable(t, beta2)
        if rho <= threshold:
            yield lr * m_hat
            continue
        r2 = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        yield lr * m_hat * math.sqrt(r2 * (1 - beta2**t)) / (np.sqrt(v) + eps)


def radam_waiting(gs: Array, lr=RATE, beta1=0.9, beta2=0.999, eps=1e-8) -> Steps:
    """kozistr's pytorch_optimizer: no step at all before rectification starts."""
    for t, step in enumerate(radam_from(gs, 5, lr, beta1, beta2, eps), 1):
        yield step if tractable(t, beta2) >= 5 else 0 * step


def tractable(t: int, beta2: float) -> float:
    """Return rho, the length of the average that RAdam's second moment amounts to."""
    return 2 / (1 - beta2) - 1 - 2 * t * beta2**t / (1 - beta2**t)


def constant(t: int) -> float:
    """Return the same learning rate at every step."""
    return RATE


def halved(t: int) -> float:
    """Return a learning rate that is halved half-way."""
    return RATE if t <= STEPS // 2 else RATE / 2


class Convention(NamedTuple):
    """What others mean by a rule's name: their steps, who they are, and how to have it here.

    *size* scales the gradients. *like* are settings of the rule that come closest to theirs.
    """

    key: str
    theirs: Callable[..., Steps]
    owners: str
    what: str
    settings: dict[str, Any] = {}
    size: float = 1.0
    like: dict[str, Any] | None = None


IN_ROOT = "eps inside the root, gradients about "
EPS_HAT = "eps before bias correction, gradients about "
CONVENTIONS = (
    Convention(
        "momentum", momentum_inside, "Sutskever, Keras 3",
        "lr inside the buffer, lr halved half-way", {"lr": halved},
    ),
    Convention(
        "momentum", momentum_inside, "Sutskever, Keras 3", "the same, lr constant",
        {"lr": constant},
    ),
    Convention(
        "adagrad", adagrad_in_root, "Keras 3, optax", "accumulator starts at 0.1, eps=1e-7 in root",
        like={"initial_accumulator_value": 0.1},
    ),
    Convention("rmsprop", rmsprop_in_root, "Keras 3, optax", IN_ROOT + "1"),
    Convention("rmsprop", rmsprop_in_root, "Keras 3, optax", IN_ROOT + "1e-4", size=1e-4),
    Convention(
        "rmsprop", partial(rmsprop_in_root, start=1.0, eps=1e-10), "TensorFlow 1",
        "running mean starts at 1, eps=1e-10 in root, alpha=0.9 on both sides", {"alpha": 0.9},
    ),
    Convention("adam", adam_eps_hat, "TensorFlow, Keras 3", EPS_HAT + "1"),
    Convention("adam", adam_eps_hat, "TensorFlow, Keras 3", EPS_HAT + "1e-6", size=1e-6),
    Convention(
        "adam_keras", adam_eps_hat, "TensorFlow, Keras 3", "nothing, gradients about 1e-6",
        size=1e-6,
    ),
    Convention("amsgrad", amsgrad_of_corrected, "optax", "maximum of corrected second moments"),
    Convention("amsgrad", amsgrad_uncorrected, "Reddi et al. 2018", "no bias correction"),
    Convention(
        "nadam", nadam_constant, "optax", "constant momentum", like={"momentum_decay": 1e6}
    ),
    Convention(
        "nadam", nadam_every_step, "Keras 3", "momentum schedule 250 times as fast",
        like={"momentum_decay": 1.0},
    ),
    Convention("radam", radam_from, "Liu et al. 2020", "rectification starts at rho > 4, not 5"),
    Convention("radam", radam_waiting, "kozistr", "no step before rectification starts"),
)  # fmt: skip


def rule_path(rule: Rule, gs: Array, settings: dict[str, Any]) -> Array:
    """Return where a rule takes an array that begins at zero."""
    p = np.zeros_like(gs[0])
    path = [p]
    state: dict[str, Any] = {}
    for t, g in enumerate(gs, 1):
        now = {name: value(t) if callable(value) else value for name, value in settings.items()}
        state = state or rule.init(p, **now)
        p, state = rule.update(p, g, state, t=t, **now)
        path.append(p)
    return np.stack(path)


def distances(convention: Convention) -> tuple[float, float | None]:
    """Return how far apart the two paths are, and how far with the settings that come closest."""
    gs = convention.size * gradients()[:, 0]
    steps = np.stack(list(convention.theirs(gs, **convention.settings)))
    theirs = -np.cumsum(np.concatenate([np.zeros_like(steps[:1]), steps]), axis=0)
    rule, ours = find(convention.key), {"lr": RATE, **convention.settings}
    found = apart(rule_path(rule, gs, ours), theirs)
    if convention.like is None:
        return found, None
    return found, apart(rule_path(rule, gs, ours | convention.like), theirs)


# The page.


def bound(value: float, least: float = 1e-13) -> str:
    """Return the power of ten that is not below *value*, so that machines agree on it."""
    return f"≤ 1e{math.ceil(math.log10(max(value, least)))}"


def share(value: float) -> str:
    """Return a share of the path in percent, with two significant digits; tiny ones as a bound."""
    if value < 1e-4:
        return bound(value)
    return f"{float(f'{100 * value:.2g}'):g} %"


def table(head: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; *head* names its columns."""
    names = [name.strip() for name in head.split("|")]
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def pair_row(pair: Pair) -> list[str]:
    """Return a line of the table against torch."""
    found = deviation(pair)
    verdict = "equal" if found <= 1e-12 else "DIFFERENT"
    return [f"`{pair}`", pair.words, verdict, bound(found)]


def convention_row(convention: Convention) -> list[str]:
    """Return a line of the table of conventions."""
    found, closest = distances(convention)
    like = ", ".join(f"{name}={value:g}" for name, value in (convention.like or {}).items())
    like = like.replace("e+0", "e")
    advice = "" if closest is None else f"`{like}`: {share(closest)}"
    name = find(convention.key).name
    return [name, convention.owners, convention.what, share(found), advice]


def said() -> Iterator[str]:
    """Yield what the rules say about others of their name, those that say the same together."""
    speakers: dict[tuple[str, ...], list[str]] = {}
    for rule in (*catalogue.values(), *variants.values()):
        if rule.differences:
            speakers.setdefault(rule.differences, []).append(f"**{rule.name}**")
    for sentences, names in speakers.items():
        yield "\n".join([", ".join(names), "", *(f"- {sentence}" for sentence in sentences)])


PAGE = """# What equals what

*Written by `python -m docs.parity` and compared with a fresh run by `tests/test_parity.py`; do not
edit.*

## Against torch

Each optimizer of `thalweg.optim` takes {steps} float64 steps beside torch's, from the same start,
on gradients of unequal scale with a tenth of the entries zero. One tensor always has a gradient,
one gets its first at step 8, one lacks every fourth. The learning rate is {rate:g}, the weight
decay {decay:g}. *Deviation* is the largest distance between the two paths, as a share of the
distance travelled, against torch's loop and foreach implementations, whichever is more; rounding
alone leaves about 1e-14. Sparse gradients name the elements that are not zero, and there is no
decay, which torch does not have for them.

{pairs}

Not in `thalweg.optim` yet: {absent}.

## Against other conventions

The same name means different rules in different places. Each line gives {steps} float64 steps of a
thalweg rule and of the other convention, transcribed from its source, on the same gradients with
equal settings (learning rate {rate:g}). *Apart* is the largest distance between the two paths as a
share of the distance travelled by thalweg's: a property of these gradients, not a law. *To have it
here* names settings of thalweg's rule that come closest, and how far apart the two then are.

{conventions}

## What each rule says of its namesakes

{texts}
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return PAGE.format(
        steps=STEPS,
        rate=RATE,
        decay=DECAY,
        pairs=table("thalweg.optim | torch.optim | verdict | deviation", [*map(pair_row, PAIRS)]),
        absent=", ".join(name for name in ABSENT if not hasattr(optim, name)),
        conventions=table(
            "rule | as in | what differs | apart | to have it here",
            [*map(convention_row, CONVENTIONS)],
        ),
        texts="\n\n".join(said()),
    )


def main() -> None:
    """Write the page beside this file."""
    path = Path(__file__).with_name("parity.md")
    path.write_text(page(), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
