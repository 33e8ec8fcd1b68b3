"""What every engine promises: the rule's own numbers, within the rounding its operations allow."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from thalweg.algebra import PLACE, symbol
from thalweg.algebra.expr import postorder
from thalweg.algebra.signature import Scalar
from thalweg.algebra.trace import symbols
from thalweg.kernels.plan import Plan, lower
from thalweg.kernels.table import Launch, Row
from thalweg.rules import Rule
from thalweg.rules.functional import begin
from thalweg.testing.bounds import Bounded, bounded, exact
from thalweg.testing.checks import Check, bind, promise

Engine = Callable[[Plan, Sequence[Row]], Launch]

SHAPES = ((), (1,), (7,), (13, 5), (0,), (2, 3, 4, 5), (17001,))

_PROMISES: list[Callable[[Engine, Rule, torch.dtype], None]] = []


def check_engine(engine: Engine, rule: Rule, dtype: torch.dtype) -> Iterator[Check]:
    """Yield the named checks of *engine*, which makes a launch of a plan and rows, for one rule."""
    yield from bind(_PROMISES, engine, rule, dtype)


class Trial:
    """Some parameters of two groups under one launch, with gradients to hand."""

    def __init__(self, engine: Engine, rule: Rule, dtype: torch.dtype, **hyper: float) -> None:
        self.rule, self.dtype = rule, dtype
        self.random = np.random.default_rng(1)
        self.groups = [rule.settings(**hyper), rule.settings(**hyper)]
        if "lr" in self.groups[1]:
            self.groups[1]["lr"] *= 0.5
        self.rows = [self._row(shape, index) for index, shape in enumerate(SHAPES)]
        self.launch = engine(lower(rule), self.rows)
        self.set(self.groups)

    def set(self, groups: Sequence[dict[str, float]]) -> None:
        """Give the launch the hyperparameters of its groups."""
        self.launch.set_hypers([list(each.values()) for each in groups])

    def tensor(self, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
        """Return normal numbers of the trial's dtype."""
        return torch.from_numpy(np.asarray(self.random.normal(size=shape) * scale)).to(self.dtype)

    def _row(self, shape: tuple[int, ...], index: int) -> Row:
        p = self.tensor(shape)
        slots: list[Tensor] = []
        scalars: list[Tensor] = []
        for initial in self.rule.signature.slots.values():
            value = begin(initial, p, self.groups[index % 2])
            (scalars if isinstance(initial, Scalar) else slots).append(value)
        return Row(p, tuple(slots), tuple(scalars), torch.tensor(0.0), index % 2, index)

    def draw(self, missing: Sequence[int] = ()) -> None:
        """Give every row a gradient, except those whose index is in *missing*."""
        for k, row in enumerate(self.rows):
            g = self.tensor(tuple(row.parameter.shape), 0.1)
            row.parameter.grad = None if k in missing else g

    def step(self) -> None:
        """Update once."""
        self.launch.take()
        self.launch.run()

    def symbols(self, row: Row, held: dict[str, Bounded]) -> dict:
        """Return what the rule's symbols mean for *row*, whose state is *held* with its errors."""
        settings = self.groups[row.group]
        table = {symbol("hyper", name): exact(v) for name, v in settings.items()}
        table[PLACE] = exact(row.index)
        table[symbol("clock", "t")] = exact(float(row.step) + 1)
        table[symbol("input", "g")] = exact(numbers(row.parameter.grad))
        table[symbol("input", "p")] = held["p"]
        own = symbols(self.rule.signature)
        return table | {own[slot]: held[slot] for slot in self.rule.signature.slots}

    def contents(self, row: Row) -> dict[str, Tensor]:
        """Return the row's parameter and state by name."""
        slots, scalars = iter(row.slots), iter(row.scalars)
        found = {"p": row.parameter}
        for name, initial in self.rule.signature.slots.items():
            found[name] = next(scalars if isinstance(initial, Scalar) else slots)
        return found


def numbers(tensor: Tensor | None) -> np.ndarray:
    """Return a float64 copy of what a tensor holds."""
    assert tensor is not None
    return tensor.double().numpy().copy()


def advance(trial: Trial, held: list[dict[str, Bounded]], active: list[int]) -> None:
    """Advance the bounds of the active rows by one exact step."""
    rule, kind = trial.rule, "float64" if trial.dtype == torch.float64 else "float32"
    rows = [trial.symbols(trial.rows[k], held[k]) for k in active]
    for k, values in zip(active, bounded(rule.results, rows, kind), strict=True):
        names = ("p", *rule.signature.slots)
        held[k] = {
            name: _as_stored(value, initial, trial.dtype)
            for name, value, initial in zip(
                names, values, (None, *rule.signature.slots.values()), strict=True
            )
        }


def _as_stored(value: Bounded, initial: object, dtype: torch.dtype) -> Bounded:
    """Add the rounding to the type in which state is kept, unless that type is exact."""
    kept = torch.finfo(torch.float32 if isinstance(initial, Scalar) else dtype)
    if kept.bits == 64:
        return value
    rounding = kept.eps / 2 * (np.abs(value.value) + value.error) + kept.smallest_normal * kept.eps
    return Bounded(
        value.value, value.error + np.where(value.value == 0, value.error > 0, 1) * rounding
    )


@promise(_PROMISES)
def it_stays_within_the_rounding_of_the_rules_operations(
    engine: Engine, rule: Rule, dtype: torch.dtype
) -> None:
    """Twenty steps with late and missing gradients, against exact arithmetic and its bounds."""
    trial = Trial(engine, rule, dtype)
    held = [{n: exact(numbers(v)) for n, v in trial.contents(row).items()} for row in trial.rows]
    for step in range(20):
        missing = [1, 5] if step < 4 else [2] if step % 5 == 3 else []
        trial.draw(missing)
        advance(trial, held, [k for k in range(len(SHAPES)) if k not in missing])
        trial.step()
        for row, bounds in zip(trial.rows, held, strict=True):
            for name, tensor in trial.contents(row).items():
                wrong = np.abs(numbers(tensor) - bounds[name].value)
                assert np.all(wrong <= bounds[name].error), (
                    f"step {step + 1}, shape {tuple(tensor.shape)}: {name} is off by "
                    f"{np.max(wrong):.3g}, allowed {np.max(bounds[name].error):.3g}"
                )


@promise(_PROMISES)
def it_leaves_gradients_and_passed_over_rows_alone(
    engine: Engine, rule: Rule, dtype: torch.dtype
) -> None:
    """A step writes to the parameters and state of rows with gradients, and to nothing else."""
    trial = Trial(engine, rule, dtype)
    trial.draw()
    trial.step()
    trial.draw(missing=[2, 3])
    gradients = [row.parameter.grad for row in trial.rows]
    copies = [None if g is None else g.clone() for g in gradients]
    idle = [{n: v.clone() for n, v in trial.contents(trial.rows[k]).items()} for k in (2, 3)]
    trial.step()
    for g, copy in zip(gradients, copies, strict=True):
        assert g is None or torch.equal(g, copy)  # type: ignore[arg-type]
    for k, before in zip((2, 3), idle, strict=True):
        for name, value in trial.contents(trial.rows[k]).items():
            assert torch.equal(value, before[name]), name
        assert float(trial.rows[k].step) == 1.0


@promise(_PROMISES)
def it_gives_the_same_bits_again(engine: Engine, rule: Rule, dtype: torch.dtype) -> None:
    """Two runs from equal beginnings are equal to the last bit."""
    trials = [Trial(engine, rule, dtype) for _ in range(2)]
    for trial in trials:
        for _ in range(3):
            trial.draw()
            trial.step()
    for a, b in zip(trials[0].rows, trials[1].rows, strict=True):
        for name, value in trials[0].contents(a).items():
            assert torch.equal(value, trials[1].contents(b)[name]), name


@promise(_PROMISES)
def it_takes_new_hyperparameters_at_once(engine: Engine, rule: Rule, dtype: torch.dtype) -> None:
    """After a change, the next step is that of an engine that had the new numbers all along."""
    if symbol("hyper", "lr") not in set(postorder(rule.outputs)):
        return
    moved = {}
    for history in ((0.5,), (0.25,), (0.5, 0.25)):
        trial = Trial(engine, rule, dtype)
        for lr in history:
            trial.set([group | {"lr": lr} for group in trial.groups])
        for _ in range(3):
            trial.draw()
            trial.step()
        moved[history] = trial.rows[3].parameter
    assert torch.equal(moved[(0.5, 0.25)], moved[(0.25,)])
    assert not torch.equal(moved[(0.5, 0.25)], moved[(0.5,)])
