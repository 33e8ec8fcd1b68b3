"""Compiled loops do to every weight that an example touches what the rule's own text says."""

import numpy as np
import pytest
from scipy import sparse

from thalweg import rules
from thalweg.errors import BadType
from thalweg.kernels.cpu import import_text
from thalweg.parallel.hogwild.examples import examples_of
from thalweg.parallel.hogwild.linear import linear_loops
from thalweg.parallel.hogwild.losses import LOSSES, log_loss, squared_error
from thalweg.parallel.hogwild.source import Loops, elementwise
from thalweg.rules import chain, rule

ROWS, COLUMNS = 7, 5


@rule("Unusual")
def unusual(g, p, x1=0.5, table=0.0, *, t, lr=0.1, d=0.2):
    """Name things as the loops name their own variables, and set state to a number."""
    z = d * x1 + g
    return lr * z / t + 0.01 * p, z, 0.25


RULES = [
    *(rules.find(name) for name in ("sgd", "momentum", "adam", "nadam", "rprop")),
    chain(rules.adagrad, rules.decay), unusual,
]  # fmt: skip
REFUSED = [
    rules.lars, rules.lamb, chain(rules.sgd, rules.add_noise), chain(rules.sgd, rules.centre),
    chain(rules.adam, rules.clip_by_global_norm), chain(rules.adam, rules.caution),
]  # fmt: skip


def matrix(seed: int = 0) -> sparse.csr_matrix:
    dense = np.random.default_rng(seed).normal(size=(ROWS, COLUMNS))
    dense[np.random.default_rng(seed + 1).random(dense.shape) < 0.4] = 0.0
    return sparse.csr_matrix(dense)


def begun(each: rules.Rule, p: np.ndarray) -> dict:
    return each.init(p, **each.settings())


def by_hand(each: rules.Rule, X: sparse.csr_matrix, y: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Two epochs of the rule's pure face on the touched weights, one example after another."""
    p = np.zeros(COLUMNS + 1)
    state = begun(each, p)
    t = 0
    for _ in range(2):
        for row, target in zip(X, y, strict=True):
            t += 1
            values = np.append(row.data, 1.0)
            at = np.append(row.indices, COLUMNS)
            _, slope = log_loss(float(values @ p[at]), target)
            g = slope * values + pull[at] * p[at]
            part = {name: slot[at] if slot.ndim else slot for name, slot in state.items()}
            p[at], part = each.update(p[at], g, part, t=t, **each.settings())
            for name, slot in part.items():
                if slot.ndim:
                    state[name][at] = slot
                else:
                    state[name] = slot
    return p


@pytest.mark.parametrize("each", RULES, ids=lambda each: each.key)
def test_a_loop_makes_the_updates_of_its_rule(each: rules.Rule) -> None:
    X, y = matrix(), np.where(np.arange(ROWS) % 3, 1.0, -1.0)
    pull = np.append(np.linspace(0.01, 0.1, COLUMNS), 0.0)
    examples = examples_of(X)
    loops = linear_loops(each, "log_loss", "float64", examples.index)
    p = np.zeros(COLUMNS + 1)
    state = begun(each, p).values()
    table = np.stack([p, *(slot for slot in state if slot.ndim), pull], axis=1)
    scalars = np.array([float(slot) for slot in state if not slot.ndim], np.float64)
    hypers = np.array(list(each.settings().values()), np.float64)
    order, none = np.arange(ROWS, dtype=np.uint32), np.zeros(0, np.int64)
    for epoch in range(2):
        loops.linear(
            examples.starts, examples.columns, examples.values, y, np.ones(ROWS), order, True,
            table, scalars, hypers, none, 0, ROWS, 1 + epoch * ROWS, 1,
        )  # fmt: skip
    np.testing.assert_allclose(table[:, 0], by_hand(each, X, y, pull), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("each", REFUSED, ids=lambda each: each.key)
def test_rules_that_look_beyond_one_weight_are_refused(each: rules.Rule) -> None:
    with pytest.raises(BadType, match="looks beyond one weight"):
        elementwise(each)


KNOWN = [*rules.catalogue.values(), *rules.variants.values()]


@pytest.mark.parametrize(
    "each", [each for each in KNOWN if each not in REFUSED], ids=lambda each: each.key
)
def test_every_other_rule_is_printed_as_python(each: rules.Rule) -> None:
    for text in (
        Loops(each, "float32", "uint32").linear(log_loss),
        Loops(each, "float64", "uint64").ratings(squared_error),
    ):
        compile(text, each.key, "exec")
        assert "{" not in text.partition("def update")[2]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_slopes_are_the_derivatives_of_losses(name: str, y: float) -> None:
    step = 1e-6
    for z in (-3.0, -0.4, 0.2, 2.5):
        (low, _), (high, _) = LOSSES[name](z - step, y), LOSSES[name](z + step, y)
        assert LOSSES[name](z, y)[1] == pytest.approx((high - low) / (2 * step), abs=1e-8)


def test_the_logarithmic_loss_does_not_overflow() -> None:
    assert log_loss(-1e4, 1.0) == (1e4, -1.0)
    assert log_loss(1e4, 1.0) == (0.0, 0.0)


def test_columns_that_are_not_there_are_refused() -> None:
    X = matrix()
    X.indices[0] = COLUMNS
    with pytest.raises(ValueError, match="5 columns, but names columns from 0 to 5"):
        examples_of(X)


def test_a_printed_module_has_no_word_of_the_rule_but_its_text(tmp_path) -> None:
    """The update is one function, printed once, whatever calls it."""
    text = Loops(rules.adam, "float32", "uint32").linear(log_loss)
    assert text.count("def update(") == 1
    assert text.count("math.sqrt") == 1
    assert import_text(text, "hogwild_adam").update.py_func(0.0, 1.0, *[1.0] * 10)
