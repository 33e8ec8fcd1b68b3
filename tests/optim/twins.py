"""Optimizers side by side: torch's and ours, from the same parameters, given the same gradients."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from thalweg import optim

NAMES = (
    "SGD", "Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Rprop",
)  # fmt: skip
"""The classes that torch has too."""

Case = tuple[str, dict[str, Any]]


def _switched(name: str, **options: tuple) -> list[Case]:
    return [
        (name, dict(zip(options, values, strict=True))) for values in product(*options.values())
    ]


_BOTH = (False, True)
_DECAY = (0, 0.1)

CASES: list[Case] = [
    *_switched("SGD", lr=(0.03,), momentum=(0, 0.9), weight_decay=_DECAY),
    *_switched("SGD", momentum=(0.9,), nesterov=(True,), weight_decay=_DECAY),
    *_switched("SGD", momentum=(0.8,), dampening=(0.3,)),
    *_switched(
        "Adagrad", lr_decay=(0, 0.01), initial_accumulator_value=(0, 0.1), weight_decay=_DECAY
    ),
    *_switched("Adadelta", lr=(0.7,), rho=(0.95,), weight_decay=_DECAY),
    *_switched("RMSprop", centered=_BOTH, momentum=(0, 0.9), weight_decay=_DECAY),
    *_switched("Adam", amsgrad=_BOTH, weight_decay=_DECAY, decoupled_weight_decay=_BOTH),
    *_switched("AdamW", betas=((0.8, 0.99),), amsgrad=_BOTH),
    *_switched("Adamax", eps=(1e-6,), weight_decay=_DECAY),
    *_switched("NAdam", momentum_decay=(0.02,), weight_decay=_DECAY, decoupled_weight_decay=_BOTH),
    *_switched("RAdam", weight_decay=_DECAY, decoupled_weight_decay=_BOTH),
    *_switched("Rprop", etas=((0.4, 1.3),), step_sizes=((1e-4, 0.1),)),
    ("SGD", {"maximize": True, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("AdamW", {"maximize": True, "amsgrad": True}),
    ("Rprop", {"maximize": True}),
    *(
        (name, {"maximize": True, "weight_decay": 0.1})
        for name in ("SGD", "Adagrad", "Adadelta", "RMSprop", "Adam", "Adamax", "NAdam", "RAdam")
    ),
]
"""Every class over its switches; maximize, which only turns the gradient, once or twice each."""


def label(case: Any) -> str:
    """Return a readable name for a case."""
    name, settings = case
    return "-".join([name, *(f"{key}={value}" for key, value in settings.items() if value)])


def build(source: Any, name: str, params: Any, **settings: Any) -> Any:
    """Return the optimizer called *name* from *source*, which is torch.optim or thalweg.optim."""
    return getattr(source, name)(params, **settings)


def leaf(values: Tensor) -> Tensor:
    """Return *values*, in whatever memory order they have, as a parameter."""
    return values.detach().requires_grad_()


def parameters(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Return one parameter of every layout an optimizer meets, always the same numbers."""
    generator = torch.Generator().manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    layouts = [
        randn(7, 5),
        randn(),
        randn(0, 3),
        randn(1009),
        randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        randn(6, 4).t(),
        randn(10, 8)[::2, 1::3],
        randn(1, 1),
    ]
    return [leaf(each) for each in layouts]


def give_gradients(params: Iterable[Tensor], step: int) -> None:
    """Put the gradients of update number *step* on *params*: some late, some missing, some zero.

    Every other gradient is contiguous whatever the order of its parameter in memory.
    """
    generator = torch.Generator().manual_seed(1000 + step)
    for k, p in enumerate(params):
        g = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        g[g.abs() < 0.1] = 0
        late, missing = k % 4 == 3 and step < 7, k % 4 == 0 and step % 3 == 1
        if late or missing or step == 11:
            p.grad = None
        else:
            g = (g * 3.0 ** (k - 3)).to(p.dtype)
            p.grad = g if step % 2 else torch.empty_like(p).copy_(g).detach()


def train(optimizer: Any, params: list[Tensor], steps: range) -> list[float]:
    """Take *steps*; return how far each parameter travelled, by its fastest element."""
    travelled = [0.0] * len(params)
    for step in steps:
        give_gradients(params, step)
        before = [p.detach().clone() for p in params]
        optimizer.step()
        for k, (p, old) in enumerate(zip(params, before, strict=True)):
            travelled[k] += largest(p.detach() - old)
    return travelled


def largest(values: Tensor) -> float:
    """Return the largest absolute value, 0 for an empty tensor."""
    return float(values.detach().abs().max()) if values.numel() else 0.0


def assert_same_place(
    ours: list[Tensor], theirs: list[Tensor], travelled: list[float], share: float = 1e-12
) -> None:
    """Assert that parameters ended within *share* of the distance they travelled."""
    pairs = zip(ours, theirs, travelled, strict=True)
    for k, (a, b, distance) in enumerate(pairs):
        apart = largest(a.detach() - b.detach())
        assert apart <= share * distance, f"parameter {k}: {apart:.3g} of {distance:.3g}"


def assert_same_bits(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> None:
    """Assert that tensors are equal, NaN to NaN."""
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def ready(name: str, source: Any = optim, **settings: Any) -> tuple[Any, list[Tensor]]:
    """Return an optimizer and its parameters, one of every layout."""
    params = parameters()
    return build(source, name, params, **settings), params
