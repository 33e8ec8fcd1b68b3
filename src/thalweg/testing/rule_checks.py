"""What every rule promises: one text, many forms, the same numbers."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from thalweg.algebra import latex, source, trace
from thalweg.rules import Rule, ascend
from thalweg.testing.checks import Check, bind, promise

_PROMISES: list[Callable[[Rule], None]] = []


def check_rule(rule: Rule) -> Iterator[Check]:
    """Yield the named checks that every rule, yours as well, must pass."""
    yield from bind(_PROMISES, rule)


@promise(_PROMISES)
def its_printed_source_traces_to_the_same_tree(rule: Rule) -> None:
    """The text printed from a rule means exactly that rule."""
    assert trace(source(rule)) is trace(rule)


@promise(_PROMISES)
def its_formula_ends_with_the_new_parameter(rule: Rule) -> None:
    """LaTeX can be printed, and defines the parameter after the step once."""
    text = latex(rule)
    assert text.count(r"\theta_t &=") == 1
    assert text.count("{") == text.count("}")


@promise(_PROMISES)
def its_defaults_are_legal_and_searched_within_the_legal_range(rule: Rule) -> None:
    """Every default, and both ends of every search range, may be set."""
    for hyper in rule.hyperparameters.values():
        hyper.check(hyper.default, rule.name)
        for end in hyper.search or ():
            hyper.check(end, rule.name)


@promise(_PROMISES)
def its_state_has_the_shape_of_its_parameters(rule: Rule) -> None:
    """Each slot is shaped like the parameter, or is one number."""
    p = np.ones((3, 2))
    for slot, value in rule.init(p).items():
        assert np.shape(value) in ((3, 2), ()), slot


@promise(_PROMISES)
def its_update_changes_nothing_it_was_given(rule: Rule) -> None:
    """The pure face is pure."""
    p, g = _data()
    state = rule.init(p)
    before = [p.copy(), g.copy(), *(np.copy(value) for value in state.values())]
    rule.update(p, g, state, t=1)
    for old, now in zip(before, [p, g, *state.values()], strict=True):
        np.testing.assert_array_equal(old, now)


@promise(_PROMISES)
def its_update_is_the_same_on_arrays_and_tensors(rule: Rule) -> None:
    """NumPy and torch agree in float64 to a few roundings per step."""
    p, g = _data()
    q, h = torch.from_numpy(p), torch.from_numpy(g)
    ours, theirs = rule.init(p), rule.init(q)
    for t in range(1, 6):
        p, ours = rule.update(p, g * t, ours, t=t)
        q, theirs = rule.update(q, h * t, theirs, t=t)
    np.testing.assert_allclose(q.numpy(), p, rtol=1e-12)


@promise(_PROMISES)
def its_update_keeps_dtypes(rule: Rule) -> None:
    """Parameters and state come back in the precision they had."""
    p, g = (torch.from_numpy(each).float() for each in _data())
    state = rule.init(p)
    new, after = rule.update(p, g, state, t=1)
    assert new.dtype == torch.float32
    assert [v.dtype for v in after.values()] == [v.dtype for v in state.values()]


@promise(_PROMISES)
def its_update_vmaps_over_a_learning_rate_per_member(rule: Rule) -> None:
    """Members updated together equal members updated alone."""
    if "lr" not in rule.hyperparameters:
        return
    p, g = (torch.from_numpy(each) for each in _data())
    rates = torch.tensor([1e-3, 1e-2, 1e-1], dtype=torch.float64)

    def two_steps(lr: torch.Tensor) -> torch.Tensor:
        state = rule.init(p, lr=lr)
        q, state = rule.update(p, g, state, t=1, lr=lr)
        return rule.update(q, g * 2, state, t=2, lr=lr)[0]

    together = torch.func.vmap(two_steps)(rates)
    alone = torch.stack([two_steps(lr) for lr in rates])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=0)


@promise(_PROMISES)
def its_steps_go_down_a_bowl_or_up_if_it_ascends(rule: Rule) -> None:
    """Forty steps on half the squared norm end lower, at one rate of the searched range."""
    settings: list[dict[str, float]] = [{}]
    if "lr" in rule.hyperparameters:
        low, high = rule.hyperparameters["lr"].search or (1e-3, 1.0)
        settings = [{"lr": float(lr)} for lr in np.geomspace(low, high, 4)]
    ends = [_descended(rule, each) for each in settings]
    assert max(ends) > 1.0 if ascend in rule.pieces else min(ends) < 1.0


def _descended(rule: Rule, settings: dict[str, float]) -> float:
    start, _ = _data()
    p, state = start, rule.init(start, **settings)
    for t in range(1, 41):
        p, state = rule.update(p, p, state, t=t, **settings)
    return float(np.sum(p * p) / np.sum(start * start))


def _data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(4, 3)), random.normal(size=(4, 3))
