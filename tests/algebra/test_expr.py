"""Expressions: equal ones are one object, and nothing is computed until someone asks."""

import copy
import gc
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.algebra import (
    Expr,
    constant,
    evaluate,
    expression,
    node,
    sqrt,
    sum_tensor,
    symbol,
    trace,
    where,
)
from thalweg.algebra import expr as expr_module
from thalweg.errors import BadType, TracedBranch

x, y = symbol("input", "g"), symbol("hyper", "lr")


def test_equal_expressions_are_one_object():
    assert (x * y + 1) is (x * y + 1)
    assert (x + y) is not (y + x)


def test_constants_are_told_apart_by_their_bits():
    assert constant(0.0) is not constant(-0.0)
    assert constant(math.nan) is constant(math.nan)
    assert constant(-math.nan) is constant(math.nan)
    assert constant(1) is constant(1.0)
    assert constant(0.1 + 0.2) is not constant(0.3)


def test_nodes_never_simplify_reorder_or_fold():
    assert (x * 1) is not x
    assert (x - x).op == "sub"
    assert node("add", constant(1), constant(2)).op == "add"
    assert ((x + y) + 1) is not (x + (y + 1))


def test_numpy_numbers_on_the_left_do_not_swallow_an_expression():
    assert (np.float64(2.0) * x) is (2.0 * x)
    assert (np.float32(0.5) + x) is (0.5 + x)


def test_copies_and_pickles_are_the_same_object():
    tree = sqrt(x * x + y)
    assert copy.deepcopy(tree) is tree
    assert copy.copy(tree) is tree
    assert pickle.loads(pickle.dumps(tree)) is tree


def test_unused_expressions_are_forgotten():
    before = len(expr_module._nodes)
    for k in range(200):
        x * (k + 0.12345)
    gc.collect()
    assert len(expr_module._nodes) <= before + 2


@pytest.mark.parametrize(
    "branch",
    [
        lambda g: g if g > 0 else -g,
        lambda g: g and 1,
        lambda g: max(g, 0),
        lambda g: 0 < g < 1,
        lambda g: 1 if g == 0 else g,
    ],
)
def test_a_rule_that_branches_is_told_what_to_write_instead(branch):
    def broken(g, *, lr=0.1):
        return lr * branch(g)

    with pytest.raises(TracedBranch, match=r"where\(condition, a, b\)"):
        trace(broken)


@pytest.mark.parametrize("call", [math.sqrt, float, int, round, list, len])
def test_a_rule_that_needs_a_number_now_is_told_what_to_use(call):
    with pytest.raises(TracedBranch, match="thalweg.algebra"):
        call(x)


@pytest.mark.parametrize(
    "use",
    [
        lambda: (x > 0) + 1,
        lambda: -(x > 0),
        lambda: where(x, 1, 0),
        lambda: where(x > 0, x > 1, 0),
        lambda: trace(lambda g, *, lr=0.1: g > lr),
    ],
)
def test_a_comparison_is_a_condition_and_nothing_else(use):
    with pytest.raises(BadType, match="comparison"):
        use()


@pytest.mark.parametrize(
    "use", [lambda: x[0], lambda: x // 2, lambda: (x > 0) & (x < 1), lambda: ~(x > 0)]
)
def test_what_is_not_elementwise_arithmetic_is_refused(use):
    with pytest.raises(TracedBranch, match="Rules work elementwise"):
        use()


def test_a_sum_over_what_no_element_touches_is_refused():
    with pytest.raises(BadType, match="same for every element"):
        trace(lambda g, *, lr=0.1: g * sum_tensor(y))


@pytest.mark.parametrize("value", ["a", None, True, [1.0]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(BadType, match="hyperparameter"):
        x + value


LEAVES = st.one_of(
    st.sampled_from([x, y, symbol("clock", "t"), symbol("state", "m")]),
    st.floats(allow_nan=True, allow_infinity=True).map(constant),
)
BINARY = ("add", "sub", "mul", "div", "pow", "mod", "maximum", "minimum")
CONDITIONS = ("lt", "le", "gt", "ge", "eq", "ne")
UNARY = ("neg", "sqrt", "exp", "log", "abs", "sign", "floor", "cos", "single")


def _choice(op, a, b, c):
    return where(node(op, a, b), c, a)


def _grown(children):
    return st.one_of(
        st.builds(node, st.sampled_from(UNARY), children),
        st.builds(node, st.sampled_from(BINARY), children, children),
        children.map(lambda each: node("sum_launch", each * x)),
        st.builds(_choice, st.sampled_from(CONDITIONS), children, children, children),
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.recursive(LEAVES, _grown, max_leaves=12))
def test_printed_source_traces_back_to_the_same_object(tree):
    text = f"def f(g, m=0, *, t, lr=0.1):\n    return {expression(tree, {})}, m\n"
    assert trace(text)[0] is tree


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.recursive(LEAVES, _grown, max_leaves=8), st.floats(-3, 3), st.floats(-3, 3))
def test_numbers_never_raise_and_agree_with_arrays(tree, a, b):
    tree = _without_sums(tree)
    row = {x: a, y: b, symbol("clock", "t"): 2.0, symbol("state", "m"): 0.5}
    ((number,),) = evaluate((tree,), [row])
    with np.errstate(all="ignore"):
        ((array,),) = evaluate((tree,), [{k: np.array([v]) for k, v in row.items()}])
    np.testing.assert_allclose(np.asarray(array, float).ravel(), float(number), rtol=1e-9)


def _without_sums(tree: Expr) -> Expr:
    from thalweg.algebra.expr import postorder, substitute

    sums = {each: each.args[0] for each in postorder((tree,)) if each.op == "sum_launch"}
    while sums:
        (tree,) = substitute((tree,), sums)
        sums = {each: each.args[0] for each in postorder((tree,)) if each.op == "sum_launch"}
    return tree
