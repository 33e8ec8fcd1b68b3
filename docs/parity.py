"""Measures thalweg beside torch, and beside papers and other libraries: `python -m docs.parity`.

It writes docs/parity.md. What a paper or another library says is transcribed in
docs/conventions.py; nothing of that library is needed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from docs import conventions as said_by
from docs.conventions import Array, Equations, by_torch
from thalweg import optim
from thalweg.rules import CONVENTIONS, Rule, catalogue, find, variants
from thalweg.schedules import adamwr

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


def starts() -> Array:
    """Return (tensors, elements): where every path begins."""
    return np.random.RandomState(1).standard_normal((3, 20))


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


# Classes, each with gradients that come late or not at all.


def optimizer_path(
    make: Callable[..., torch.optim.Optimizer], settings: dict, sparse: bool = False
) -> Array:
    """Return where an optimizer takes three tensors, before the first step and after each."""
    given = gradients()
    params = [torch.tensor(start) for start in starts()]
    optimizer = make(params, **settings)
    path = [np.stack([p.numpy().copy() for p in params])]
    for step in range(STEPS):
        for tensor, p in enumerate(params):
            g = torch.tensor(given[step, tensor])
            p.grad = (g.to_sparse() if sparse else g) if arrives(step, tensor) else None
        optimizer.step()
        path.append(np.stack([p.numpy().copy() for p in params]))
    return np.stack(path)


def loop_and_foreach(make: Callable[..., torch.optim.Optimizer], settings: dict) -> list[Array]:
    """Return where torch's two implementations of a class take three tensors."""
    return [optimizer_path(make, {**settings, "foreach": each}) for each in (False, True)]


def transcribed(equations: Equations, settings: dict) -> list[Array]:
    """Return where a transcription takes three tensors, each by the gradients that it gets."""
    given, columns = gradients(), []
    for tensor, start in enumerate(starts()):
        came = np.array([arrives(step, tensor) for step in range(STEPS)])
        points = np.stack([start, *equations(start, given[came, tensor], **settings)])
        columns.append(points[np.cumsum([0, *came])])
    return [np.stack(columns, axis=1)]


class Pair(NamedTuple):
    """A class of thalweg.optim with its switches, and what it should equal, run and in words."""

    name: str
    settings: dict[str, Any]
    theirs: Callable[[dict[str, Any]], list[Array]]
    words: str
    decays: bool = True
    sparse: bool = False

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.settings.items())})"

    @property
    def common(self) -> dict[str, Any]:
        """One learning rate and, where the class has it, weight decay."""
        return {"lr": RATE, "weight_decay": DECAY} if self.decays else {"lr": RATE}

    @property
    def rule(self) -> Rule:
        """The rule that the class runs."""
        leaf = torch.zeros(1, requires_grad=True)
        optimizer = getattr(optim, self.name)([leaf], **self.settings)
        return optimizer.rule_of(optimizer.param_groups[0])


def same(name: str, decays: bool = True, **settings: Any) -> Pair:
    """Return the pair of classes that share a name."""
    theirs = partial(loop_and_foreach, getattr(torch.optim, name))
    return Pair(name, settings, lambda common: theirs(common | settings), f"`{name}`", decays)


def same_sparse(name: str) -> Pair:
    """Return the pair of classes that share a name, on sparse gradients, which have no decay."""
    kind = getattr(torch.optim, name)
    words = f"`{name}`, sparse gradients"
    return Pair(name, {}, lambda given: [optimizer_path(kind, given, True)], words, False, True)


def equations_of(
    name: str, equations: Equations, source: str, decays: bool = True, **settings: Any
) -> Pair:
    """Return the pair of a class and the transcription of a paper."""
    return Pair(name, settings, partial(transcribed, equations), source, decays)


def decayed_sgd(params: list, *, weight_decay: float, **settings: Any) -> torch.optim.Optimizer:
    """Return torch's SGD that first shrinks each parameter, as torch's AdamW does."""
    optimizer: torch.optim.Optimizer = torch.optim.SGD(params, **settings)

    def shrink(*_: Any) -> None:
        for p in params:
            if p.grad is not None:
                p.mul_(1 - settings["lr"] * weight_decay)

    optimizer.register_step_pre_hook(shrink)
    return optimizer


def scaled(equations: Equations) -> Equations:
    """Return the paper's decoupled decay, given lr and a weight decay that lr multiplies."""

    def run(p: Array, gs: Array, lr: float, weight_decay: float) -> said_by.Points:
        return equations(p, gs, lr=lr, base_lr=lr, weight_decay=lr * weight_decay)

    return run


def with_l2(equations: Equations) -> Equations:
    """Return the equations on gradients to which the parameter, times the decay, is added.

    Gradients are made as they are asked for, so that each sees the newest point.
    """

    def run(p: Array, gs: Array, weight_decay: float, **settings: Any) -> said_by.Points:
        decayed = (g + weight_decay * p for g in gs)
        points = equations(p, decayed, **settings)
        for p in points:
            yield p

    return run


LOSHCHILOV = "Loshchilov & Hutter 2019"
BELLO = "none; Bello et al. 2017"
SHARES = {"linear": said_by.linear, "cosine": said_by.cosine, "restart": said_by.restart}


def signed(name: str, equations: Equations) -> tuple[Pair, ...]:
    """Return the pairs of PowerSign or AddSign, one for each way in which the sign's share ends."""
    decaying = (
        equations_of(
            name, partial(equations, share=share, decay_steps=30.0), f"{BELLO}, {word} decay",
            decays=False, decay=word, decay_steps=30,
        )
        for word, share in SHARES.items()
    )  # fmt: skip
    return equations_of(name, equations, BELLO, decays=False), *decaying


PAIRS = (
    same("SGD"),
    same("SGD", momentum=0.9),
    same("SGD", momentum=0.9, dampening=0.3),
    same("SGD", momentum=0.9, nesterov=True),
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
    same("Adamax"),
    same("NAdam"),
    same("NAdam", decoupled_weight_decay=True),
    same("RAdam"),
    same("RAdam", decoupled_weight_decay=True),
    equations_of("AdaBelief", with_l2(said_by.adabelief), "none; Zhuang et al. 2020, Algorithm 2"),
    equations_of(
        "AdaBelief", said_by.adabelief, "none; the same with decoupled decay",
        decoupled_weight_decay=True,
    ),
    equations_of("Yogi", with_l2(said_by.yogi), "none; Zaheer et al. 2018, Algorithm 2"),
    same("Rprop", decays=False),
    same_sparse("SparseAdam"),
    same_sparse("SGD"),
    same_sparse("Adagrad"),
    *signed("PowerSign", said_by.powersign),
    *signed("AddSign", said_by.addsign),
    equations_of("Lion", said_by.lion, "none; Chen et al. 2023, Algorithm 2"),
    Pair(
        "SGDW", {}, lambda common: [optimizer_path(decayed_sgd, common | {"momentum": 0.9})],
        "none; `SGD` after `p.mul_(1 - lr * weight_decay)`",
    ),
    equations_of(
        "SGDW", scaled(said_by.sgdw), f"none; {LOSHCHILOV}, Algorithm 1, λ = lr × weight_decay",
    ),
    same("AdamW"),
    same("AdamW", amsgrad=True),
    equations_of(
        "AdamW", scaled(said_by.adamw),
        f"`AdamW`, above; {LOSHCHILOV}, Algorithm 2, λ = lr × weight_decay",
    ),
    equations_of("LARS", said_by.lars, "none; You, Gitman & Ginsburg 2017, Algorithm 1"),
    equations_of("LAMB", said_by.lamb, "none; You et al. 2020, Algorithm 2"),
)  # fmt: skip
ABSENT = ("ASGD", "Adafactor", "LBFGS", "Muon")


def deviation_of_class(pair: Pair) -> float:
    """Return how far thalweg is from the other side, or the farther of two implementations of it.

    Everything is float64, so what remains is rounding.
    """
    ours = optimizer_path(getattr(optim, pair.name), pair.common | pair.settings, pair.sparse)
    return max(apart(ours, path) for path in pair.theirs(pair.common))


# Rules and variants, each beside the equations it claims and beside the rule of its name.


def halved(t: int) -> float:
    """Return a learning rate that is halved half-way."""
    return RATE if t <= STEPS // 2 else RATE / 2


def rule_named(key: str) -> str:
    """Return the key of the rule that has the bare name, the longest that *key* begins with."""
    return max((each for each in catalogue if f"{key}_".startswith(f"{each}_")), key=len)


class Meaning(NamedTuple):
    """What someone means by a rule's name: the variant that has it, the equations, their source.

    *differs* says in what it differs from the rule whose name the key begins with; *settings* are
    those of all sides, which keep their own defaults otherwise; *size* scales the gradients.
    """

    key: str
    theirs: Equations
    source: str
    differs: str = ""
    settings: dict[str, Any] = {"lr": RATE}
    size: float = 1.0

    @property
    def name(self) -> str:
        """The key of the rule that has the bare name."""
        return rule_named(self.key)


def torch_has(key: str, name: str, **switches: Any) -> Meaning:
    """Return the rule that torch has by a class and its switches."""
    theirs = partial(by_torch, make=getattr(torch.optim, name), **switches)
    shown = ", ".join(f"{k}={v}" for k, v in switches.items())
    return Meaning(key, theirs, f"torch, `{name}{f'({shown})' if shown else ''}`")


def decaying_sign(key: str, equations: Equations, word: str) -> Meaning:
    """Return PowerSign or AddSign whose sign counts less and less over 30 updates."""
    theirs = partial(equations, share=SHARES[word])
    differs, settings = f"{word} decay over 30 updates", {"lr": RATE, "decay_steps": 30.0}
    return Meaning(f"{key}_{word}", theirs, f"Bello et al. 2017, {word} decay", differs, settings)


HALVED = {"lr": halved}
DECAYING = {"lr": RATE, "weight_decay": DECAY}
SCHEDULED = {"lr": halved, "base_lr": RATE, "weight_decay": 0.01}
RESTARTED = {
    name: (lambda t, value=value: value(t - 1)) if callable(value) else value
    for name, value in adamwr(RATE, DECAY, batch=8, examples=60, first=1).items()
}
DOZAT = partial(said_by.nadam_throughout, number=np.float32)
KERAS_NADAM = partial(said_by.nadam_every_step, number=np.float32)
MEANINGS = (
    torch_has("sgd", "SGD"),
    torch_has("momentum", "SGD", momentum=0.9),
    Meaning(
        "momentum_paper", said_by.momentum_inside, "Sutskever et al. 2013, equations 1 and 2",
        "lr inside the buffer; lr constant",
    ),
    Meaning(
        "momentum_paper", said_by.momentum_inside, "the same",
        "lr inside the buffer; lr halved half-way", HALVED,
    ),
    torch_has("nesterov", "SGD", momentum=0.9, nesterov=True),
    Meaning(
        "nesterov_keras", said_by.nesterov_inside, "Keras 3, `SGD(nesterov=True)`",
        "lr inside the buffer; lr halved half-way", HALVED,
    ),
    torch_has("adagrad", "Adagrad"),
    Meaning(
        "adagrad_optax", said_by.adagrad_in_root, "optax, `scale_by_rss`",
        "the sum starts at 0.1, eps = 1e-7 inside the root",
    ),
    Meaning(
        "adagrad_keras", said_by.adagrad_in_root, "Keras 3, `Adagrad`",
        "the same and lr = 0.001, not 0.01", {},
    ),
    torch_has("adadelta", "Adadelta"),
    Meaning(
        "adadelta_paper", said_by.adadelta, "Zeiler 2012, Algorithm 1", "rho = 0.95, not 0.9",
    ),
    Meaning(
        "adadelta_keras", partial(said_by.adadelta, lr=0.001, eps=1e-7), "Keras 3, `Adadelta`",
        "rho = 0.95, eps = 1e-7, and lr = 0.001, not 1", {},
    ),
    torch_has("rmsprop", "RMSprop"),
    Meaning(
        "rmsprop_paper", said_by.rmsprop_in_root, "Hinton's lecture 6e; optax, `scale_by_rms`",
        "eps inside the root, alpha = 0.9, not 0.99",
    ),
    Meaning(
        "rmsprop_paper", said_by.rmsprop_in_root, "the same",
        "eps inside the root, gradients about 1", {"lr": RATE, "alpha": 0.99},
    ),
    Meaning(
        "rmsprop_paper", said_by.rmsprop_in_root, "the same",
        "eps inside the root, gradients about 1e-4", {"lr": RATE, "alpha": 0.99}, 1e-4,
    ),
    Meaning(
        "rmsprop_keras", partial(said_by.rmsprop_in_root, eps=1e-7), "Keras 3, `RMSprop`",
        "eps = 1e-7 inside the root, alpha = 0.9",
    ),
    torch_has("rmsprop_momentum", "RMSprop", momentum=0.9)._replace(differs="momentum"),
    torch_has("rmsprop_centered", "RMSprop", centered=True)._replace(differs="centered"),
    torch_has("rmsprop_centered_momentum", "RMSprop", centered=True, momentum=0.9)._replace(
        differs="both"
    ),
    Meaning("adam", said_by.adam, "Kingma & Ba 2015, Algorithm 1; optax, `scale_by_adam`"),
    Meaning(
        "adam_keras", said_by.adam_eps_hat, "Keras 3, `Adam`; TensorFlow",
        "eps = 1e-7 before bias correction",
    ),
    Meaning(
        "adam_keras", said_by.adam_eps_hat, "the same",
        "eps = 1e-8 before bias correction, gradients about 1", {"lr": RATE, "eps": 1e-8},
    ),
    Meaning(
        "adam_keras", said_by.adam_eps_hat, "the same",
        "eps = 1e-8 before bias correction, gradients about 1e-6", {"lr": RATE, "eps": 1e-8}, 1e-6,
    ),
    Meaning(
        "adam_eps_inside", partial(said_by.adam, eps=0.0, eps_root=1e-8),
        "optax, `scale_by_adam(eps=0, eps_root=1e-8)`", "eps inside the root",
    ),
    Meaning(
        "adam_uncorrected", said_by.adam_uncorrected, "BERT's `optimization.py`, without decay",
        "no bias correction, eps = 1e-6", {"lr": RATE, "eps": 1e-6},
    ),
    torch_has("amsgrad", "Adam", amsgrad=True),
    Meaning(
        "amsgrad_paper", said_by.amsgrad_uncorrected, "Reddi et al. 2018, Algorithm 2, with eps",
        "no bias correction", {"lr": RATE, "eps": 1e-8},
    ),
    Meaning(
        "amsgrad_optax", said_by.amsgrad_of_corrected, "optax, `scale_by_amsgrad`",
        "maximum of corrected second moments",
    ),
    Meaning(
        "amsgrad_keras", said_by.amsgrad_eps_hat, "Keras 3, `Adam(amsgrad=True)`",
        "eps = 1e-7 before bias correction",
    ),
    torch_has("adamax", "Adamax"),
    Meaning(
        "adamax_paper", said_by.adamax_without_eps, "Kingma & Ba 2015, Algorithm 2",
        "no eps; a step of 0 where that divides by 0",
    ),
    Meaning(
        "adamax_keras", said_by.adamax_eps_outside, "Keras 3, `Adamax`",
        "eps = 1e-7 outside the maximum",
    ),
    torch_has("nadam", "NAdam"),
    Meaning(
        "nadam_paper", DOZAT, "Dozat 2016, Algorithm 2",
        "the schedule in the first moment too, a beta2 more in the second",
    ),
    Meaning(
        "nadam_optax", said_by.nadam_constant, "optax, `scale_by_adam(nesterov=True)`",
        "constant momentum",
    ),
    Meaning(
        "nadam_keras", KERAS_NADAM, "Keras 3, `Nadam`",
        "momentum schedule 250 times as fast, eps = 1e-7",
    ),
    torch_has("radam", "RAdam"),
    Meaning(
        "radam_paper", said_by.radam, "Liu et al. 2020, Algorithm 2, with eps",
        "rectification starts at rho > 4, not 5",
    ),
    Meaning(
        "radam_optax", said_by.radam_eps_after, "optax, `scale_by_radam`",
        "eps after bias correction",
    ),
    Meaning("adabelief", said_by.adabelief, "Zhuang et al. 2020, Algorithm 2"),
    Meaning("yogi", said_by.yogi, "Zaheer et al. 2018, Algorithm 2"),
    Meaning(
        "yogi_optax", said_by.yogi_corrected, "optax, `scale_by_yogi`",
        "both moments start at 1e-6 and are corrected",
    ),
    torch_has("rprop", "Rprop"),
    Meaning("powersign", said_by.powersign, "Bello et al. 2017"),
    *(decaying_sign("powersign", said_by.powersign, word) for word in SHARES),
    Meaning("addsign", said_by.addsign, "Bello et al. 2017"),
    *(decaying_sign("addsign", said_by.addsign, word) for word in SHARES),
    Meaning("lion", said_by.lion, "Chen et al. 2023, Algorithm 2"),
    Meaning(
        "sgdw", scaled(said_by.sgdw), f"{LOSHCHILOV}, Algorithm 1, λ = lr × weight_decay",
        settings=DECAYING,
    ),
    Meaning(
        "sgdw_paper", said_by.sgdw, f"{LOSHCHILOV}, Algorithm 1",
        "weight_decay times lr / base_lr instead of lr; lr halved half-way", SCHEDULED,
    ),
    Meaning(
        "adamw", scaled(said_by.adamw), f"{LOSHCHILOV}, Algorithm 2, λ = lr × weight_decay",
        settings=DECAYING,
    ),
    Meaning(
        "adamw_optax", partial(by_torch, make=torch.optim.AdamW, weight_decay=1e-4),
        "optax, `adamw`, by torch's", "weight_decay = 1e-4, not 1e-2",
    ),
    Meaning(
        "adamw_paper", said_by.adamw, f"{LOSHCHILOV}, Algorithm 2",
        "weight_decay times lr / base_lr instead of lr; lr halved half-way", SCHEDULED,
    ),
    Meaning(
        "adamw_paper", lambda p, gs, **_: said_by.adamwr(p, gs), f"{LOSHCHILOV}, AdamWR",
        "the same with `schedules.adamwr`: warm restarts and normalized decay", RESTARTED,
    ),
    Meaning("lars", said_by.lars, "You, Gitman & Ginsburg 2017, Algorithm 1"),
    Meaning("lamb", said_by.lamb, "You et al. 2020, Algorithm 2"),
    Meaning(
        "adaptive_revision", said_by.adaptive_revision,
        "McMahan & Streeter 2014, nothing late",
    ),
)  # fmt: skip
ELSEWHERE = (
    Meaning(
        "rmsprop", partial(said_by.rmsprop_in_root, start=1.0, eps=1e-10), "TensorFlow 1",
        "the mean square starts at 1, eps = 1e-10 inside the root, alpha = 0.9 on both sides",
        {"lr": RATE, "alpha": 0.9},
    ),
    Meaning(
        "radam", partial(said_by.radam, threshold=5.0, early=0.0), "kozistr's pytorch_optimizer",
        "no step before rectification starts",
    ),
    Meaning(
        "rprop", said_by.rprop_with_backtracking, "Riedmiller & Braun 1993",
        "the last step is undone where the gradient changes its sign",
    ),
)  # fmt: skip


def rule_path(rule: Rule, start: Array, gs: Array, settings: dict[str, Any]) -> Array:
    """Return where a rule takes an array, given those *settings* that it knows."""
    p, path = start, [start]
    state: dict[str, Any] = {}
    known = {name: value for name, value in settings.items() if name in rule.hyperparameters}
    with np.errstate(invalid="ignore"):
        for t, g in enumerate(gs, 1):
            now = {name: value(t) if callable(value) else value for name, value in known.items()}
            state = state or rule.init(p, **now)
            p, state = rule.update(p, g, state, t=t, **now)
            path.append(p)
    return np.stack(path)


def paths(meaning: Meaning, key: str) -> tuple[Array, Array]:
    """Return where the rule called *key* and where the other side's equations take an array."""
    start, gs = starts()[0], meaning.size * gradients()[:, 0]
    theirs = np.stack([start, *meaning.theirs(start, gs, **meaning.settings)])
    return rule_path(find(key), start, gs, meaning.settings), theirs


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


def in_words(rule: Rule) -> str:
    """Return the key of a rule, or the chain it is."""
    for each in (*catalogue.values(), *variants.values()):
        if each.outputs is rule.outputs:
            return each.key
    return f"chain({', '.join(piece.key for piece in rule.pieces)})"


def pair_row(pair: Pair) -> list[str]:
    """Return a line of the table of classes."""
    found = deviation_of_class(pair)
    verdict = "equal" if found <= 1e-12 else "DIFFERENT"
    return [f"`{pair}`", f"`{in_words(pair.rule)}`", pair.words, verdict, bound(found)]


def likes(key: str) -> str:
    """Return whose convention a rule is, as `like` spells it."""
    owners = CONVENTIONS.get(rule_named(key), {})
    return ", ".join(like for like, rule in owners.items() if rule.key == key)


def meaning_row(meaning: Meaning) -> list[str]:
    """Return a line of the table of rules and variants."""
    found = bound(apart(*paths(meaning, meaning.key)))
    away = share(apart(*paths(meaning, meaning.name))) if meaning.differs else ""
    return [f"`{meaning.key}`", likes(meaning.key), meaning.source, found, meaning.differs, away]


def elsewhere_row(meaning: Meaning) -> list[str]:
    """Return a line of the table of what is not offered."""
    away = share(apart(*paths(meaning, meaning.name)))
    return [f"`{meaning.name}`", meaning.source, meaning.differs, away]


def exactly(key: str, equations: Equations) -> str:
    """Return how far a variant of NAdam is from its equations in float64 throughout."""
    return bound(apart(*paths(Meaning(key, equations, ""), key)))


def differences() -> Iterator[str]:
    """Yield what rules say about others of their name, those that say the same together.

    Variants that are somebody's convention are left out: the table says whose.
    """
    speakers: dict[tuple[str, ...], list[str]] = {}
    nobodys = [each for each in variants.values() if not likes(each.key)]
    for rule in (*catalogue.values(), *nobodys):
        if rule.differences:
            speakers.setdefault(rule.differences, []).append(f"**{rule.name}**")
    for sentences, names in speakers.items():
        yield "\n".join([", ".join(names), "", *(f"- {sentence}" for sentence in sentences)])


PAGE = """# What equals what

*Written by `python -m docs.parity` and compared with a fresh run by `tests/test_parity.py`; do not
edit.*

Every number is measured on {steps} float64 steps, on gradients of unequal scale with a tenth of the
entries zero, from the same start on both sides. Distances are the largest between the two paths,
as a share of the distance travelled: properties of these gradients, not laws. Rounding alone
leaves about 1e-14. What papers and other libraries say is transcribed, a few lines each, in
[conventions.py](conventions.py), without a look at the rules.

## Every class, beside torch's

One tensor always has a gradient, one gets its first at step 8, one lacks every fourth. The learning
rate is {rate:g}, the weight decay {decay:g} where the class has one. *Rule* is what the class runs.
*Deviation* is the distance from torch's loop and foreach implementations, whichever is more, or
from what stands behind a semicolon.

{pairs}

Not in `thalweg.optim` yet: {absent}.

## Every rule and variant: whose it is

The same name means different rules in different places. A bare name is torch's meaning where torch
has the rule; `find("nadam", like="paper")`, `find("nadam_paper")` and
`thalweg.Optimizer(params, "nadam", like="paper")` are Dozat's. *Like* lists whose convention a row
is. *Deviation* is its distance from the source named: rounding. *Apart* is the distance between
that source and the rule of the bare name, that is, what one makes of taking the one for the other.
The learning rate is {rate:g} unless another is named; where *differs in* names no setting, both
sides have equal ones.

{meanings}

NAdam's running product of its momentum is one float32 number, as torch keeps it and as Keras keeps
it beside float32 parameters; so it is in these transcriptions. With float64 throughout,
`nadam_paper` deviates from Dozat's equations by {dozat} and `nadam_keras` from Keras's by {keras}.

## Meanings that are not offered

{elsewhere}

## What each rule says of its namesakes

{texts}
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return PAGE.format(
        steps=STEPS,
        rate=RATE,
        decay=DECAY,
        pairs=table(
            "thalweg.optim | rule | torch.optim | verdict | deviation", [*map(pair_row, PAIRS)]
        ),
        absent=", ".join(name for name in ABSENT if not hasattr(optim, name)),
        meanings=table(
            "rule | like | source | deviation | differs in | apart",
            [*map(meaning_row, MEANINGS)],
        ),
        dozat=exactly("nadam_paper", said_by.nadam_throughout),
        keras=exactly("nadam_keras", said_by.nadam_every_step),
        elsewhere=table("rule | as in | differs in | apart", [*map(elsewhere_row, ELSEWHERE)]),
        texts="\n\n".join(differences()),
    )


def main() -> None:
    """Write the page beside this file."""
    path = Path(__file__).with_name("parity.md")
    path.write_text(page(), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
